"""The definitions of one system: Dagster objects, and jobs and source for the command line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import dagster as dg

from sync_pipeline.orchestration.jobs import AssetJob
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.orchestration.resources import Source


class ClosingSource(Source, Protocol):
    """A source that its creator closes."""

    def close(self) -> None:
        """Close the connections."""
        ...

    def fields(self) -> dict[str, list[str]]:
        """Field names by record type (in lower case), from the source's own metadata."""
        ...


@dataclass(frozen=True)
class SystemDefinitions:
    """A system, or one direction of it, with its Dagster definitions.

    `source` makes a client of its source for commands outside of a run; `partial` serves `sync.request`.
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
