"""A plan as people see it: its field changes, with personal data and long texts cut down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import sql

from sync_pipeline.merge.plan import PlanSummary
from sync_pipeline.merge.relations import Relations, ident, listed
from sync_pipeline.postgres.connect import Connection

SHOWN = 48  # characters of a value; enough to recognise it


@dataclass(frozen=True)
class FieldChange:
    """One field of one row, before and after; values already shortened.

    Attributes:
        state: of the row in the plan: updated, or conflicted when another field was withheld.
    """

    key: str
    state: str
    column: str
    old: str
    new: str


def field_changes(
    connection: Connection, rel: Relations, summary: PlanSummary, limit: int
) -> list[FieldChange]:
    """Field changes that the plan would make, at most `limit`."""
    if not summary.taken:
        return []
    personal = {f.column for f in rel.entity.fields if f.personal}
    return [
        FieldChange(
            ", ".join(str(value) for value in key.values()),
            state,
            column,
            shortened(old, personal=column in personal),
            shortened(new, personal=column in personal),
        )
        for key, state, column, old, new in connection.execute(_changes(rel, summary, limit))
    ]


def _changes(rel: Relations, summary: PlanSummary, limit: int) -> sql.Composed:
    fields = listed(
        sql.SQL("({}, {}, to_jsonb({}), to_jsonb({}))").format(
            sql.Literal(i + 1), sql.Literal(column), ident("t", column), ident("r", column)
        )
        for i, column in ((i, rel.entity.values[i].column) for i in summary.taken)
    )
    return rel.bind(fields=fields, limit=limit).compose("""
        select {key_json(p)}, p._state, v.name, v.old, v.new
        -- Limited before the join: each row that is written changes at least one field.
        from (select * from {plan} where _writes order by _seq limit {limit}) p
        join {rows} r on r._seq = p._seq
        join {target} t on {same_key(t, p)},
            lateral (values {fields}) as v(i, name, old, new)
        where p._d[v.i] & 1 = 1
        limit {limit}
    """)


def shortened(value: Any, *, personal: bool = False) -> str:
    """A value as a preview may show it: one line, cut; of personal data only its beginning."""
    if value is None:
        return "∅"
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    text = " ".join(text.split())
    if personal:
        return f"{text[:2]}…({len(text)})"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def markdown(changes: Iterable[FieldChange], limit: int = 20) -> str:
    """The first changes as a Markdown table; values cannot break out of their cells."""
    rows = list(changes)
    if not rows:
        return "No field changed."
    lines = ["| key | field | old | new |", "|---|---|---|---|"]
    lines += [
        f"| {cell(c.key)} | {cell(c.column)} | {cell(c.old)} | {cell(c.new)} |"
        for c in rows[:limit]
    ]
    if len(rows) > limit:
        lines.append(f"\n… and more; the first {limit} are shown.")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that cannot break out of a Markdown table's cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
