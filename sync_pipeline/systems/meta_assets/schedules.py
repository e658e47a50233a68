"""The phone cache's schedules."""

from sync_pipeline.orchestration.schedules import skipping_schedule, unnamed_source
from sync_pipeline.systems.meta_assets.entities import META_ASSETS
from sync_pipeline.systems.meta_assets.jobs import meta_assets_full, meta_assets_sync

unready = unnamed_source(META_ASSETS)


SCHEDULES = [
    skipping_schedule(
        meta_assets_sync,
        META_ASSETS,
        "20 * * * *",
        name="meta_assets_hourly",
        time_zone="UTC",
        description="The phone numbers of every connected workspace, every hour.",
        unready=unready,
    ),
    skipping_schedule(
        meta_assets_full,
        META_ASSETS,
        "50 2 * * *",
        name="meta_assets_nightly",
        time_zone="UTC",
        description="The same every night, re-asserted over what other programs wrote into the cache.",
        unready=unready,
    ),
]
