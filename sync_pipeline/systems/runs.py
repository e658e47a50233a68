"""The jobs of every system, by what they are for, and the databases that they write."""

from __future__ import annotations

from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.runs import SystemRuns
from sync_pipeline.systems.bubble.jobs import RUNS as BUBBLE_RUNS
from sync_pipeline.systems.desktop.databases import DesktopDatabase
from sync_pipeline.systems.desktop.jobs import REVERSE_RUNS as DESKTOP_REVERSE_RUNS
from sync_pipeline.systems.desktop.jobs import RUNS as DESKTOP_RUNS

RUNS: dict[str, SystemRuns] = {
    runs.system.name: runs for runs in (BUBBLE_RUNS, DESKTOP_RUNS, DESKTOP_REVERSE_RUNS)
}

OTHERS: tuple[TargetDatabase, ...] = (DesktopDatabase(),)
"""Databases beside the target that runs are merged into, and that keep account of them."""
