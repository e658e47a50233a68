"""The client of every system, for commands that ask a source outside a Dagster run."""

from __future__ import annotations

from typing import Protocol

from sync_pipeline.orchestration.resources import Source
from sync_pipeline.systems.bubble.source import BubbleSource


class ClosingSource(Source, Protocol):
    """A source that is closed by whoever made it."""

    def close(self) -> None:
        """Close the connections."""
        ...

    def fields(self) -> dict[str, list[str]]:
        """Field names of each record type, as the source itself describes them."""
        ...


def source_of(system: str) -> ClosingSource:
    """A client of the system's source, to be closed by the caller."""
    return {"bubble": BubbleSource}[system]()
