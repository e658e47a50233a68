"""What a system brings along: definitions for Dagster, runs and a source for the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import dagster as dg

from sync_pipeline.orchestration.jobs import AssetJob
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.orchestration.resources import Source


class ClosingSource(Source, Protocol):
    """A source that is closed by whoever made it."""

    def close(self) -> None:
        """Close the connections."""
        ...

    def fields(self) -> dict[str, list[str]]:
        """Field names of each record type in lower case, as the source itself describes them."""
        ...


@dataclass(frozen=True)
class SystemDefinitions:
    """A system, or one direction of it, with everything that runs it.

    Attributes:
        runs: its jobs by what they are for, and the database that they write.
        source: makes a client of its source, for commands that ask it outside of a run.
        assets: its tables and what surrounds them.
        checks: their checks.
        jobs: all of its jobs.
        partial: the one of them that serves `sync.request`.
        resources: by key; what only this system needs.
        schedules: when it runs by itself.
        sensors: what else makes it run.
    """

    runs: SystemRuns
    source: Callable[[], ClosingSource]
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec]
    checks: Sequence[dg.AssetChecksDefinition]
    jobs: Sequence[AssetJob]
    partial: AssetJob
    resources: Mapping[str, Any]
    schedules: Sequence[dg.ScheduleDefinition] = ()
    sensors: Sequence[dg.SensorDefinition] = field(default=())
