"""The Bubble system's schedules: changes every hour, everything every night."""

from sync_pipeline.orchestration.schedules import skipping_schedule, unnamed_source
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.jobs import bubble_full, bubble_sync

TIME_ZONE = "Asia/Kuala_Lumpur"

SCHEDULES = [
    skipping_schedule(
        bubble_sync,
        BUBBLE,
        "0 * * * *",
        name="bubble_hourly",
        time_zone=TIME_ZONE,
        description="What changed in Bubble, every hour.",
        unready=unnamed_source(BUBBLE),
    ),
    skipping_schedule(
        bubble_full,
        BUBBLE,
        "30 2 * * *",
        name="bubble_nightly",
        time_zone=TIME_ZONE,
        description="Everything in Bubble, every night: also finds records that are missing there.",
        unready=unnamed_source(BUBBLE),
    ),
]
