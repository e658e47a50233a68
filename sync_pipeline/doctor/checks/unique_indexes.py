"""Other indexes that a row can collide on, and those that only cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import EntityCheck, Finding, bytes_of, listed
from sync_pipeline.doctor.repair.table_repair import TableRepair, repair_of
from sync_pipeline.doctor.table_facts import Index, Table
from sync_pipeline.merge.relations import ident
from sync_pipeline.merge.schema.metadata import unique_name
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.catalog import TableName
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import FIX


def second(
    connection: Connection, case: EntityCheck, repairs: Sequence[TableRepair] = ()
) -> Iterator[Finding]:
    """Unique indexes and exclusion constraints that refuse rows which the key allows."""
    table, entity = case.table, case.entity
    if table is None:
        return
    repair = repair_of(repairs, TableName(table.schema, table.name))
    colliding = bounded_query.attempt(connection, repair.colliding_indexes) if repair else []
    declared = {frozenset(names) for names in entity.unique}
    for i in table.indexes:
        if not (_can_collide(i, table, case) and (i.unique or i.exclusion)):
            continue
        collided = _collided(connection, case, i)
        if frozenset(i.refers) in declared and not collided:
            continue
        what = "exclusion constraint" if i.exclusion else "unique index"
        some = f" where {i.condition}" if i.condition else ""
        if repair and i.name in colliding:
            yield case.finding(
                "error",
                "second_index",
                f"{what} {i.name} on ({listed(i.refers)}) {repair.collision}{collided}",
                cost=repair.cost,
                remedy=f"{FIX}, which drops it; it can be restored",
                mended_by="repair",
            )
            continue
        # A key of an earlier time may serve as long as the columns that it lacks tell no rows apart.
        is_shorter = i.is_plain and set(i.columns) < set(entity.key)
        yield case.finding(
            "note" if is_shorter and not collided else "warning",
            "second_index",
            f"{what} {i.name} on ({listed(i.refers)}){some} refuses rows that the key allows{collided}",
            cost="a record that collides on it is rejected by its name and does not land",
            remedy="drop it, or extend it by the key, if the source may repeat such values",
        )


def _can_collide(i: Index, table: Table, case: EntityCheck) -> bool:
    entity, written = case.entity, case.written & set(i.refers)
    if set(i.refers) >= set(entity.key) and not i.expressions:
        return False
    if not written & {f.column for f in entity.fields}:
        return False
    # A row that we insert holds null in columns that we do not fill, and null collides with nothing; a
    # key does not change afterwards.
    unfilled = [c for c in i.columns if c not in case.written and not table.columns[c].filled]
    is_ours = i.is_plain and not i.nulls_equal and unfilled
    return not (is_ours and written <= set(entity.key))


def _collided(connection: Connection, case: EntityCheck, i: Index) -> str:
    """Records that the index has refused so far, in words."""
    rows = bounded_query.ask(
        connection,
        sql.SQL(
            "select key, count(*) over () from sync.rejected where system = %s and entity = %s"
            " and {} = %s order by id limit {}"
        ).format(ident("constraint"), sql.Literal(bounded_query.EXAMPLES)),
        [case.entity.system, case.entity.name, i.name],
    )
    if not rows:
        return ""
    hidden = {f.column for f in case.entity.fields if f.personal}
    examples = "; ".join(
        listed("***" if name in hidden else str(value) for name, value in (key or {}).items())
        or "without a key"
        for key, _ in rows
    )
    return f"; rejected so far: {rows[0][1]:,}, such as {examples}"


def redundant(case: EntityCheck) -> Iterator[Finding]:
    """Unique indexes that keep apart what another one keeps apart already."""
    if case.table is None:
        return
    kept: list[Index] = []
    own = unique_name(case.entity.table, case.entity.key)
    plain = [i for i in case.table.indexes if i.unique and i.valid and i.is_plain]
    order = sorted(
        plain, key=lambda i: (not i.primary, not i.needed, not i.nulls_equal, i.name != own)
    )
    for i in order:
        twin = next((k for k in kept if _covers(k, i, case.table)), None)
        if twin is None:
            kept.append(i)
            continue
        yield case.finding(
            "warning",
            "redundant",
            f"unique index {i.name} on ({listed(i.columns)}) repeats {twin.name}",
            cost=f"every write maintains {bytes_of(i.bytes)} of index for nothing",
            remedy=_dropped(i, case.entity),
        )


def _covers(one: Index, other: Index, table: Table) -> bool:
    """Whether whatever the other index refuses, one does."""
    open_ = any(not table.columns[c].not_null for c in one.columns)
    at_once = one.immediate or not other.immediate
    nulls = one.nulls_equal or not other.nulls_equal or not open_
    return one.columns == other.columns and at_once and nulls


def _dropped(i: Index, entity: Entity) -> str:
    target = ident(entity.schema, entity.table).as_string()
    name = ident(i.name).as_string()
    if i.needed:
        return f"alter table {target} drop constraint {name}"
    return f"drop index {ident(entity.schema, i.name).as_string()}"
