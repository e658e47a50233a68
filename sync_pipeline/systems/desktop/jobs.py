"""The desktop system's jobs: each way what changed, everything, and some records.

All run in one process: one process means one snapshot of the source for all of its tables.
"""

from __future__ import annotations

import dagster as dg

from sync_pipeline.model.catalog import System
from sync_pipeline.orchestration.naming import SOURCE_TAG, TARGET_TAG, asset_key
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase
from sync_pipeline.orchestration.runs import SystemRuns
from sync_pipeline.orchestration.scheduling import AssetJob
from sync_pipeline.systems.desktop.backwards import REVERSE
from sync_pipeline.systems.desktop.databases import DesktopDatabase
from sync_pipeline.systems.desktop.entities import DESKTOP


def _job(
    name: str,
    system: System,
    description: str,
    *,
    full: bool = False,
    into: type[TargetDatabase] = TargetDatabase,
) -> AssetJob:
    scope = SyncScope(mode="full") if full else None
    return dg.define_asset_job(
        name,
        dg.AssetSelection.assets(*(asset_key(e) for e in system.entities)),
        description=description,
        config=dg.RunConfig(resources={"scope": scope}) if scope else None,
        tags={SOURCE_TAG: DESKTOP.name, TARGET_TAG: into.key},
        executor_def=dg.in_process_executor,
    )


desktop_sync = _job(
    "desktop_sync",
    DESKTOP,
    "What changed on the desktop since the last run, into the mobile database. Rows of mobile users are never"
    " changed. Needs no configuration.",
)
desktop_full = _job(
    "desktop_full",
    DESKTOP,
    "Every row of every desktop table, into the mobile database; also finds what vanished from the desktop.",
    full=True,
)
desktop_partial = _job(
    "desktop_partial",
    DESKTOP,
    "Some rows of the desktop by key, as people and apps request them through sync.request.",
)
desktop_reverse = _job(
    "desktop_reverse",
    REVERSE,
    "The rows that mobile users own, new and changed, into the desktop's tables. Rows of the desktop are"
    " never changed. Needs no configuration.",
    into=DesktopDatabase,
)
desktop_reverse_full = _job(
    "desktop_reverse_full",
    REVERSE,
    "Every row that mobile users own, into the desktop's tables.",
    full=True,
    into=DesktopDatabase,
)
desktop_reverse_partial = _job(
    "desktop_reverse_partial",
    REVERSE,
    "Some rows of mobile users by key.",
    into=DesktopDatabase,
)

JOBS = [
    desktop_sync,
    desktop_full,
    desktop_partial,
    desktop_reverse,
    desktop_reverse_full,
    desktop_reverse_partial,
]

RUNS = SystemRuns(
    DESKTOP,
    delta="desktop_sync",
    full="desktop_full",
    partial="desktop_partial",
    ranges=False,
)
REVERSE_RUNS = SystemRuns(
    REVERSE,
    delta="desktop_reverse",
    full="desktop_reverse_full",
    partial="desktop_reverse_partial",
    ranges=False,
    database=DesktopDatabase(patient=True),
)
