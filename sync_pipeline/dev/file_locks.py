"""File locks between processes that end with their holder, however it ends.

They are `flock` locks: the kernel drops one when the last descriptor of it closes, so neither
`kill -9` nor a process id that was given to another program can leave one behind. A descriptor
passed on to a child keeps the lock for as long as the child lives. What is locked and why is up
to the caller.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def hold(path: Path, *, shared: bool = False) -> int:
    """Lock a file, created if need be, waiting for other holders; closing the descriptor releases it."""
    descriptor = _open(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    return descriptor


def try_hold(path: Path) -> int | None:
    """Lock a file for oneself alone, as `hold` does; None if anybody holds it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path: Path) -> bool:
    """Whether anybody, this process included, holds the file's lock."""
    descriptor = try_hold(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the file's lock alone for the length of a block."""
    descriptor = hold(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    # Reading suffices for flock, so a file that root left behind serves its directory's owner too;
    # root in turn must not be led elsewhere by a link in a directory that is not its own.
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
