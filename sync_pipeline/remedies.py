"""Commands as people type them, for messages that name the next one. A leaf: it imports nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence

PROGRAM = "sync-pipeline"


def typed(words: str, *, reverse: bool = False) -> str:
    """A command as it is typed; with `reverse` about the way back of a system that goes both ways."""
    return f"{PROGRAM} {words}{' --reverse' if reverse else ''}"


def is_reverse(place: Sequence[str]) -> bool:
    """Whether a system or an entity that stands at this place in the graph is a way back."""
    return len(place) > 1
