"""Guard: hold a plan against its impact budget, before the first write.

A plan over budget is not applied. Its message names the numbers and how to approve exactly this plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from psycopg import sql

from sync_pipeline.merge.plan import PlanSummary, filled
from sync_pipeline.merge.relations import Relations, listed
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import is_reverse, typed


def findings(
    connection: Connection,
    rel: Relations,
    summary: PlanSummary,
    *,
    complete: bool,
    parts: Collection[str] | None = None,
) -> list[str]:
    """What in the plan is out of proportion, a sentence each; empty when nothing is."""
    return [
        *_updates(connection, rel, summary, parts),
        *_blanking(connection, rel, summary, complete=complete),
        *_missing(connection, rel, summary, parts),
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


def _count(connection: Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


def _updates(
    connection: Connection, rel: Relations, summary: PlanSummary, parts: Collection[str] | None
) -> Iterator[str]:
    limit = rel.entity.budget.updates
    if summary.writes <= limit.floor:
        return
    query = sql.SQL("select count(*) from {} t where {}")
    rows = _count(connection, query.format(rel.target, rel.within(parts, "t")))
    if limit.exceeded_by(summary.writes, rows):
        yield (
            f"{summary.writes:,} of {rows:,} rows would be updated; the budget is {limit.percent:g} % and"
            f" {limit.floor:,} rows."
        )


def _missing(
    connection: Connection, rel: Relations, summary: PlanSummary, parts: Collection[str] | None
) -> Iterator[str]:
    limit = rel.entity.budget.missing
    if summary.missing <= limit.floor:
        return
    query = sql.SQL("select count(*) from {} b where _missing_since is null and {}")
    rows = _count(connection, query.format(rel.base, rel.within(parts, "b")))
    if limit.exceeded_by(summary.missing, rows):
        yield (
            f"{summary.missing:,} of {rows:,} rows are no longer at the source; the budget is"
            f" {limit.percent:g} % and {limit.floor:,} rows."
        )


def _blanking(
    connection: Connection, rel: Relations, summary: PlanSummary, *, complete: bool
) -> Iterator[str]:
    """Fields that go from filled to empty, and fields that vanished from every record."""
    if not summary.blanked:
        return
    budget = rel.entity.budget
    enough = 2 if complete else budget.hidden_field
    looked_up = {f.column for f, _ in rel.entity.lookups}
    given = [column for column in summary.blanked if column not in looked_up]
    for column in looked_up & set(summary.blanked):
        # A value that the target itself holds is gone with its row: held against the whole table.
        had, blanked = _held(connection, rel, column), summary.blanked[column]
        if budget.blanking.exceeded_by(blanked, had):
            yield (
                f"{blanked:,} of {had:,} values of {column}, which are looked up, would be emptied because"
                f" the rows that held them are gone; the budget is {budget.blanking.percent:g} % and"
                f" {budget.blanking.floor:,} values."
            )
    for column, (had, still) in _filled(connection, rel, given).items():
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


def _held(connection: Connection, rel: Relations, column: str) -> int:
    """How many rows of the base have a value."""
    query = sql.SQL("select count({}) from {} b").format(
        filled(rel.entity.field(column), "b"), rel.base
    )
    return _count(connection, query)


def _filled(connection: Connection, rel: Relations, names: list[str]) -> dict[str, tuple[int, int]]:
    """Per column: delivered rows whose base had a value, and delivered rows that still have one.

    A record that the base already holds, or that leaves the field out, still has what the base has.
    """
    fields = [rel.entity.field(c) for c in names]
    had = [sql.SQL("count({})").format(filled(f, "b")) for f in fields]
    has = [
        sql.SQL("count(case when s._wide and {given} then {r} else {b} end)").format(
            given=sql.SQL("coalesce({} <> all(r._absent), true)").format(sql.Literal(f.column)),
            r=filled(f, "r"),
            b=filled(f, "b"),
        )
        for f in fields
    ]
    query = sql.SQL(
        "select {} from {} s left join {} r on r._seq = s._seq left join {} b on {} where s._state is null"
    ).format(listed([*had, *has]), rel.seen, rel.rows, rel.base, rel.same_key("b", "s"))
    row = connection.execute(query).fetchone() or ()
    return {c: (row[i], row[i + len(names)]) for i, c in enumerate(names)}
