"""Rows of other tables that refer to a row that will be removed: they are repointed to its survivor.

This comes before the removal, which would delete them by a foreign key with ON DELETE CASCADE.
"""

from collections.abc import Iterable
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.doctor.repair.report import counted
from sync_pipeline.doctor.repair.row_json import json_object
from sync_pipeline.doctor.repair.session import fetch, fetch_value, read_plain_table
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import AND, columns, ident, listed
from sync_pipeline.postgres.catalog import ForeignKey, TableName
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail

_FIND = sql.SQL("""
create temporary table repair_child on commit drop as
select
    c.ctid as row_ctid,
    {before} as before,
    {after} as after,
    num_nulls({survivors}) > 0 as is_unreferable,
    (
        select jsonb_object_agg(name, (to_jsonb(c) || {after}) -> name)
        from unnest({identity}::text[]) name
    ) as row_key,
    {is_same_table} and exists (
        select from pg_temp.repair_worklist r where r.row_ctid = c.ctid and r.rank > 1
    ) as is_removed
from pg_temp.repair_worklist d
join pg_temp.repair_worklist s on s.key_group = d.key_group and s.size > 1 and s.rank = 1
join only {table} o on o.ctid = d.row_ctid
join only {table} n on n.ctid = s.row_ctid
join only {child} c on {refers}
where d.rank > 1
""")

# The table may refer to itself. An update moves a row, so the worklist follows; the survivor's new value is
# entered as what it held before, and is not written again with its patch.
_WRITE = sql.SQL("""
with written as (
    update only {child} c
    set {assignments}
    from pg_temp.repair_child x, jsonb_populate_record(null::{child}, x.after) p
    where c.ctid = x.row_ctid
    returning x.row_ctid as former, c.ctid as present, x.after
), followed as (
    update pg_temp.repair_worklist s
    set
        row_ctid = w.present,
        before = case when s.rank = 1 then s.before || w.after else s.before end
    from written w
    where {is_same_table} and s.row_ctid = w.former
)
select count(*) from written
""")

# A survivor may be about to inherit a reference to a row that will be removed.
_REPOINT_INHERITED = sql.SQL("""
update pg_temp.repair_worklist s
set patch = s.patch || {after}
from pg_temp.repair_worklist d
join pg_temp.repair_worklist l on l.key_group = d.key_group and l.size > 1 and l.rank = 1
where d.rank > 1 and s.rank = 1 and {refers}
""")

# A row that is removed itself is kept whole, as it was.
_KEEP = """
insert into sync.changed_row (repair_id, table_name, reason, row_key, before, after)
select %(repair)s, %(table)s, %(reason)s, row_key, before, after
from pg_temp.repair_child
where not is_removed
order by row_key
"""


def repoint(
    connection: Connection,
    table: TableName,
    references: Iterable[ForeignKey],
    repair_id: UUID | None,
) -> list[tuple[ForeignKey, int]]:
    """Repoint the references to a table, in its repair, from removed rows to their survivors.

    Returns the references that had such rows, with how many; without a `repair_id`, a dry run, only counts.

    Raises:
        TargetNotPrepared: two rows that referred to two duplicates would collide, or a survivor has no value
            that could be referred to.
    """
    counts: list[tuple[ForeignKey, int]] = []
    for reference in references:
        if reference.child == table:
            _repoint_inherited(connection, reference)
        number = _find(connection, table, reference)
        if number and repair_id:
            _write(connection, table, reference, number)
            reason = f"repointed to the survivor by {reference.name}"
            values = {"repair": repair_id, "table": str(reference.child), "reason": reason}
            connection.execute(_KEEP, values)
        if number:
            counts.append((reference, number))
    connection.execute("drop table if exists pg_temp.repair_child")
    return counts


def _repoint_inherited(connection: Connection, reference: ForeignKey) -> None:
    pairs = list(zip(reference.columns, reference.parent_columns, strict=True))
    survivor = sql.SQL("(l.before || l.patch) -> {}")
    refers = sql.SQL("s.patch -> {0} = d.before -> {1} and (l.before || l.patch) -> {1} <> 'null'")
    statement = _REPOINT_INHERITED.format(
        after=json_object((own, survivor.format(parent)) for own, parent in pairs),
        refers=AND.join(refers.format(own, parent) for own, parent in pairs),
    )
    connection.execute(statement)


def _find(connection: Connection, table: TableName, reference: ForeignKey) -> int:
    pairs = list(zip(reference.columns, reference.parent_columns, strict=True))
    connection.execute("drop table if exists pg_temp.repair_child")
    statement = _FIND.format(
        identity=list(read_plain_table(connection, reference.child).row_identity),
        before=json_object((own, ident("c", own)) for own in reference.columns),
        after=json_object((own, ident("n", parent)) for own, parent in pairs),
        survivors=columns(reference.parent_columns, "n"),
        is_same_table=sql.Literal(reference.child == table),
        table=table.relation,
        child=reference.child.relation,
        refers=AND.join(
            sql.SQL("{} = {}").format(ident("c", own), ident("o", parent)) for own, parent in pairs
        ),
    )
    connection.execute(statement)
    unreferable = fetch(
        connection, "select before::text from pg_temp.repair_child where is_unreferable limit 3"
    )
    if unreferable:
        raise TargetNotPrepared(
            f"{reference.child} refers by {reference.name} to rows of {table} whose survivors have no"
            f" ({', '.join(reference.parent_columns)}), such as {'; '.join(r for (r,) in unreferable)}."
            " Nothing was changed; let these refer to another row, then try again."
        )
    return fetch_value(connection, "select count(*) from pg_temp.repair_child")


def _write(connection: Connection, table: TableName, reference: ForeignKey, number: int) -> None:
    statement = _WRITE.format(
        child=reference.child.relation,
        assignments=listed(
            sql.SQL("{} = {}").format(ident(c), ident("p", c)) for c in reference.columns
        ),
        is_same_table=sql.Literal(reference.child == table),
    )
    try:
        with connection.transaction():
            written = fetch_value(connection, statement)
    except psycopg.errors.UniqueViolation as error:
        rows = fetch(
            connection, "select row_key::text from pg_temp.repair_child order by 1 limit 3"
        )
        raise TargetNotPrepared(
            f"{reference.child}: rows that refer by {reference.name} to duplicates of {table} collide when"
            f" they are repointed to the survivor: {message_with_detail(error)}; they are among"
            f" {'; '.join(r for (r,) in rows)}. Nothing was changed; merge or remove them, then try again."
        ) from error
    if written != number:
        raise TargetNotPrepared(
            f"{reference.child}: {written:,} of {counted(number, 'row')} were repointed to survivors in"
            f" {table}. Nothing was changed; look for a trigger or a policy that keeps them from being"
            " written."
        )
