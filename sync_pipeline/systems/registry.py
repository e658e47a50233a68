"""Which systems there are."""

from __future__ import annotations

from sync_pipeline.model.catalog import System
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.desktop.backwards import REVERSE
from sync_pipeline.systems.desktop.entities import DESKTOP

SYSTEMS: tuple[System, ...] = (BUBBLE, DESKTOP)
"""Merged into the target."""

REVERSES: dict[str, System] = {DESKTOP.name: REVERSE}
"""The way back of systems that go both ways, by their names; merged into the source's own database."""
