"""The Dagster definitions of a system whose source is a Postgres database.

All jobs run in one process, because only one process can read all tables in one snapshot.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from sync_pipeline.errors import SettingsError
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.orchestration.asset_checks import entity_checks
from sync_pipeline.orchestration.asset_keys import source_key
from sync_pipeline.orchestration.assets import ResourceKeys, entity_assets, source_assets
from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.jobs import AssetJob, table_job
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.schedules import skipping_schedule
from sync_pipeline.orchestration.system_definitions import SystemDefinitions
from sync_pipeline.settings import Settings
from sync_pipeline.sources.postgres.columns import RowFilter
from sync_pipeline.sources.postgres.resource import PostgresSource


@dataclass(frozen=True)
class PostgresSystem:
    """A system whose source is a Postgres database.

    Attributes:
        system: its entities; their sources are tables or views.
        variable: the environment variable that names the source.
        hourly: cron of the delta; empty for never.
        nightly: cron of the full sync; empty for never.
        time_zone: of both.
        row_filter: a column of every table, and its values in the rows that are read.
        target: the database that it is merged into.
        origin: the upstream asset of an entity; by default an external asset of the source.
        preconditions: checks of the environment before a schedule starts a run; each raises
            `SettingsError`.
        delta: name of the job that syncs what changed; by default `<system>_sync`.
    """

    system: System
    variable: str
    hourly: str = "0 * * * *"
    nightly: str = "30 1 * * *"
    time_zone: str = "UTC"
    row_filter: RowFilter | None = None
    target: TargetDatabase = field(default_factory=lambda: TargetDatabase(retry_on_outage=True))
    origin: Callable[[Entity], dg.AssetKey] | None = None
    preconditions: tuple[Callable[[Settings], object], ...] = ()
    delta: str = ""

    def source(self) -> PostgresSource:
        """A client of the source."""
        column, values = self.row_filter or ("", ())
        return PostgresSource(
            variable=self.variable,
            relations=[e.source for e in self.system.entities],
            filter_column=column,
            filter_values=list(values),
        )

    def definitions(self) -> SystemDefinitions:
        """The system's assets, checks, jobs, schedules and resources."""
        system, name, own = self.system, self.system.name, self.target.key != TargetDatabase.key
        source, merge = f"{name}_source", f"{name}_merge"
        origin = self.origin or source_key
        keys = ResourceKeys(source, self.target.key, merge, origin, one_at_a_time=True)
        delta, full, partial = self._jobs()
        return SystemDefinitions(
            runs=SystemRuns(
                system,
                delta=delta.name,
                full=full.name,
                partial=partial.name,
                ranges=False,
                database=self.target,
            ),
            source=self.source,
            assets=[
                *(() if self.origin else source_assets(system)),
                *entity_assets(system, keys),
            ],
            checks=entity_checks(system, self.target.key),
            jobs=[delta, full, partial],
            partial=partial,
            resources={
                source: self.source(),
                merge: merge_io_manager([system], self.target.key),
                **({self.target.key: self.target} if own else {}),
            },
            schedules=self._schedules(delta, full),
        )

    def _jobs(self) -> tuple[AssetJob, AssetJob, AssetJob]:
        name, place = self.system.name, " ".join(self.system.key_prefix)
        return (
            self._job(
                self.delta or f"{name}_sync",
                f"What changed at the source of {place} since the last run, in the order of the links."
                " Needs no configuration.",
            ),
            self._job(
                f"{name}_full",
                f"Every row at the source of {place}; also finds rows that are missing there.",
                full=True,
            ),
            self._job(
                f"{name}_partial",
                f"Some rows of {place} by key, as people and apps request them through sync.request.",
            ),
        )

    def _job(self, name: str, description: str, *, full: bool = False) -> AssetJob:
        return table_job(self.system, name, description, full=full, target=self.target.key)

    def _schedules(self, delta: AssetJob, full: AssetJob) -> list[dg.ScheduleDefinition]:
        schedules = (
            (delta, self.hourly, "hourly", "What changed, every hour."),
            (full, self.nightly, "nightly", "Everything, every night: also finds missing rows."),
        )
        return [
            skipping_schedule(
                job,
                self.system,
                cron,
                name=f"{self.system.name}_{name}",
                time_zone=self.time_zone,
                description=description,
                unready=self.unready,
            )
            for job, cron, name, description in schedules
            if cron
        ]

    def unready(self) -> str | None:
        """Why no run can succeed by the environment; None if nothing prevents it."""
        try:
            settings = Settings.read()
            for check in self.preconditions:
                check(settings)
            settings.database(self.variable)
        except SettingsError as error:
            return str(error)
        return None
