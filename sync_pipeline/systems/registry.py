"""Which systems there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sync_pipeline.model.system import System
from sync_pipeline.settings import VARIABLES, Settings, Variable
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.meta_assets.embedded_signup import EMBEDDED_SIGNUP
from sync_pipeline.systems.meta_assets.entities import META_ASSETS
from sync_pipeline.systems.meta_assets.webhook import WHATSAPP_WEBHOOK
from sync_pipeline.systems.resync_events import Event

if TYPE_CHECKING:
    from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True)
class ReverseTarget:
    """The database of a source, into which the reverse of its system is merged.

    `open` opens a session on it; it takes the settings, and options of `connect`.
    """

    title: str
    system: System
    open: Callable[..., Connection]

    @property
    def variable(self) -> str:
        """The environment variable that names it."""
        return self.system.source.variable

    def check(self, settings: Settings) -> None:
        """Refuse settings with which nothing may be merged into it; see `SourceSettings.check_reverse`."""
        self.system.source.check_reverse(settings, self.system.name)


def _open_desktop(settings: Settings, **options: Any) -> Connection:
    # SQLAlchemy takes its time to import, which `--help` need not spend.
    from sync_pipeline.systems.desktop.connection import open_desktop  # noqa: PLC0415

    return open_desktop(settings, **options)


SYSTEMS: tuple[System, ...] = (BUBBLE, DESKTOP, INTEGRATIONS, META_ASSETS)
"""Merged into the target."""

REVERSES: dict[str, System] = {DESKTOP.name: REVERSE}
"""The reverse of systems that go both ways, by their names; merged into `REVERSE_TARGET`."""

REVERSE_TARGET = ReverseTarget("desktop database", DESKTOP, _open_desktop)

EVENTS: tuple[Event, ...] = (WHATSAPP_WEBHOOK, EMBEDDED_SIGNUP)
"""Messages of other programs that request partial resyncs."""


def variables() -> Iterator[tuple[str, Variable]]:
    """Every environment variable with the system that uses it; the project's own with an empty name."""
    yield from (("", variable) for variable in VARIABLES)
    yield from ((system.name, v) for system in SYSTEMS for v in system.source.variables)
