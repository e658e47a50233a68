"""Mending what the doctor found: missing tables and columns by a migration, keys by repairs.

A repair is one transaction for each entity. A migration that is only rehearsed is taken back at its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import event

from sync_pipeline.doctor.findings import Finding
from sync_pipeline.doctor.repair.deduplicate import repair
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.errors import SyncError
from sync_pipeline.merge.relations import columns
from sync_pipeline.merge.schema.adopt import MigrationNote, adopt
from sync_pipeline.merge.schema.metadata import unique_name
from sync_pipeline.merge.schema.migrate import bring_to_head
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection, sqlalchemy_url
from sync_pipeline.systems.integrations.keys import repair as menus

# Columns that tell the newest of several rows where no field does; those that a table lacks do not matter.
_NEWEST = ("updated_at", "last_synced_at", "created_at")
BOOKKEEPING_ONLY = "account in the desktop database"
"""Where a report belongs that is of no target."""
_UNBACKED = {"key_index", "key_nulls"}  # kinds of findings that an index on the key mends
_SETTINGS = ("select", "set", "show", "with")


@dataclass(frozen=True)
class FixReport:
    """What was done to one table or database, or would be.

    Attributes:
        where: the entity, `migration`, or `GUEST`.
        status: `done`, `planned` in a dry run, or `refused`; then nothing was changed.
        lines: what was done and why, a sentence each.
        sql: the statements that a dry run would run, as far as they are known before.
        repair_id: names a repair that can be taken back; None where there is none.
    """

    where: str
    status: Literal["done", "planned", "refused"]
    lines: list[str]
    sql: list[str] = field(default_factory=list)
    repair_id: str | None = None


def fix(
    connection: Connection,
    systems: Iterable[System],
    found: Collection[Finding],
    *,
    dry_run: bool = False,
) -> list[FixReport]:
    """Repair the keys that the findings name, an entity at a time.

    Args:
        connection: in autocommit, of a role that owns the tables.
        systems: all that are merged into the database.
        found: what `examine` says of it now.
        dry_run: say what would be done and write nothing.

    Returns:
        A report for each entity concerned, and one more for each repair that it took besides; what a table
        refuses is among them and no error.
    """
    kinds: dict[str, set[str]] = {}
    for finding in (f for f in found if f.fixed_by == "repair"):
        kinds.setdefault(finding.where, set()).add(finding.kind)
    return [
        mended
        for system in systems
        for entity in system.entities
        if (where := f"{system.name}/{entity.name}") in kinds
        for mended in _repaired(connection, where, entity, dry_run=dry_run, kinds=kinds[where])
    ]


def _repaired(
    connection: Connection, where: str, entity: Entity, *, dry_run: bool, kinds: set[str]
) -> Iterator[FixReport]:
    key = unique_key(entity)
    items = menus.items_of(key.place)
    try:
        # Rows of menus are told apart by values that have to be filled first.
        if items:
            *dropped, repaired = menus.rekey(connection, items, dry_run=dry_run)
        else:
            dropped, repaired = [], repair(connection, key, dry_run=dry_run)
    except SyncError as error:
        yield FixReport(where, "refused", [str(error)])
        return
    status = "planned" if dry_run else "done"
    for report in (*dropped, repaired):
        is_built = report is repaired and dry_run and bool(kinds & _UNBACKED)
        statements = [_creation(connection, key)] if is_built else []
        repair_id = str(report.repair_id) if report.repair_id else None
        yield FixReport(where, status, report.lines, statements, repair_id)


def unique_key(entity: Entity) -> UniqueKey:
    """What the target's key has to be; of duplicates, the one that was modified last is the newest."""
    return UniqueKey(
        schema=entity.schema,
        table=entity.table,
        columns=entity.key,
        nulls_not_distinct=any(f.nulls_not_distinct for f in entity.key_fields),
        name=unique_name(entity.table, entity.key),
        newest=((entity.modified,) if entity.modified else ()) + _NEWEST,
        null_is_value=(entity.partition_error,) if entity.partition_error else (),
    )


def _creation(connection: Connection, key: UniqueKey) -> str:
    nulls = sql.SQL(" nulls not distinct" if key.nulls_not_distinct else "")
    return (
        sql.SQL("create unique index {} on {} ({}){}")
        .format(sql.Identifier(key.name), key.place.relation, columns(key.columns), nulls)
        .as_string(connection)
    )


def migrated(notes: Iterable[MigrationNote], *, where: str = "migration") -> FixReport:
    """A migration as a report; what it left, because it differs or repeats keys, is found again."""
    endings = {"created": " created", "repaired": ""}
    made = [f"{n.table}: {n.text}{endings[n.kind]}" for n in notes if n.kind in endings]
    return FixReport(where, "done", made)


def dry_run_migration(dsn: str, meta: sa.MetaData, *, guest: bool = False) -> FixReport:
    """What a migration would do: it is run, and taken back.

    Args:
        dsn: libpq URI of the database.
        meta: tables of the entities, their bases and the bookkeeping.
        guest: the database belongs to another program, and only our own account is kept there.

    Raises:
        sqlalchemy.exc.DBAPIError: the migration fails, or other sessions hold a table for too long.
    """
    engine = sa.create_engine(sqlalchemy_url(dsn), poolclass=sa.NullPool)
    statements: list[str] = []

    def note(*call: Any) -> None:
        statement = " ".join(call[2].split())
        if not statement.lower().startswith(_SETTINGS):
            statements.append(statement)

    with engine.connect() as connection:
        transaction = connection.begin()
        connection.execute(sa.text("set local lock_timeout = '5s'"))
        event.listen(connection, "before_cursor_execute", note)
        notes = adopt(connection, meta) if guest else bring_to_head(connection, meta)
        transaction.rollback()
    done = migrated(notes, where=BOOKKEEPING_ONLY if guest else "migration")
    return replace(done, status="planned", sql=statements)
