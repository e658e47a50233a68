"""The two databases of the desktop system as resources: each is a source one way and a target back."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import dagster as dg
from pydantic import PrivateAttr

from sync_pipeline.merge.stage import Connection
from sync_pipeline.merge.stream import EntityBatches, Progress
from sync_pipeline.merge.tables import BOOK_SCHEMA
from sync_pipeline.model.catalog import System
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import connect
from sync_pipeline.settings import Settings
from sync_pipeline.systems.desktop.backwards import ONLY, REVERSE
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.relational.source import RelationalSource

VARIABLE = "DESKTOP_DSN"


class DesktopDatabase(TargetDatabase):
    """The desktop database as a target; its bookkeeping keeps to the schemas `sync` and `sync_base`."""

    key: ClassVar[str] = "desktop_target"

    def _open(self, settings: Settings, name: str) -> Connection:
        connection = connect(
            settings.desktop(),
            application_name=name,
            statement_timeout=settings.statement_timeout,
            variable=VARIABLE,
        )
        # `public` belongs to another program: also what the target keeps there is kept in ours here.
        connection.execute(
            "select set_config('search_path', %s, false)", [f"{BOOK_SCHEMA}, public"]
        )
        return connection


class _Database(dg.ConfigurableResource):
    """One of the two as a source: all tables of a run are read in one snapshot."""

    _source: RelationalSource | None = PrivateAttr(default=None)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """End the snapshot at the end of the run."""
        self.close()

    def close(self) -> None:
        """End the snapshot; harmless when there is none."""
        if self._source:
            self._source.close()
            self._source = None

    @property
    def source(self) -> RelationalSource:
        """The run's source.

        Raises:
            SettingsError: the database is not named in the environment.
        """
        if self._source is None:
            self._source = self._made(Settings.read())
        return self._source

    @abstractmethod
    def _made(self, settings: Settings) -> RelationalSource: ...

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope; see `orchestration.resources.Source`."""
        return self.source.read(entity, scope, since)

    def _fields(self, system: System) -> dict[str, list[str]]:
        found = self.source.fields([e.source for e in system.entities])
        return {name.lower(): columns for name, columns in found.items()}


class DesktopSource(_Database):
    """Reads the desktop database named by DESKTOP_DSN."""

    def _made(self, settings: Settings) -> RelationalSource:
        return RelationalSource(
            settings.desktop(),
            variable=VARIABLE,
            statement_timeout=settings.statement_timeout,
            outage=settings.source_outage,
        )

    def fields(self) -> dict[str, list[str]]:
        """Columns of each table that is synced."""
        return self._fields(DESKTOP)


class MobileSource(_Database):
    """Reads the rows that mobile users own from the target database."""

    def _made(self, settings: Settings) -> RelationalSource:
        return RelationalSource(
            settings.target(),
            variable="SYNC_TARGET_DSN",
            only=ONLY,
            statement_timeout=settings.statement_timeout,
            outage=settings.source_outage,
        )

    def fields(self) -> dict[str, list[str]]:
        """Columns of each table that is synced."""
        return self._fields(REVERSE)
