"""Foreign keys that the order of the sync does not respect, or that carry a write further than it is told."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import EntityCheck, Finding, listed
from sync_pipeline.doctor.repair.report import counted
from sync_pipeline.doctor.table_facts import ForeignKey
from sync_pipeline.merge.relations import AND, ident
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection

_CARRIES = {"c": "deletes", "n": "empties", "d": "resets"}


def outgoing(connection: Connection, case: EntityCheck) -> Iterator[Finding]:
    """Foreign keys from the table by columns that the sync fills."""
    for key in case.table.foreign_keys if case.table else ():
        if not set(key.columns) & {f.column for f in case.entity.fields}:
            continue
        parent = case.known.get(key.parent)
        if parent is None:
            yield from _outside(connection, case, key)
        elif (parent.system, parent.name) != (case.entity.system, case.entity.name):
            yield from _within(case, key, parent)
        if not key.valid:
            yield from _unchecked(connection, case, key)


def _said(key: ForeignKey) -> str:
    return f"foreign key {key.name} ({listed(key.columns)}) → {_table(key.parent)}"


def _table(names: tuple[str, str]) -> str:
    schema, name = names
    return name if schema == "public" else f"{schema}.{name}"


def _outside(connection: Connection, case: EntityCheck, key: ForeignKey) -> Iterator[Finding]:
    """A parent that no system syncs: fine, unless there is none at all."""
    query = sql.SQL("select exists (select from {})").format(ident(*key.parent))
    for (filled,) in bounded_query.ask(connection, query):
        if not filled:
            yield case.finding(
                "error",
                "no_parents",
                f"{_said(key)}, which is empty and not synced",
                cost="every record with such a value is rejected with SQLSTATE 23503",
                remedy="fill that table, or drop the foreign key",
            )


def _within(case: EntityCheck, key: ForeignKey, parent: Entity) -> Iterator[Finding]:
    system, entity = case.system, case.entity
    if parent.system != system.name:
        yield case.finding(
            "warning",
            "order",
            f"{_said(key)}, which {parent.system} syncs, in no order with this table",
            cost="a record whose parent is not there yet is rejected with SQLSTATE 23503",
            remedy=f"sync {parent.system} first, or drop the foreign key",
        )
    elif not (_precedes(system, parent, entity) or _at_end(system, key, parent, entity)):
        level, other = system.levels[entity.name], system.levels[parent.name]
        yield case.finding(
            "error" if other >= level else "warning",
            "order",
            f"{_said(key)}, which is synced on level {other} and this table on level {level}",
            cost="a record that comes before its parent is rejected and, unless it changes, not read again",
            remedy=f"declare link=Link({parent.name!r}, required=True) for it, or drop the foreign key",
        )
    else:
        yield from _not_awaited(case, key, parent)


def _precedes(system: System, parent: Entity, entity: Entity) -> bool:
    """Whether links make the parent come first."""
    waiting, seen = list(entity.hard_parents), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += system[name].hard_parents
    return parent.name in seen


def _at_end(system: System, key: ForeignKey, parent: Entity, entity: Entity) -> bool:
    """Whether it is checked only when both tables have been written, in one transaction."""
    return key.at_end and any({parent.name, entity.name} <= set(group) for group in system.groups)


def _not_awaited(case: EntityCheck, key: ForeignKey, parent: Entity) -> Iterator[Finding]:
    awaited = {f.column for f, link in case.entity.links if link.required}
    if not awaited & set(key.columns):
        yield case.finding(
            "warning",
            "not_awaited",
            f"{_said(key)}, but no field of it is a required link",
            cost="a record whose parent is missing is rejected, and not released when the parent arrives",
            remedy=f"declare link=Link({parent.name!r}, required=True), so that it is parked until then",
        )


def _unchecked(connection: Connection, case: EntityCheck, key: ForeignKey) -> Iterator[Finding]:
    pairs = zip(key.columns, key.parent_columns, strict=True)
    query = sql.SQL(
        "select count(*) from {child} c where {filled} and not exists (select from {parent} p where {same})"
    ).format(
        child=ident(*key.child),
        parent=ident(*key.parent),
        filled=AND.join(sql.SQL("{} is not null").format(ident("c", c)) for c in key.columns),
        same=AND.join(
            sql.SQL("{} = {}").format(ident("p", there), ident("c", here)) for here, there in pairs
        ),
    )
    orphans = bounded_query.count(connection, query)
    lacking = f"; {counted(orphans, 'row')} without a parent" if orphans else ""
    yield case.finding(
        "warning" if orphans else "note",
        "unchecked",
        f"{_said(key)} is NOT VALID{lacking}",
        cost="new values are checked and rows that were there are not, so dumps may not restore",
        remedy=f"mend these rows, then alter table {ident(*key.child).as_string()}"
        f" validate constraint {ident(key.name).as_string()}",
    )


def incoming(case: EntityCheck) -> Iterator[Finding]:
    """Foreign keys to the table that carry a delete of the sync on to other rows."""
    if case.table is None or case.entity.missing != "delete":
        return
    for key in case.table.referrers:
        if key.on_delete in _CARRIES:
            yield case.finding(
                "warning",
                "cascade",
                f"foreign key {key.name} {_CARRIES[key.on_delete]} rows of {_table(key.child)} when a row"
                " here is deleted, as missing='delete' does",
                cost="rows go with the one that vanished; no plan counts them and no undo brings them back",
                remedy="make it ON DELETE NO ACTION, or declare missing='keep' or 'flag'",
            )
