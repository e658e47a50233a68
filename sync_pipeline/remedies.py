"""Commands as people type them, for messages that name the next one. A leaf: it imports nothing of ours."""

from collections.abc import Sequence

PROGRAM = "sync-pipeline"


def command_line(words: str, *, reverse: bool = False) -> str:
    """A command of this program; with `reverse` about the reverse of a system with two directions."""
    return f"{PROGRAM} {words}{' --reverse' if reverse else ''}"


MIGRATE = f"run: {command_line('migrate')}"
FIX = f"run: {command_line('doctor --fix')}"


def is_reverse(place: Sequence[str]) -> bool:
    """Whether a system or an entity with this key prefix belongs to the reverse of a system."""
    return len(place) > 1
