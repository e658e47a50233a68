"""The system of the phone cache: everything that runs it."""

from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.system_definitions import SystemDefinitions
from sync_pipeline.systems.meta_assets import assets, jobs, schedules
from sync_pipeline.systems.meta_assets.entities import META_ASSETS
from sync_pipeline.systems.meta_assets.resource import MetaSource

PHONE_SYNC = SystemDefinitions(
    runs=jobs.RUNS,
    source=MetaSource,
    assets=assets.ASSETS,
    checks=assets.CHECKS,
    jobs=jobs.JOBS,
    partial=jobs.meta_assets_partial,
    resources={"meta_assets": MetaSource(), "meta_assets_merge": merge_io_manager([META_ASSETS])},
    schedules=schedules.SCHEDULES,
)
