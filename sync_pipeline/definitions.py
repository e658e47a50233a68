"""What Dagster loads: wiring only."""

from collections.abc import Callable, Iterable
from typing import Any

import dagster as dg

from sync_pipeline.orchestration.orphaned_runs import orphaned_runs_sensor
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase
from sync_pipeline.orchestration.retention import nightly, retention_job
from sync_pipeline.orchestration.sensors import history_sensors, request_sensor
from sync_pipeline.orchestration.system_definitions import SystemDefinitions
from sync_pipeline.systems.definitions import ALL, EXTRA_TARGETS


def build() -> dg.Definitions:
    """All definitions, made anew."""
    retention = retention_job(EXTRA_TARGETS)
    resources = [system.resources for system in ALL]
    return dg.Definitions(
        assets=_of_all(lambda system: system.assets),
        asset_checks=_of_all(lambda system: system.checks),
        jobs=[*_of_all(lambda system: system.jobs), retention],
        schedules=[*_of_all(lambda system: system.schedules), nightly(retention)],
        sensors=[
            *_of_all(lambda system: system.sensors),
            request_sensor([s.runs for s in ALL], [s.partial for s in ALL]),
            *history_sensors(EXTRA_TARGETS),
            orphaned_runs_sensor(EXTRA_TARGETS),
        ],
        resources={
            "target": TargetDatabase(retry_on_outage=True),
            "scope": SyncScope.configure_at_launch(),
            **{key: resource for each in resources for key, resource in each.items()},
        },
        executor=dg.in_process_executor,
    )


def _of_all(select: Callable[[SystemDefinitions], Iterable[Any]]) -> list[Any]:
    return [one for system in ALL for one in select(system)]


defs = build()
