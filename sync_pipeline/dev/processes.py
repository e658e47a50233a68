"""Which processes run, also those that are no children of ours.

A zombie does not: an orphan stays one for as long as the first process of a container does not reap it.
"""

import os
from pathlib import Path

_PROC = Path("/proc")


def is_running(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return not _PROC.is_dir() or _group(_PROC / str(pid)) is not None


def is_group_running(group: int) -> bool:
    """Whether any process of a process group runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return not _PROC.is_dir() or any(_group(p) == group for p in _PROC.glob("[0-9]*"))


def _group(process: Path) -> int | None:
    """The process group of a running process."""
    try:
        # The name before it, in brackets, may hold anything.
        state, _, group, *_ = (process / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):  # ended meanwhile
        return None
    return None if state in "ZX" else int(group)
