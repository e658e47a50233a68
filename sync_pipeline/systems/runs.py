"""The jobs of every system, by what they are for."""

from __future__ import annotations

from sync_pipeline.orchestration.runs import SystemRuns
from sync_pipeline.systems.bubble.jobs import RUNS as BUBBLE_RUNS

RUNS: dict[str, SystemRuns] = {runs.system.name: runs for runs in (BUBBLE_RUNS,)}
