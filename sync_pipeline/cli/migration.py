"""Migration of all databases: the target's tables, and the bookkeeping in the reverse target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from sync_pipeline.cli.databases import REVERSE_DATABASE
from sync_pipeline.errors import SyncError
from sync_pipeline.postgres.connect import connect
from sync_pipeline.postgres.errors import one_line
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import REVERSE_TARGET, SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.merge.schema.adopt import MigrationNote

REVERSE_BOOKKEEPING = f"bookkeeping in the {REVERSE_TARGET.title}"
"""Where reports about that database belong."""


@dataclass
class BookkeepingReport:
    """The bookkeeping created in the reverse target, or the problem that makes reverse runs fail."""

    notes: list[MigrationNote] = field(default_factory=list)
    problem: str | None = None


@dataclass
class MigrationReport:
    """What a migration did to the target, and to the reverse target where there is one."""

    notes: list[MigrationNote]
    reverse: BookkeepingReport | None

    def repairs(self, *, short: bool = False) -> list[str]:
        """What was repaired, and what the data refused: a line per table, without reasons if `short`."""
        lines: dict[str, list[str]] = {}
        for note in self.notes:
            if note.kind in {"repaired", "refused"}:
                repair, _, _ = note.text.partition(": ")
                text = repair if short and note.kind == "repaired" else note.text
                lines.setdefault(note.table, []).append(text)
        return [f"{table}: {'; '.join(texts)}" for table, texts in lines.items()]


def migrate_all(settings: Settings, *, reverse_may_fail: bool = False) -> MigrationReport:
    """Migrate the target, and create the bookkeeping in the reverse target where there is one.

    With `reverse_may_fail`, a reverse target that cannot be reached is reported.

    Raises:
        SyncError: one of them cannot be reached; then nothing has been done to either.
    """
    from sync_pipeline.merge.schema.metadata import metadata
    from sync_pipeline.merge.schema.migrate import migrate
    from sync_pipeline.systems.migration_hooks import AFTER_MIGRATION

    # Connect first: SQLAlchemy's own errors are pages long.
    connect(settings.target()).close()
    reverse = None
    source = REVERSE_TARGET.system.source
    if not source.missing(settings):
        try:
            REVERSE_DATABASE.connect(settings).close()
        except SyncError as error:
            if not reverse_may_fail:
                raise
            reverse = BookkeepingReport(problem=str(error))
    notes = migrate(settings.target(), metadata(SYSTEMS), AFTER_MIGRATION)
    if not source.missing(settings) and not reverse:
        reverse = _create_bookkeeping(settings)
    return MigrationReport(notes, reverse)


def _create_bookkeeping(settings: Settings) -> BookkeepingReport:
    from sqlalchemy.exc import ProgrammingError

    from sync_pipeline.merge.schema.metadata import bookkeeping_metadata
    from sync_pipeline.merge.schema.migrate import create_bookkeeping

    try:
        meta = bookkeeping_metadata(REVERSE_DATABASE.systems)
        dsn = settings.database(REVERSE_TARGET.variable)
        return BookkeepingReport(create_bookkeeping(dsn, meta, variable=REVERSE_TARGET.variable))
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        owner = f"Let the owner grant the role in {REVERSE_TARGET.variable} CREATE on the database"
        return BookkeepingReport(
            problem="reverse runs need the schemas sync and sync_base there, which this role may not create:"
            f" {one_line(error.orig)}. {owner}, then migrate again"
        )
