"""Bringing databases to what runs need: the target by migrations, others by an account of our own in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from sync_pipeline.cli.databases import DESKTOP_DATABASE
from sync_pipeline.errors import SyncError
from sync_pipeline.postgres.errors import one_line
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.merge.schema.adopt import MigrationNote

DESKTOP_BOOKKEEPING = "bookkeeping in the desktop database"
"""Where reports about that database belong."""


@dataclass
class Opened:
    """What opening the account in the desktop database came to.

    Attributes:
        notes: what was created there.
        problem: why reverse runs cannot succeed yet; None when nothing is in their way.
    """

    notes: list[MigrationNote] = field(default_factory=list)
    problem: str | None = None


@dataclass
class Prepared:
    """What a migration did.

    Attributes:
        notes: about the target.
        desktop: about the desktop database; None where there is none.
    """

    notes: list[MigrationNote]
    desktop: Opened | None


def prepare(settings: Settings, *, without_desktop: bool = False) -> Prepared:
    """Migrate the target, and open the account in the desktop database where there is one.

    Args:
        settings: where they are.
        without_desktop: a desktop database that cannot be reached is a problem to tell, no failure.

    Raises:
        SyncError: one of them cannot be reached; then nothing has been done to either.
    """
    from sync_pipeline.merge.schema.metadata import metadata
    from sync_pipeline.merge.schema.migrate import migrate
    from sync_pipeline.postgres.connect import connect
    from sync_pipeline.systems.repairs import AFTER_MIGRATION

    # SQLAlchemy would say at length what is wrong.
    connect(settings.target()).close()
    opened = None
    if settings.desktop_dsn:
        try:
            DESKTOP_DATABASE.connect(settings).close()
        except SyncError as error:
            if not without_desktop:
                raise
            opened = Opened(problem=str(error))
    notes = migrate(settings.target(), metadata(SYSTEMS), AFTER_MIGRATION)
    if settings.desktop_dsn and not opened:
        opened = _open_account(settings)
    return Prepared(notes, opened)


def _open_account(settings: Settings) -> Opened:
    from sqlalchemy.exc import ProgrammingError

    from sync_pipeline.merge.schema.metadata import bookkeeping_metadata
    from sync_pipeline.merge.schema.migrate import create_bookkeeping
    from sync_pipeline.systems.desktop.connection import VARIABLE

    try:
        meta = bookkeeping_metadata(DESKTOP_DATABASE.systems)
        return Opened(create_bookkeeping(settings.desktop(), meta, variable=VARIABLE))
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        said = one_line(error.orig)
        return Opened(
            problem="reverse runs need the schemas sync and sync_base there, which this role may not create:"
            f" {said}. Let the owner grant the role in {VARIABLE} CREATE on the database, then migrate again"
        )
