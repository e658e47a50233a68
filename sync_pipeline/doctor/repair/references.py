"""Rows of other tables that refer to a row that will be removed: they are led to its survivor.

This comes before the removal, which would take them along where a foreign key says ON DELETE CASCADE.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.doctor.repair.report import counted
from sync_pipeline.doctor.repair.session import fetch, fetch_value
from sync_pipeline.doctor.repair.table_layout import Reference, layout
from sync_pipeline.doctor.repair.unique_key import TableName
from sync_pipeline.doctor.repair.worklist import SHEET
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail

_CHILD = sql.Identifier("pg_temp", "repair_child")

_FIND = sql.SQL("""
create temporary table repair_child on commit drop as
select c.ctid as place, {before} as before, {after} as after, num_nulls({survivors}) > 0 as lost,
    (select jsonb_object_agg(name, (to_jsonb(c) || {after}) -> name) from unnest(%(identity)s::text[]) name)
        as row_key,
    {itself} and exists (select from {sheet} r where r.place = c.ctid and r.rank > 1) as leaves
from {sheet} d
join {sheet} s on s.clan = d.clan and s.size > 1 and s.rank = 1
join only {table} o on o.ctid = d.place
join only {table} n on n.ctid = s.place
join only {child} c on {refers}
where d.rank > 1
""")

# A survivor that is led elsewhere is entered here, and not again when its values are written.
_WRITE = sql.SQL("""
with written as (
    update only {child} c
    set {assignments}
    from {found} x, jsonb_populate_record(null::{child}, x.after) p
    where c.ctid = x.place
    returning x.place as former, c.ctid as present, x.after
), followed as (
    update {sheet} s
    set place = w.present, before = case when s.rank = 1 then s.before || w.after else s.before end
    from written w
    where {itself} and s.place = w.former
)
select count(*) from written
""")

# A survivor may be about to inherit a reference to a row that will be removed.
_FOLLOW = sql.SQL("""
update {sheet} s
set patch = s.patch || jsonb_build_object({after})
from {sheet} d
join {sheet} l on l.clan = d.clan and l.size > 1 and l.rank = 1
where d.rank > 1 and s.rank = 1 and {refers}
""")

# A row that is removed itself is kept whole, as it was.
_KEEP = sql.SQL("""
insert into sync.changed_row (repair_id, table_name, reason, row_key, before, after)
select %(repair)s, %(table)s, %(reason)s, row_key, before, after from {found}
where not leaves
order by row_key
""")


def repoint(
    connection: Connection, place: TableName, found: Iterable[Reference], repair_id: UUID | None
) -> list[tuple[Reference, int]]:
    """Lead all references from removed rows to their survivors.

    Args:
        connection: in the transaction of the repair, which has made the work sheet.
        place: the table that is repaired.
        found: foreign keys that refer to it.
        repair_id: None for a dry run, which only counts.

    Returns:
        The references that had such rows, with how many.

    Raises:
        TargetNotPrepared: two rows that referred to two duplicates would collide, or a survivor has no value
            that could be referred to.
    """
    counts: list[tuple[Reference, int]] = []
    for reference in found:
        if reference.child == place:
            _follow(connection, reference)
        number = _find(connection, place, reference)
        if number and repair_id:
            _write(connection, place, reference, number)
            reason = f"led to the survivor by {reference.name}"
            values = {"repair": repair_id, "table": str(reference.child), "reason": reason}
            connection.execute(_KEEP.format(found=_CHILD), values)
        if number:
            counts.append((reference, number))
    connection.execute(sql.SQL("drop table if exists {}").format(_CHILD))
    return counts


def _follow(connection: Connection, reference: Reference) -> None:
    pairs = list(zip(reference.columns, reference.parent_columns, strict=True))
    heir = sql.SQL("{}::text, (l.before || l.patch) -> {}")
    same = sql.SQL("s.patch -> {0} = d.before -> {1} and (l.before || l.patch) -> {1} <> 'null'")
    statement = _FOLLOW.format(
        sheet=SHEET,
        after=sql.SQL(", ").join(heir.format(own, parent) for own, parent in pairs),
        refers=sql.SQL(" and ").join(same.format(own, parent) for own, parent in pairs),
    )
    connection.execute(statement)


def _find(connection: Connection, place: TableName, reference: Reference) -> int:
    def pairs(alias: str, columns: Iterable[str]) -> sql.Composable:
        named = zip(reference.columns, columns, strict=True)
        each = (
            sql.SQL("{}::text, {}").format(name, sql.Identifier(alias, value))
            for name, value in named
        )
        return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(each))

    refers = (
        sql.SQL("{} = {}").format(sql.Identifier("c", own), sql.Identifier("o", parent))
        for own, parent in zip(reference.columns, reference.parent_columns, strict=True)
    )
    connection.execute(sql.SQL("drop table if exists {}").format(_CHILD))
    # psycopg cannot bind a parameter to a statement that creates a table on the server's side; as a
    # client-side literal it can.
    statement = _FIND.format(
        before=pairs("c", reference.columns),
        after=pairs("n", reference.parent_columns),
        survivors=sql.SQL(", ").join(sql.Identifier("n", c) for c in reference.parent_columns),
        sheet=SHEET,
        itself=sql.Literal(reference.child == place),
        table=place.relation,
        child=reference.child.relation,
        refers=sql.SQL(" and ").join(refers),
    )
    identity = list(layout(connection, reference.child).identity)
    psycopg.ClientCursor(connection).execute(statement, {"identity": identity})
    lost = fetch(
        connection,
        sql.SQL("select before::text from {} where lost limit 3").format(_CHILD),
    )
    if lost:
        raise TargetNotPrepared(
            f"{reference.child} refers by {reference.name} to rows of {place} whose survivors have no"
            f" ({', '.join(reference.parent_columns)}), such as {'; '.join(r for (r,) in lost)}. Nothing was"
            " changed; let these refer to another row, then try again."
        )
    return fetch_value(connection, sql.SQL("select count(*) from {}").format(_CHILD))


def _write(connection: Connection, place: TableName, reference: Reference, number: int) -> None:
    statement = _WRITE.format(
        child=reference.child.relation,
        assignments=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(c), sql.Identifier("p", c))
            for c in reference.columns
        ),
        found=_CHILD,
        sheet=SHEET,
        itself=sql.Literal(reference.child == place),
    )
    try:
        with connection.transaction():
            written = fetch_value(connection, statement)
    except psycopg.errors.UniqueViolation as error:
        rows = fetch(
            connection, sql.SQL("select row_key::text from {} order by 1 limit 3").format(_CHILD)
        )
        raise TargetNotPrepared(
            f"{reference.child}: rows that refer by {reference.name} to duplicates of {place} collide when"
            f" they are led to the survivor: {message_with_detail(error)}; they are among"
            f" {'; '.join(r for (r,) in rows)}. Nothing was changed; merge or remove them, then try again."
        ) from error
    if written != number:
        raise TargetNotPrepared(
            f"{reference.child}: {written:,} of {counted(number, 'row')} were led to survivors in {place}."
            " Nothing was changed; look for a trigger or a policy that keeps them from being written."
        )
