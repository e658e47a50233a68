"""Guard: compare a plan with its impact budget, before the first write.

A plan over budget is not applied. Its message names the numbers and how to approve exactly this plan.
"""

import hashlib
from collections.abc import Collection, Iterator
from typing import Any

from psycopg import sql

from sync_pipeline.merge.plan import PlanSummary, filled
from sync_pipeline.merge.relations import Relations, columns, given, listed
from sync_pipeline.model.entity import Limit
from sync_pipeline.postgres.connect import Connection, scalar
from sync_pipeline.remedies import command_line, is_reverse


def findings(
    connection: Connection,
    rel: Relations,
    summary: PlanSummary,
    *,
    complete: bool,
    partitions: Collection[str] | None = None,
) -> list[str]:
    """What in the plan is over budget, a sentence each; empty when nothing is."""
    # Updates are a share of the table, missing rows of what the source has delivered: it never had the rows
    # that were made here.
    budget, names = rel.entity.budget, rel.bind(within=rel.within(partitions, "x"))
    rows = names.compose("select count(*) from {target} x where {within}")
    known = names.compose("select count(*) from {base} x where _missing_since is null and {within}")
    missing = "are no longer at the source"
    return [
        *_over_budget(connection, budget.updates, summary.writes, rows, "would be updated"),
        *_blanking(connection, rel, summary, complete=complete),
        *_over_budget(connection, budget.missing, summary.missing, known, missing),
    ]


def refusal(rel: Relations, found: list[str], digest: str) -> str:
    """The message of a plan that was stopped."""
    entity = rel.entity
    again = command_line(
        f"sync {entity.key_prefix[0]} {entity.name}", reverse=is_reverse(entity.key_prefix)
    )
    return (
        f"{entity.label}: stopped by the guard, nothing was written. {' '.join(found)}"
        f" If this is meant, approve exactly this plan: {again} with the same scope and --approve {digest}"
    )


def plan_digest(connection: Connection, rel: Relations, summary: PlanSummary) -> str:
    """Identifies exactly this plan: the rows to write, their new values, and the values these replace.

    A sum of row hashes, so the order in which records arrived does not matter: the same plan made again has
    the same digest.
    """
    compared = [columns(rel.entity.key, "p"), sql.SQL("p._state, p._d")]
    if rel.value_columns:
        # What is replaced counts too: an approval does not cover what people write afterwards.
        compared += [columns(rel.value_columns, "r"), columns(rel.value_columns, "t")]
    query = rel.bind(compared=listed(compared)).compose("""
        select coalesce(sum(hash_record_extended(row({compared}), 0)::numeric), 0)::text
        from {plan} p
        join {rows} r on r._seq = p._seq
        left join {target} t on {same_key(t, p)}
        where p._state in ('inserted', 'updated', 'conflicted')
    """)
    hashed: list[Any] = [rel.entity.system, rel.entity.name, connection.execute(query).fetchone()]
    if summary.missing:
        missing = rel.compose(
            "select sum(hash_record_extended(row({keys(m)}), 0)::numeric)::text from {missing} m"
        )
        hashed.append(connection.execute(missing).fetchone())
    return hashlib.blake2b(repr(hashed).encode(), digest_size=6).hexdigest()


def _over_budget(
    connection: Connection, limit: Limit, count: int, of: sql.Composed, what: str
) -> Iterator[str]:
    if count <= limit.floor:  # within budget whatever the table's size: spare its count
        return
    rows = scalar(connection, of)
    if limit.exceeded_by(count, rows):
        yield (
            f"{count:,} of {rows:,} rows {what}; the budget is {limit.percent:g} % and {limit.floor:,} rows."
        )


def _blanking(
    connection: Connection, rel: Relations, summary: PlanSummary, *, complete: bool
) -> Iterator[str]:
    """Fields that go from filled to empty, and fields that no record fills any more.

    A source that renames or hides a field delivers it as empty in every record. The share of emptied
    values alone would not stop that in a delta of a few records, hence the second test.
    """
    if not summary.blanked:
        return
    looked_up = {f.column for f, _ in rel.entity.lookups}
    yield from _blanked_lookups(connection, rel, summary, looked_up & set(summary.blanked))
    budget = rel.entity.budget
    # A complete scan is evidence enough with two rows; a delta may happen to hold only emptied ones.
    enough = 2 if complete else budget.hidden_field
    delivered = [column for column in summary.blanked if column not in looked_up]
    for column, (had, still) in _filled(connection, rel, delivered).items():
        blanked = summary.blanked[column]
        source = " or ".join(repr(s) for s in rel.entity.field(column).sources)
        if still == 0 and had >= enough and blanked:
            yield (
                f"{source} is in none of the delivered records although {had:,} of them had it before;"
                f" {blanked:,} values of {column} would be emptied. Was the field renamed or hidden at the"
                " source?"
            )
        elif budget.blanking.exceeded_by(blanked, had):
            yield (
                f"{blanked:,} of {had:,} filled values of {column} ({source}) would be emptied; the budget"
                f" is {budget.blanking.percent:g} % and {budget.blanking.floor:,} values."
            )


def _blanked_lookups(
    connection: Connection, rel: Relations, summary: PlanSummary, looked_up: Collection[str]
) -> Iterator[str]:
    """Looked-up values that would be emptied, compared with the whole table.

    They become empty when the rows that held them are deleted here, in rows that the source need not have
    delivered: the share of the delivered rows would mean nothing.
    """
    limit = rel.entity.budget.blanking
    for column in looked_up:
        blanked = summary.blanked[column]
        held = sql.SQL("select count({}) from {} b")
        had = scalar(connection, held.format(filled(rel.entity.field(column), "b"), rel.base))
        if limit.exceeded_by(blanked, had):
            yield (
                f"{blanked:,} of {had:,} values of {column}, which are looked up, would be emptied because"
                f" the rows that held them are missing; the budget is {limit.percent:g} % and"
                f" {limit.floor:,} values."
            )


def _filled(connection: Connection, rel: Relations, names: list[str]) -> dict[str, tuple[int, int]]:
    """Per column: delivered rows whose base had a value, and delivered rows that still have one."""
    fields = [rel.entity.field(c) for c in names]
    had = [sql.SQL("count({})").format(filled(f, "b")) for f in fields]
    # A record that the base already holds, or that leaves the field out, still has what the base has.
    has = [
        sql.SQL("count(case when s._wide and {given} then {r} else {b} end)").format(
            given=given(f.column),
            r=filled(f, "r"),
            b=filled(f, "b"),
        )
        for f in fields
    ]
    query = rel.bind(counts=listed([*had, *has])).compose("""
        select {counts}
        from {seen} s
        left join {rows} r on r._seq = s._seq
        left join {base} b on {same_key(b, s)}
        where s._state is null
    """)
    row = connection.execute(query).fetchone() or ()
    return {c: (row[i], row[i + len(names)]) for i, c in enumerate(names)}
