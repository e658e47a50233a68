"""Guard: compare a plan with its impact budget, before the first write.

A plan over budget is not applied. Its message names the numbers and how to approve exactly this plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from typing import Any

from psycopg import sql

from sync_pipeline.merge.plan import PlanSummary, filled, missing_table
from sync_pipeline.merge.relations import Relations, columns, listed
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import is_reverse, typed


def findings(
    connection: Connection,
    rel: Relations,
    summary: PlanSummary,
    *,
    complete: bool,
    partitions: Collection[str] | None = None,
) -> list[str]:
    """What in the plan is over budget, a sentence each; empty when nothing is."""
    return [
        *_updates(connection, rel, summary, partitions),
        *_blanking(connection, rel, summary, complete=complete),
        *_missing(connection, rel, summary, partitions),
    ]


def refusal(rel: Relations, found: list[str], digest: str) -> str:
    """The message of a plan that was stopped."""
    entity = rel.entity
    again = typed(
        f"sync {entity.key_prefix[0]} {entity.name}", reverse=is_reverse(entity.key_prefix)
    )
    return (
        f"{entity.system}/{entity.name}: stopped by the guard, nothing was written. {' '.join(found)}"
        f" If this is meant, approve exactly this plan: {again} with the same scope and --approve {digest}"
    )


def plan_digest(connection: Connection, rel: Relations, summary: PlanSummary) -> str:
    """Identifies exactly this plan: the rows to write, their new values, and the values these replace.

    A sum of row hashes, so the order in which records arrived does not matter: the same plan made again has
    the same digest.
    """
    compared = [columns(rel.entity.key, "p"), sql.SQL("p._state, p._d")]
    if rel.value_columns:
        compared += [columns(rel.value_columns, "r"), columns(rel.value_columns, "t")]
    query = sql.SQL(
        """
        select coalesce(sum(hash_record_extended(row({compared}), 0)::numeric), 0)::text
        from {plan} p
        join {rows} r on r._seq = p._seq
        left join {target} t on {same}
        where p._state in ('inserted', 'updated', 'conflicted')
        """
    ).format(
        compared=listed(compared),
        plan=rel.plan,
        rows=rel.rows,
        target=rel.target,
        same=rel.same_key("t", "p"),
    )
    hashed: list[Any] = [rel.entity.system, rel.entity.name, connection.execute(query).fetchone()]
    if summary.missing:
        missing = sql.SQL(
            "select sum(hash_record_extended(row({}), 0)::numeric)::text from {} m"
        ).format(columns(rel.entity.key, "m"), missing_table(rel))
        hashed.append(connection.execute(missing).fetchone())
    return hashlib.blake2b(repr(hashed).encode(), digest_size=6).hexdigest()


def _count(connection: Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


def _updates(
    connection: Connection,
    rel: Relations,
    summary: PlanSummary,
    partitions: Collection[str] | None,
) -> Iterator[str]:
    limit = rel.entity.budget.updates
    if summary.writes <= limit.floor:  # within budget whatever the table's size: spare its count
        return
    query = sql.SQL("select count(*) from {} t where {}")
    rows = _count(connection, query.format(rel.target, rel.within(partitions, "t")))
    if limit.exceeded_by(summary.writes, rows):
        yield (
            f"{summary.writes:,} of {rows:,} rows would be updated; the budget is {limit.percent:g} % and"
            f" {limit.floor:,} rows."
        )


def _missing(
    connection: Connection,
    rel: Relations,
    summary: PlanSummary,
    partitions: Collection[str] | None,
) -> Iterator[str]:
    limit = rel.entity.budget.missing
    if summary.missing <= limit.floor:
        return
    query = sql.SQL("select count(*) from {} b where _missing_since is null and {}")
    rows = _count(connection, query.format(rel.base, rel.within(partitions, "b")))
    if limit.exceeded_by(summary.missing, rows):
        yield (
            f"{summary.missing:,} of {rows:,} rows are no longer at the source; the budget is"
            f" {limit.percent:g} % and {limit.floor:,} rows."
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
        had = _count(connection, held.format(filled(rel.entity.field(column), "b"), rel.base))
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
            given=sql.SQL("coalesce({} <> all(r._absent), true)").format(sql.Literal(f.column)),
            r=filled(f, "r"),
            b=filled(f, "b"),
        )
        for f in fields
    ]
    query = sql.SQL(
        """
        select {counts}
        from {seen} s
        left join {rows} r on r._seq = s._seq
        left join {base} b on {same}
        where s._state is null
        """
    ).format(
        counts=listed([*had, *has]),
        seen=rel.seen,
        rows=rel.rows,
        base=rel.base,
        same=rel.same_key("b", "s"),
    )
    row = connection.execute(query).fetchone() or ()
    return {c: (row[i], row[i + len(names)]) for i, c in enumerate(names)}
