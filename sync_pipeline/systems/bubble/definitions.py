"""Everything that Dagster runs of the Bubble system."""

from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.system_definitions import SystemDefinitions
from sync_pipeline.systems.bubble import assets, jobs, schedules, sensors
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.resource import BubbleSource

BUBBLE_SYNC = SystemDefinitions(
    runs=jobs.RUNS,
    source=BubbleSource,
    assets=assets.ASSETS,
    checks=assets.CHECKS,
    jobs=jobs.JOBS,
    partial=jobs.bubble_partial,
    resources={"bubble": BubbleSource(), "merge": merge_io_manager([BUBBLE])},
    schedules=schedules.SCHEDULES,
    sensors=sensors.SENSORS,
)
