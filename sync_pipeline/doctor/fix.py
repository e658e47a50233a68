"""Fixes what the doctor found: missing tables and columns by a migration, keys by repairs.

Each repair of an entity is one transaction. The dry run of a migration runs it and rolls it back.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import event

from sync_pipeline.doctor.findings import Finding
from sync_pipeline.doctor.repair import deduplicate
from sync_pipeline.doctor.repair.table_repair import TableRepair, repair_of
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.errors import SyncError
from sync_pipeline.merge.relations import columns
from sync_pipeline.merge.schema.adopt import MigrationNote, adopt
from sync_pipeline.merge.schema.metadata import unique_name
from sync_pipeline.merge.schema.migrate import AfterMigration, bring_to_head, target_engine
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection

# Columns that date a row where no field does; those that a table lacks are skipped.
_NEWEST = ("updated_at", "last_synced_at", "created_at")
_UNBACKED = {"key_index", "key_nulls"}  # kinds of findings that an index on the key fixes
_SETTINGS = ("select", "set", "show", "with")


@dataclass(frozen=True)
class FixReport:
    """What was done to one table or database, or would be.

    Attributes:
        where: the entity, `migration`, or the database that only our bookkeeping is in.
        status: `done`, `planned` in a dry run, or `refused`; then nothing was changed.
        lines: what was done and why, a sentence each.
        sql: the statements that a dry run would run, as far as they are known before.
        repair_id: of a repair that can be restored; None where there is none.
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
    repairs: Sequence[TableRepair] = (),
    dry_run: bool = False,
) -> list[FixReport]:
    """Repair the keys that the findings of `examine` name, an entity at a time.

    The connection is in autocommit, of a role that owns the tables; `repairs` are of tables whose keys a
    system repairs by its own rules. Each repair has a report; a table that cannot be repaired is reported as
    `refused`, not raised.
    """
    kinds: dict[str, set[str]] = {}
    for finding in (f for f in found if f.fixed_by == "repair"):
        kinds.setdefault(finding.where, set()).add(finding.kind)
    return [
        report
        for system in systems
        for entity in system.entities
        if (where := f"{system.name}/{entity.name}") in kinds
        for report in _repaired(
            connection, where, entity, repairs, dry_run=dry_run, kinds=kinds[where]
        )
    ]


def _repaired(
    connection: Connection,
    where: str,
    entity: Entity,
    repairs: Sequence[TableRepair],
    *,
    dry_run: bool,
    kinds: set[str],
) -> Iterator[FixReport]:
    key = unique_key(entity)
    try:
        if own := repair_of(repairs, key.table_name):
            *dropped, repaired = own.repair(connection, dry_run=dry_run)
        else:
            dropped, repaired = [], deduplicate.repair(connection, key, dry_run=dry_run)
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
    """The key that an entity's table needs; of duplicates, the one that was modified last survives."""
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
        .format(sql.Identifier(key.name), key.table_name.relation, columns(key.columns), nulls)
        .as_string(connection)
    )


def migrated(notes: Iterable[MigrationNote], *, where: str = "migration") -> FixReport:
    """A migration as a report of what it created and repaired; the doctor finds again what it left."""
    endings = {"created": " created", "repaired": ""}
    made = [f"{n.table}: {n.text}{endings[n.kind]}" for n in notes if n.kind in endings]
    return FixReport(where, "done", made)


def dry_run_migration(
    dsn: str, meta: sa.MetaData, after: Iterable[AfterMigration] = ()
) -> FixReport:
    """Run `migrate` on a target and roll it back; raises SQLAlchemy's `DBAPIError` if it fails."""
    return _rolled_back(dsn, lambda c: bring_to_head(c, meta, after), where="migration")


def dry_run_bookkeeping(dsn: str, meta: sa.MetaData, *, where: str) -> FixReport:
    """The same for `create_bookkeeping` in another program's database."""
    return _rolled_back(dsn, lambda c: adopt(c, meta), where=where)


def _rolled_back(
    dsn: str, migration: Callable[[sa.Connection], list[MigrationNote]], *, where: str
) -> FixReport:
    statements: list[str] = []

    def record(*call: Any) -> None:
        statement = " ".join(call[2].split())
        if not statement.lower().startswith(_SETTINGS):
            statements.append(statement)

    with target_engine(dsn).connect() as connection:
        transaction = connection.begin()
        connection.execute(sa.text("set local lock_timeout = '5s'"))
        event.listen(connection, "before_cursor_execute", record)
        notes = migration(connection)
        transaction.rollback()
    return replace(migrated(notes, where=where), status="planned", sql=statements)
