"""Every system and direction with all that runs it: what Dagster and the command line are made of."""

from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.system_definitions import ClosingSource, SystemDefinitions
from sync_pipeline.systems.bubble.definitions import BUBBLE_SYNC
from sync_pipeline.systems.desktop.definitions import FORWARD, REVERSE
from sync_pipeline.systems.integrations.definitions import MENU_SYNC
from sync_pipeline.systems.meta_assets.definitions import PHONE_SYNC

ALL: tuple[SystemDefinitions, ...] = (
    BUBBLE_SYNC,
    FORWARD.definitions(),
    REVERSE.definitions(),
    MENU_SYNC,
    PHONE_SYNC,
)

RUNS: dict[str, SystemRuns] = {wired.runs.system.name: wired.runs for wired in ALL}
"""The jobs of every system, by what they are for, and the databases that they write."""

EXTRA_TARGETS: tuple[TargetDatabase, ...] = tuple(
    {
        runs.database.key: type(runs.database)()
        for runs in RUNS.values()
        if runs.database.key != TargetDatabase.key
    }.values()
)
"""Databases beside the target that runs are merged into, and that keep account of them."""


def source_of(system: str) -> ClosingSource:
    """A client of the system's source, to be closed by the caller."""
    return next(w.source() for w in ALL if w.runs.system.name == system)
