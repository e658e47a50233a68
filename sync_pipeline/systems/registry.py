"""Which systems there are."""

from __future__ import annotations

from sync_pipeline.model.system import System
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline.systems.events import Event
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.meta_assets.embedded_signup import EMBEDDED_SIGNUP
from sync_pipeline.systems.meta_assets.entities import META_ASSETS
from sync_pipeline.systems.meta_assets.webhook import WHATSAPP_WEBHOOK

SYSTEMS: tuple[System, ...] = (BUBBLE, DESKTOP, INTEGRATIONS, META_ASSETS)
"""Merged into the target."""

REVERSES: dict[str, System] = {DESKTOP.name: REVERSE}
"""The way back of systems that go both ways, by their names; merged into the source's own database."""

EVENTS: tuple[Event, ...] = (WHATSAPP_WEBHOOK, EMBEDDED_SIGNUP)
"""Messages of other programs that request partial resyncs."""
