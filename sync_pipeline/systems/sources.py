"""The client of every system, for commands that ask a source outside a Dagster run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sync_pipeline.orchestration.resources import Source
from sync_pipeline.systems.bubble.source import BubbleSource
from sync_pipeline.systems.desktop.databases import DesktopSource, MobileSource


class ClosingSource(Source, Protocol):
    """A source that is closed by whoever made it."""

    def close(self) -> None:
        """Close the connections."""
        ...

    def fields(self) -> dict[str, list[str]]:
        """Field names of each record type in lower case, as the source itself describes them."""
        ...


_SOURCES: dict[str, Callable[[], ClosingSource]] = {
    "bubble": BubbleSource,
    "desktop": DesktopSource,
    "desktop_reverse": MobileSource,
}


def source_of(system: str) -> ClosingSource:
    """A client of the system's source, to be closed by the caller."""
    return _SOURCES[system]()
