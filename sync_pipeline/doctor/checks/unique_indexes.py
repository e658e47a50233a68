"""Unique indexes beside the one on the key: those that refuse rows, and those that are redundant."""

from collections.abc import Iterator, Sequence

from psycopg import sql

from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import EntityCheck, Finding, bytes_of, listed
from sync_pipeline.doctor.repair.table_repair import TableRepair, repair_of
from sync_pipeline.merge.relations import ident
from sync_pipeline.merge.schema.metadata import unique_name
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.catalog import Index, Table, TableName
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import FIX


def second(
    connection: Connection, check: EntityCheck, repairs: Sequence[TableRepair] = ()
) -> Iterator[Finding]:
    """Unique indexes and exclusion constraints that refuse rows which the key allows."""
    table, entity = check.table, check.entity
    if table is None:
        return
    repair = repair_of(repairs, TableName(table.schema, table.name))
    colliding = bounded_query.bounded(connection, repair.colliding_indexes) if repair else []
    declared = {frozenset(names) for names in entity.unique}
    for i in table.indexes:
        if not (_can_collide(i, table, check) and (i.unique or i.exclusion)):
            continue
        collided = _collided(connection, check, i)
        if frozenset(i.referenced) in declared and not collided:
            continue
        what = "exclusion constraint" if i.exclusion else "unique index"
        some = f" where {i.condition}" if i.condition else ""
        if repair and i.name in colliding:
            yield check.error(
                "second_index",
                f"{what} {i.name} on ({listed(i.referenced)}) {repair.collision}{collided}",
                cost=repair.cost,
                remedy=f"{FIX}, which drops it; it can be restored",
                fixed_by="repair",
            )
            continue
        # A former, shorter key causes no collision as long as no rows differ in the other columns only.
        is_shorter = i.is_plain and set(i.columns) < set(entity.key)
        yield check.finding(
            "note" if is_shorter and not collided else "warning",
            "second_index",
            f"{what} {i.name} on ({listed(i.referenced)}){some} refuses rows that the key allows{collided}",
            cost="a record that collides on it is rejected by its name and does not land",
            remedy="drop it, or extend it by the key, if the source may repeat such values",
        )


def _can_collide(i: Index, table: Table, check: EntityCheck) -> bool:
    entity, written = check.entity, check.written & set(i.referenced)
    if set(i.referenced) >= set(entity.key) and not i.has_expressions:
        return False
    if not written & {f.column for f in entity.fields}:
        return False
    # A row that we insert has null in columns that we do not fill, which collides with nothing, and its key
    # never changes.
    unfilled = [c for c in i.columns if c not in check.written and not table.columns[c].has_default]
    is_ours = i.is_plain and not i.nulls_not_distinct and unfilled
    return not (is_ours and written <= set(entity.key))


def _collided(connection: Connection, check: EntityCheck, i: Index) -> str:
    """How many records the index has refused so far, with examples, for a message."""
    rows = bounded_query.fetch(
        connection,
        sql.SQL("""
            select key, count(*) over ()
            from sync.rejected
            where system = %s and entity = %s and "constraint" = %s
            order by id
            limit {}
        """).format(sql.Literal(bounded_query.EXAMPLES)),
        [check.entity.system, check.entity.name, i.name],
    )
    if not rows:
        return ""
    hidden = {f.column for f in check.entity.fields if f.personal}
    examples = "; ".join(
        listed("***" if name in hidden else str(value) for name, value in (key or {}).items())
        or "without a key"
        for key, _ in rows
    )
    return f"; rejected so far: {rows[0][1]:,}, such as {examples}"


def redundant(connection: Connection, check: EntityCheck) -> Iterator[Finding]:
    """Unique indexes that refuse nothing that another one does not refuse."""
    if check.table is None:
        return
    kept: list[Index] = []
    own = unique_name(check.entity.table, check.entity.key)
    plain = [i for i in check.table.indexes if i.unique and i.valid and i.is_plain]
    plain.sort(
        key=lambda i: (not i.primary, not i.required, not i.nulls_not_distinct, i.name != own)
    )
    for i in plain:
        twin = next((k for k in kept if _covers(k, i, check.table)), None)
        if twin is None:
            kept.append(i)
            continue
        yield check.warning(
            "redundant",
            f"unique index {i.name} on ({listed(i.columns)}) repeats {twin.name}",
            cost=f"every write maintains {_size(connection, check, i)} of index for nothing",
            remedy=_drop_statement(i, check.entity),
        )


def _size(connection: Connection, check: EntityCheck, i: Index) -> str:
    name = ident(check.entity.schema, i.name).as_string()
    query = sql.SQL("select pg_relation_size({}::regclass)").format(sql.Literal(name))
    return bytes_of(bounded_query.count(connection, query))


def _covers(one: Index, other: Index, table: Table) -> bool:
    """Whether one index refuses whatever the other refuses."""
    nullable = any(not table.columns[c].not_null for c in one.columns)
    timing = one.immediate or not other.immediate
    nulls = one.nulls_not_distinct or not other.nulls_not_distinct or not nullable
    return one.columns == other.columns and timing and nulls


def _drop_statement(i: Index, entity: Entity) -> str:
    target = ident(entity.schema, entity.table).as_string()
    name = ident(i.name).as_string()
    if i.required:
        return f"alter table {target} drop constraint {name}"
    return f"drop index {ident(entity.schema, i.name).as_string()}"
