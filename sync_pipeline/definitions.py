"""What Dagster loads: wiring only."""

from __future__ import annotations

import dagster as dg

from sync_pipeline.orchestration.abandoned import settle_abandoned
from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase
from sync_pipeline.orchestration.retention import retention, retention_nightly
from sync_pipeline.orchestration.scheduling import history_sensors, request_sensor
from sync_pipeline.systems.bubble import assets as bubble_assets
from sync_pipeline.systems.bubble import automation as bubble_automation
from sync_pipeline.systems.bubble import jobs as bubble_jobs
from sync_pipeline.systems.bubble.source import BubbleSource
from sync_pipeline.systems.registry import SYSTEMS


def build() -> dg.Definitions:
    """All definitions, freshly wired."""
    return dg.Definitions(
        assets=bubble_assets.ASSETS,
        asset_checks=bubble_assets.CHECKS,
        jobs=[*bubble_jobs.JOBS, retention],
        schedules=[*bubble_automation.SCHEDULES, retention_nightly],
        sensors=[
            *bubble_automation.SENSORS,
            request_sensor([bubble_jobs.RUNS], bubble_jobs.bubble_partial),
            *history_sensors(),
            settle_abandoned,
        ],
        resources={
            "target": TargetDatabase(patient=True),
            "scope": SyncScope.configure_at_launch(),
            "merge": merge_io_manager(SYSTEMS),
            "bubble": BubbleSource(),
        },
        executor=dg.in_process_executor,
    )


defs = build()
