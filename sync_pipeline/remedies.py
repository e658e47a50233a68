"""Commands as people type them, for messages that name the next one. A leaf: it imports nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence

PROGRAM = "sync-pipeline"


def typed(words: str, *, reverse: bool = False) -> str:
    """A command as it is typed; with `reverse` about the reverse of a system with two directions."""
    return f"{PROGRAM} {words}{' --reverse' if reverse else ''}"


MIGRATE = f"run: {typed('migrate')}"
FIX = f"run: {typed('doctor --fix')}"


def is_reverse(place: Sequence[str]) -> bool:
    """Whether a system or an entity with this key prefix belongs to the reverse of a system."""
    return len(place) > 1
