"""A Postgres database as a Dagster resource that reads."""

from __future__ import annotations

import dagster as dg
from pydantic import Field, PrivateAttr

from sync_pipeline.merge.stream import EntityBatches, Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.settings import Settings
from sync_pipeline.sources.postgres.reader import PostgresReader


class PostgresSource(dg.ConfigurableResource):
    """Reads the Postgres database that an environment variable names; all of a run in one snapshot."""

    variable: str = Field(description="The environment variable that holds the libpq URI.")
    relations: list[str] = Field(default=[], description="Tables that are read, as SQL names them.")
    only_column: str = Field(default="", description="A column that says which rows are meant.")
    only_values: list[str] = Field(default=[], description="What it holds in those rows.")

    _source: PostgresReader | None = PrivateAttr(default=None)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """End the snapshot at the end of the run."""
        self.close()

    def close(self) -> None:
        """End the snapshot; harmless when there is none."""
        if self._source:
            self._source.close()
            self._source = None

    @property
    def source(self) -> PostgresReader:
        """The run's source.

        Raises:
            SettingsError: the database is not named in the environment.
        """
        if self._source is None:
            settings = Settings.read()
            self._source = PostgresReader(
                settings.database(self.variable),
                variable=self.variable,
                only=(self.only_column, tuple(self.only_values)) if self.only_column else None,
                statement_timeout=settings.statement_timeout,
                outage=settings.source_outage,
            )
        return self._source

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope; see `orchestration.resources.Source`."""
        return self.source.read(entity, scope, since)

    def fields(self) -> dict[str, list[str]]:
        """Columns of each table that is read, by its name in lower case."""
        return {n.lower(): columns for n, columns in self.source.fields(self.relations).items()}
