"""Writing what the work sheet says: removed rows go, survivors get their values, all of it is kept aside.

Every count is compared with what was meant, because a trigger may swallow or alter a write.
"""

from __future__ import annotations

from uuid import UUID

from psycopg import sql

from sync_pipeline.doctor.repair.report import counted
from sync_pipeline.doctor.repair.session import fetch, fetch_value
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.doctor.repair.worklist import SHEET, patched, patched_rows
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection

_KEEP_REMOVED = sql.SQL("""
insert into sync.removed_row (repair_id, table_name, reason, "row", survivor_key, survivor_before)
select %(repair)s, %(table)s, %(reason)s, d.before, s.row_key, s.before
from {sheet} d
join {sheet} s on s.clan = d.clan and s.size > 1 and s.rank = 1
where d.rank > 1
order by d.clan, d.rank
""")

_REMOVE = sql.SQL("""
delete from only {table} t using {sheet} d where t.ctid = d.place and d.rank > 1
""")

# The sheet follows the rows, which an update moves.
_WRITE = sql.SQL("""
with written as (
    update only {table} t
    set {assignments}
    from {sheet} s, jsonb_populate_record(null::{table}, s.patch) p
    where t.ctid = s.place and s.rank = 1 and s.patch <> '{{}}' and s.nulls = %(nulls)s
    returning s.place as former, t.ctid as present
), followed as (
    update {sheet} s set place = w.present from written w where s.place = w.former
)
select count(*) from written
""")

_KEEP_CHANGED = sql.SQL("""
insert into sync.changed_row (repair_id, table_name, reason, row_key, before, after)
select %(repair)s, %(table)s, %(reason)s, s.row_key, changed.before, changed.after
from {sheet} s
join only {table} t on t.ctid = s.place
cross join lateral (
    select jsonb_object_agg(e.key, s.before -> e.key) as before, jsonb_object_agg(e.key, e.value) as after
    from jsonb_each(to_jsonb(t)) e
    where e.value is distinct from s.before -> e.key
) changed
where s.rank = 1 and s.patch <> '{{}}'
order by s.nulls, s.row_key
""")

_AMISS = sql.SQL("""
select s.row_key::text
from {sheet} s
left join only {table} t on t.ctid = s.place
where s.rank = 1 and (t.ctid is null or exists (
    select from jsonb_each(s.patch) e
    where to_jsonb(t) -> e.key is distinct from e.value
))
limit 3
""")


def remove(connection: Connection, key: UniqueKey, repair_id: UUID, *, surplus: int) -> None:
    """Keep the surplus rows aside, whole, and delete them.

    Raises:
        TargetNotPrepared: not all of them went.
    """
    reason = f"an older duplicate of ({', '.join(key.columns)})"
    told = {"repair": repair_id, "table": str(key.place), "reason": reason}
    connection.execute(_KEEP_REMOVED.format(sheet=SHEET), told)
    gone = connection.execute(_REMOVE.format(table=key.place.relation, sheet=SHEET)).rowcount
    _agree(key, "removed", gone, surplus)


def write(connection: Connection, key: UniqueKey, repair_id: UUID) -> None:
    """Give the survivors their values, and keep what they held before.

    Raises:
        TargetNotPrepared: a row does not hold what it was given.
    """
    columns = sorted(patched(connection))
    if not columns:
        return
    expected = patched_rows(connection)
    assignment = sql.SQL("{} = coalesce({}, {})")
    statement = _WRITE.format(
        table=key.place.relation,
        sheet=SHEET,
        assignments=sql.SQL(", ").join(
            assignment.format(sql.Identifier(c), sql.Identifier("t", c), sql.Identifier("p", c))
            for c in columns
        ),
    )
    # A row may be on its way to the key that another one is about to leave by getting a value for a null:
    # the one that ends with fewer nulls goes first.
    rounds = fetch(connection, sql.SQL("select distinct nulls from {} order by 1").format(SHEET))
    done = sum(fetch_value(connection, statement, {"nulls": nulls}) for (nulls,) in rounds)
    _agree(key, "changed", done, expected)
    amiss = fetch(connection, _AMISS.format(table=key.place.relation, sheet=SHEET))
    if amiss:
        raise TargetNotPrepared(
            f"{key.place}: rows do not hold what they were given, such as {'; '.join(r for (r,) in amiss)}."
            " Nothing was changed; look for a trigger that alters them, disable it and try again."
        )
    told = {"repair": repair_id, "table": str(key.place), "reason": "completed"}
    connection.execute(_KEEP_CHANGED.format(table=key.place.relation, sheet=SHEET), told)


def _agree(key: UniqueKey, what: str, done: int, expected: int) -> None:
    if done != expected:
        raise TargetNotPrepared(
            f"{key.place}: {done:,} of {counted(expected, 'row')} were {what}. Nothing was changed; look for"
            " a trigger or a policy that keeps rows from being written, disable it and try again."
        )
