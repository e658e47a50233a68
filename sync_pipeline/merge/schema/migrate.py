"""Migrate a target: Alembic to head, then whatever the entities declare beyond it, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from sync_pipeline.doctor.repair.report import Report
from sync_pipeline.merge.schema.adopt import MigrationNote, adopt
from sync_pipeline.postgres.connect import sqlalchemy_url
from sync_pipeline.settings import PROJECT
from sync_pipeline.systems.integrations.keys import repair


def migrate(dsn: str, meta: sa.MetaData) -> list[MigrationNote]:
    """Bring a target to head.

    Args:
        dsn: libpq URI of the target.
        meta: tables of the entities, their bases and the bookkeeping.

    Returns:
        What migrations repaired or kept, what was created, what differs from the model and was left, what
        the data does not allow.

    Raises:
        SyncError: a repair cannot be made; nothing was changed, and the message names the rows.
    """
    engine = sa.create_engine(sqlalchemy_url(dsn), poolclass=sa.NullPool)
    with engine.begin() as connection:
        # Two migrations at once would race for the same names.
        name = sa.literal("sync_pipeline migrate")
        connection.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0)))
        )
        return bring_to_head(connection, meta)


def bring_to_head(connection: sa.Connection, meta: sa.MetaData) -> list[MigrationNote]:
    """What `migrate` does, within a transaction that the caller commits or takes back."""
    before = set(_tables(connection))
    settings = config(connection)
    settings.attributes["metadata"] = meta
    command.upgrade(settings, "head")
    # What was right when the menus' keys were repaired may be wrong since: sources get more configurations.
    raw: Any = connection.connection.driver_connection
    for report in repair.drop_colliding(raw):
        add_report(settings, report)
    created = [
        MigrationNote("created", name, "table")
        for name in sorted(set(_tables(connection)) - before)
    ]
    # What was just made has nothing to repair, and nothing that was kept.
    known = before | {name.removeprefix("public.") for name in before}
    repaired = [note for note in collected_notes(settings) if note.table in known]
    return [*repaired, *created, *adopt(connection, meta)]


def create_bookkeeping(dsn: str, meta: sa.MetaData, *, variable: str) -> list[MigrationNote]:
    """Create our own account in a database whose tables belong to another program.

    Args:
        dsn: libpq URI of the database.
        meta: what `tables.guest_metadata` says.
        variable: the environment variable that the DSN came from, for messages.

    Returns:
        What was created.
    """
    engine = sa.create_engine(sqlalchemy_url(dsn, variable=variable), poolclass=sa.NullPool)
    with engine.begin() as connection:
        name = sa.literal("sync_pipeline migrate")
        connection.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0)))
        )
        return adopt(connection, meta)


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration of this project, optionally bound to a connection."""
    settings = Config()
    settings.set_main_option("script_location", str(PROJECT / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def add_report(settings: Config, report: Report) -> None:
    """Hand on what a migration did to a table, from within it."""
    add_notes(settings, [MigrationNote(kind, report.table, text) for kind, text in report.entries])


def add_notes(settings: Config, notes: Iterable[MigrationNote]) -> None:
    """Hand on what a migration did, from within it."""
    settings.attributes.setdefault("notes", []).extend(notes)


def collected_notes(settings: Config) -> list[MigrationNote]:
    """What migrations that ran with this configuration have told."""
    return list(settings.attributes.get("notes", ()))


def _tables(connection: sa.Connection) -> list[str]:
    rows = connection.execute(
        sa.text(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname in ('public', 'sync', 'sync_base')"
        )
    )
    return [name for (name,) in rows]
