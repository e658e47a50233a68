"""Which systems there are."""

from __future__ import annotations

from sync_pipeline.model.catalog import System
from sync_pipeline.systems.bubble.entities import BUBBLE

SYSTEMS: tuple[System, ...] = (BUBBLE,)
