"""When the desktop system runs by itself: forward on the hour, back on the half hour, everything at night.

A tick is skipped while a run of either way is going, and as long as nobody has named the desktop database.
"""

from __future__ import annotations

from sync_pipeline.errors import SettingsError
from sync_pipeline.orchestration.scheduling import skipping_schedule
from sync_pipeline.settings import Settings
from sync_pipeline.systems.desktop.backwards import REVERSE
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.jobs import desktop_full, desktop_reverse, desktop_sync

TIME_ZONE = "Asia/Kolkata"


def unready() -> str | None:
    """Why no run of the desktop system can succeed; None when nothing is known to be in its way."""
    try:
        Settings.read().desktop()
    except SettingsError as error:
        return str(error)
    return None


SCHEDULES = [
    skipping_schedule(
        desktop_sync,
        DESKTOP,
        "0 * * * *",
        name="desktop_hourly",
        time_zone=TIME_ZONE,
        description="What changed on the desktop, every hour.",
        unready=unready,
    ),
    skipping_schedule(
        desktop_reverse,
        REVERSE,
        "30 * * * *",
        name="desktop_reverse_hourly",
        time_zone=TIME_ZONE,
        description="What mobile users entered, to the desktop, every hour between the forward runs.",
        unready=unready,
    ),
    skipping_schedule(
        desktop_full,
        DESKTOP,
        "15 1 * * *",
        name="desktop_nightly",
        time_zone=TIME_ZONE,
        description="Everything on the desktop, every night: also finds what vanished.",
        unready=unready,
    ),
]
