"""A simulator as a process of its own: report its address, and stop on a signal."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from types import FrameType

import orjson


def stop_signals() -> Event:
    """An event that SIGTERM and SIGINT set."""
    stopped = Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped


def announce(ready: Mapping[str, str], ready_file: Path | None) -> None:
    """Print a simulator's address and process id as one line of JSON, and write it to `ready_file`."""
    line = orjson.dumps({**ready, "pid": os.getpid()}) + b"\n"
    if ready_file is not None:
        # Renamed into place, so that a reader never sees half of it.
        partial = ready_file.with_name(ready_file.name + ".partial")
        partial.write_bytes(line)
        partial.replace(ready_file)
    sys.stdout.buffer.write(line)
    sys.stdout.flush()
