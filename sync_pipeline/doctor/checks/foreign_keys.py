"""Foreign keys that contradict the order of the sync, are not valid, or cascade."""

from collections.abc import Iterator

from psycopg import sql

from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import EntityCheck, Finding, listed
from sync_pipeline.doctor.repair.report import counted
from sync_pipeline.merge.relations import AND, ident
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.catalog import ForeignKey
from sync_pipeline.postgres.connect import Connection

_CASCADES = {"c": "deletes", "n": "empties", "d": "resets"}


def outgoing(connection: Connection, check: EntityCheck) -> Iterator[Finding]:
    """Foreign keys from the table by columns that the sync fills."""
    for key in check.table.foreign_keys if check.table else ():
        if not set(key.columns) & {f.column for f in check.entity.fields}:
            continue
        parent = check.known.get(key.parent)
        if parent is None:
            yield from _outside(connection, check, key)
        elif (parent.system, parent.name) != (check.entity.system, check.entity.name):
            yield from _order(check, key, parent)
        if not key.valid:
            yield from _not_valid(connection, check, key)


def _described(key: ForeignKey) -> str:
    return f"foreign key {key.name} ({listed(key.columns)}) → {_table(key.parent)}"


def _table(names: tuple[str, str]) -> str:
    schema, name = names
    return name if schema == "public" else f"{schema}.{name}"


def _outside(connection: Connection, check: EntityCheck, key: ForeignKey) -> Iterator[Finding]:
    """A parent table that no system syncs: an error only if it is empty."""
    query = sql.SQL("select exists (select from {})").format(ident(*key.parent))
    for (filled,) in bounded_query.fetch(connection, query):
        if not filled:
            yield check.error(
                "no_parents",
                f"{_described(key)}, which is empty and not synced",
                cost="every record with such a value is rejected with SQLSTATE 23503",
                remedy="fill that table, or drop the foreign key",
            )


def _order(check: EntityCheck, key: ForeignKey, parent: Entity) -> Iterator[Finding]:
    system, entity = check.system, check.entity
    if parent.system != system.name:
        yield check.warning(
            "order",
            f"{_described(key)}, which {parent.system} syncs, in no order with this table",
            cost="a record whose parent is not there yet is rejected with SQLSTATE 23503",
            remedy=f"sync {parent.system} first, or drop the foreign key",
        )
    elif not (
        _is_synced_first(system, parent, entity)
        or _is_checked_at_commit(system, key, parent, entity)
    ):
        level, other = system.levels[entity.name], system.levels[parent.name]
        yield check.finding(
            "error" if other >= level else "warning",
            "order",
            f"{_described(key)}, which is synced on level {other} and this table on level {level}",
            cost="a record that comes before its parent is rejected and, unless it changes, not read again",
            remedy=f"declare link=Link({parent.name!r}, required=True) for it, or drop the foreign key",
        )
    else:
        yield from _not_required(check, key, parent)


def _is_synced_first(system: System, parent: Entity, entity: Entity) -> bool:
    """Whether links order the parent before the entity."""
    waiting, seen = list(entity.hard_parents), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += system[name].hard_parents
    return parent.name in seen


def _is_checked_at_commit(system: System, key: ForeignKey, parent: Entity, entity: Entity) -> bool:
    """Whether one transaction writes both tables, and checks the key at its end."""
    return key.deferred and any({parent.name, entity.name} <= set(group) for group in system.groups)


def _not_required(check: EntityCheck, key: ForeignKey, parent: Entity) -> Iterator[Finding]:
    required = {f.column for f, link in check.entity.links if link.required}
    if not required & set(key.columns):
        yield check.warning(
            "not_awaited",
            f"{_described(key)}, but no field of it is a required link",
            cost="a record whose parent is missing is rejected, and not released when the parent arrives",
            remedy=f"declare link=Link({parent.name!r}, required=True), so that it is parked until then",
        )


def _not_valid(connection: Connection, check: EntityCheck, key: ForeignKey) -> Iterator[Finding]:
    pairs = zip(key.columns, key.parent_columns, strict=True)
    query = sql.SQL("""
        select count(*)
        from {child} c
        where {filled} and not exists (select from {parent} p where {same})
    """).format(
        child=ident(*key.child),
        parent=ident(*key.parent),
        filled=AND.join(sql.SQL("{} is not null").format(ident("c", c)) for c in key.columns),
        same=AND.join(
            sql.SQL("{} = {}").format(ident("p", there), ident("c", here)) for here, there in pairs
        ),
    )
    orphans = bounded_query.count(connection, query)
    lacking = f"; {counted(orphans, 'row')} without a parent" if orphans else ""
    yield check.finding(
        "warning" if orphans else "note",
        "unchecked",
        f"{_described(key)} is NOT VALID{lacking}",
        cost="new values are checked and rows that were there are not, so dumps may not restore",
        remedy=f"fix these rows, then alter table {ident(*key.child).as_string()}"
        f" validate constraint {ident(key.name).as_string()}",
    )


def incoming(check: EntityCheck) -> Iterator[Finding]:
    """Foreign keys to the table that cascade a delete of the sync to other rows."""
    if check.table is None or check.entity.missing != "delete":
        return
    for key in check.table.referrers:
        if key.on_delete in _CASCADES:
            yield check.warning(
                "cascade",
                f"foreign key {key.name} {_CASCADES[key.on_delete]} rows of {_table(key.child)} when a row"
                " here is deleted, as missing='delete' does",
                cost="other rows change with it; no plan counts them and no undo brings them back",
                remedy="make it ON DELETE NO ACTION, or declare missing='keep' or 'flag'",
            )
