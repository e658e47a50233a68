"""Apply the worklist: delete surplus rows, update survivors, and keep all of it aside.

Every count is compared with the expected one, because a trigger may suppress or alter a write.
"""

from uuid import UUID

from psycopg import sql

from sync_pipeline.doctor.repair.report import counted
from sync_pipeline.doctor.repair.session import fetch, fetch_value
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.doctor.repair.worklist import patched, patched_rows
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import ident, listed
from sync_pipeline.postgres.connect import Connection

_KEEP_REMOVED = """
insert into sync.removed_row (repair_id, table_name, reason, "row", survivor_key, survivor_before)
select %(repair)s, %(table)s, %(reason)s, d.before, s.row_key, s.before
from pg_temp.repair_worklist d
join pg_temp.repair_worklist s on s.key_group = d.key_group and s.size > 1 and s.rank = 1
where d.rank > 1
order by d.key_group, d.rank
"""

_REMOVE = sql.SQL("""
delete from only {table} t
using pg_temp.repair_worklist d
where t.ctid = d.row_ctid and d.rank > 1
""")

# An update moves a row; the worklist follows.
_WRITE = sql.SQL("""
with written as (
    update only {table} t
    set {assignments}
    from pg_temp.repair_worklist s, jsonb_populate_record(null::{table}, s.patch) p
    where t.ctid = s.row_ctid and s.rank = 1 and s.patch <> '{{}}' and s.nulls = {nulls}
    returning s.row_ctid as former, t.ctid as present
), followed as (
    update pg_temp.repair_worklist s
    set row_ctid = w.present
    from written w
    where s.row_ctid = w.former
)
select count(*) from written
""")

_KEEP_CHANGED = sql.SQL("""
insert into sync.changed_row (repair_id, table_name, reason, row_key, before, after)
select %(repair)s, %(table)s, %(reason)s, s.row_key, changed.before, changed.after
from pg_temp.repair_worklist s
join only {table} t on t.ctid = s.row_ctid
cross join lateral (
    select
        jsonb_object_agg(e.key, s.before -> e.key) as before,
        jsonb_object_agg(e.key, e.value) as after
    from jsonb_each(to_jsonb(t)) e
    where e.value is distinct from s.before -> e.key
) changed
where s.rank = 1 and s.patch <> '{{}}'
order by s.nulls, s.row_key
""")

_NOT_WRITTEN = sql.SQL("""
select s.row_key::text
from pg_temp.repair_worklist s
left join only {table} t on t.ctid = s.row_ctid
where s.rank = 1 and (t.ctid is null or exists (
    select from jsonb_each(s.patch) e
    where to_jsonb(t) -> e.key is distinct from e.value
))
limit 3
""")


def remove(connection: Connection, key: UniqueKey, repair_id: UUID, *, surplus: int) -> None:
    """Keep the surplus rows aside, and delete them; raises `TargetNotPrepared` unless all are deleted."""
    reason = f"an older duplicate of ({', '.join(key.columns)})"
    values = {"repair": repair_id, "table": str(key.table_name), "reason": reason}
    connection.execute(_KEEP_REMOVED, values)
    statement = _REMOVE.format(table=key.table_name.relation)
    _check_count(key, "removed", connection.execute(statement).rowcount, surplus)


def write(connection: Connection, key: UniqueKey, repair_id: UUID) -> None:
    """Give survivors their values, keep the former; raises `TargetNotPrepared` if a row holds others."""
    columns = sorted(patched(connection))
    if not columns:
        return
    expected = patched_rows(connection)
    assignment = sql.SQL("{} = coalesce({}, {})")
    assignments = listed(assignment.format(ident(c), ident("t", c), ident("p", c)) for c in columns)
    # A row may get the key that another row still has and loses when its own null is filled. The row that
    # ends with fewer nulls is written first.
    rounds = fetch(connection, "select distinct nulls from pg_temp.repair_worklist order by 1")
    # Without parameters, as everything that names people's columns: psycopg takes a % in one for another.
    statements = (
        _WRITE.format(table=key.table_name.relation, assignments=assignments, nulls=nulls)
        for (nulls,) in rounds
    )
    done = sum(fetch_value(connection, statement) for statement in statements)
    _check_count(key, "changed", done, expected)
    altered = fetch(connection, _NOT_WRITTEN.format(table=key.table_name.relation))
    if altered:
        raise TargetNotPrepared(
            f"{key.table_name}: rows do not hold what they were given, such as"
            f" {'; '.join(r for (r,) in altered)}. Nothing was changed; look for a trigger that alters them,"
            " disable it and try again."
        )
    values = {"repair": repair_id, "table": str(key.table_name), "reason": "completed"}
    connection.execute(_KEEP_CHANGED.format(table=key.table_name.relation), values)


def _check_count(key: UniqueKey, what: str, done: int, expected: int) -> None:
    if done != expected:
        raise TargetNotPrepared(
            f"{key.table_name}: {done:,} of {counted(expected, 'row')} were {what}. Nothing was changed; look"
            " for a trigger or a policy that keeps rows from being written, disable it and try again."
        )
