"""The system of menus: everything that runs it."""

from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.system_definitions import SystemDefinitions
from sync_pipeline.systems.integrations import assets, jobs, schedules, sensors
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.integrations.resource import MenuSource

MENU_SYNC = SystemDefinitions(
    runs=jobs.RUNS,
    source=MenuSource,
    assets=assets.ASSETS,
    checks=assets.CHECKS,
    jobs=jobs.JOBS,
    partial=jobs.integrations_partial,
    resources={
        "integrations": MenuSource(),
        "integrations_merge": merge_io_manager([INTEGRATIONS]),
    },
    schedules=schedules.SCHEDULES,
    sensors=sensors.SENSORS,
)
