"""Migrate a target: Alembic to head, then what the entities declare beyond it, in one transaction.

Migrations import `adopt_declared` and `add_notes` from here. They are run on old databases for years:
keep the names and what they do, whatever else moves.
"""

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event

from sync_pipeline.merge.advisory_locks import MIGRATION, acquire
from sync_pipeline.merge.schema.adopt import MigrationNote, adopt, driver_connection
from sync_pipeline.postgres.connect import Connection, sqlalchemy_url
from sync_pipeline.settings import PROJECT, TARGET

AfterMigration = Callable[[Connection], Iterable[MigrationNote]]
"""A system's own step at the end of each migration, in its transaction."""


def migrate(
    dsn: str, meta: sa.MetaData, after: Iterable[AfterMigration] = ()
) -> list[MigrationNote]:
    """Bring a target to head; then run the steps of the systems, then adopt what the entities declare.

    Returns:
        What migrations repaired or kept, what was created, what differs from the model and was left as it
        is, and what the data does not allow.

    Raises:
        SyncError: a repair cannot be made; nothing was changed, and the message names the rows.
    """
    with target_engine(dsn).begin() as connection:
        _lock(connection)
        return bring_to_head(connection, meta, after)


def target_engine(dsn: str, variable: str = TARGET.name) -> sa.Engine:
    """An engine whose sessions see and make unqualified tables in `public`, whatever the role's own path is.

    Messages name the environment variable of the DSN.
    """
    made = sa.create_engine(sqlalchemy_url(dsn, variable=variable), poolclass=sa.NullPool)
    # First of all, because SQLAlchemy asks each database once for its default schema.
    event.listen(made, "connect", _pin_search_path, insert=True)
    return made


def _pin_search_path(session: Any, _: object) -> None:
    with session.cursor() as cursor:
        cursor.execute("set search_path = public")
    session.commit()  # a rollback would take it back


def _lock(connection: sa.Connection) -> None:
    """Keep other migrations out until the transaction ends: two would race for the same names."""
    acquire(driver_connection(connection), MIGRATION, "transaction")


def bring_to_head(
    connection: sa.Connection, meta: sa.MetaData, after: Iterable[AfterMigration] = ()
) -> list[MigrationNote]:
    """What `migrate` does, in a transaction that the caller commits or rolls back."""
    before = set(_tables(connection))
    settings = config(connection)
    settings.attributes["metadata"] = meta
    command.upgrade(settings, "head")
    for step in after:
        add_notes(settings, step(driver_connection(connection)))
    created = [
        MigrationNote("created", name, "table")
        for name in sorted(set(_tables(connection)) - before)
    ]
    # Migrations also report on tables that they have just created; there was nothing to repair in those.
    known = before | {name.removeprefix("public.") for name in before}
    repaired = [note for note in collected_notes(settings) if note.table in known]
    return [*repaired, *created, *adopt(connection, meta)]


def create_bookkeeping(dsn: str, meta: sa.MetaData, *, variable: str) -> list[MigrationNote]:
    """Create base and bookkeeping tables in a database whose tables belong to another program.

    `meta` is of `metadata.bookkeeping_metadata`; messages name the environment variable of the DSN.
    """
    with target_engine(dsn, variable).begin() as connection:
        _lock(connection)
        return adopt(connection, meta)


def config(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration of this project, optionally bound to a connection."""
    settings = Config()
    settings.set_main_option("script_location", str(PROJECT / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings


def adopt_declared(connection: sa.Connection, settings: Config) -> None:
    """Called by a migration: create what the entities of today declare and the database lacks."""
    found = adopt(connection, settings.attributes["metadata"])
    # What differs or is refused is found again at the end, unless a later migration has fixed it.
    add_notes(settings, [note for note in found if note.kind == "created"])


def add_notes(settings: Config, notes: Iterable[MigrationNote]) -> None:
    """Called by a migration: report what it did."""
    settings.attributes.setdefault("notes", []).extend(notes)


def collected_notes(settings: Config) -> list[MigrationNote]:
    """What the migrations that ran with this configuration reported."""
    return list(settings.attributes.get("notes", ()))


def _tables(connection: sa.Connection) -> list[str]:
    rows = connection.execute(
        sa.text(
            "select format('%I.%I', schemaname, tablename) from pg_tables"
            " where schemaname in ('public', 'sync', 'sync_base')"
        )
    )
    return [name for (name,) in rows]
