"""A Postgres database as a Dagster resource that reads."""

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
    filter_column: str = Field(default="", description="Column that selects the rows to read.")
    filter_values: list[str] = Field(default=[], description="Its values in these rows.")

    _reader: PostgresReader | None = PrivateAttr(default=None)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """End the snapshot at the end of the run."""
        self.close()

    def close(self) -> None:
        """End the snapshot; harmless when there is none."""
        if self._reader:
            self._reader.close()
            self._reader = None

    @property
    def reader(self) -> PostgresReader:
        """The run's reader.

        Raises:
            SettingsError: the database is not named in the environment.
        """
        if self._reader is None:
            settings = Settings.read()
            self._reader = PostgresReader(
                settings.database(self.variable),
                variable=self.variable,
                row_filter=(self.filter_column, tuple(self.filter_values))
                if self.filter_column
                else None,
                statement_timeout=settings.statement_timeout,
                outage=settings.source_outage,
            )
        return self._reader

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope; see `orchestration.resources.Source`."""
        return self.reader.read(entity, scope, since)

    def fields(self) -> dict[str, list[str]]:
        """Columns of each table that is read, by its name in lower case."""
        return {n.lower(): columns for n, columns in self.reader.fields(self.relations).items()}
