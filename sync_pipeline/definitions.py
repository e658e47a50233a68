"""What Dagster loads: wiring only."""

from __future__ import annotations

import dagster as dg

from sync_pipeline.orchestration.abandoned import settling_sensor
from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase
from sync_pipeline.orchestration.retention import nightly, retention_job
from sync_pipeline.orchestration.scheduling import history_sensors, request_sensor
from sync_pipeline.systems.bubble import assets as bubble_assets
from sync_pipeline.systems.bubble import automation as bubble_automation
from sync_pipeline.systems.bubble import jobs as bubble_jobs
from sync_pipeline.systems.bubble.source import BubbleSource
from sync_pipeline.systems.desktop import assets as desktop_assets
from sync_pipeline.systems.desktop import automation as desktop_automation
from sync_pipeline.systems.desktop import jobs as desktop_jobs
from sync_pipeline.systems.desktop.databases import (
    DesktopDatabase,
    DesktopSource,
    MobileSource,
)
from sync_pipeline.systems.registry import REVERSES, SYSTEMS
from sync_pipeline.systems.runs import OTHERS


def build() -> dg.Definitions:
    """All definitions, freshly wired."""
    retention = retention_job(OTHERS)
    return dg.Definitions(
        assets=[*bubble_assets.ASSETS, *desktop_assets.ASSETS],
        asset_checks=[*bubble_assets.CHECKS, *desktop_assets.CHECKS],
        jobs=[*bubble_jobs.JOBS, *desktop_jobs.JOBS, retention],
        schedules=[
            *bubble_automation.SCHEDULES,
            *desktop_automation.SCHEDULES,
            nightly(retention),
        ],
        sensors=[
            *bubble_automation.SENSORS,
            request_sensor(
                [bubble_jobs.RUNS, desktop_jobs.RUNS, desktop_jobs.REVERSE_RUNS],
                [
                    bubble_jobs.bubble_partial,
                    desktop_jobs.desktop_partial,
                    desktop_jobs.desktop_reverse_partial,
                ],
            ),
            *history_sensors(OTHERS),
            settling_sensor(OTHERS),
        ],
        resources={
            "target": TargetDatabase(patient=True),
            "scope": SyncScope.configure_at_launch(),
            "merge": merge_io_manager(SYSTEMS),
            "bubble": BubbleSource(),
            "desktop": DesktopSource(),
            "mobile": MobileSource(),
            "desktop_target": DesktopDatabase(patient=True),
            "desktop_merge": merge_io_manager(tuple(REVERSES.values()), DesktopDatabase.key),
        },
        executor=dg.in_process_executor,
    )


defs = build()
