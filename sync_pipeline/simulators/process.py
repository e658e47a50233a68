"""A simulator as a process of its own: report its address, and stop on a signal."""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import orjson

from sync_pipeline.simulators.base import Simulator


def serve(simulator: Simulator[Any], attributes: Iterable[str], ready_file: Path | None) -> None:
    """Run a simulator until SIGTERM or SIGINT.

    When it listens, the attributes and the process id are printed as one line of JSON, which is
    written to `ready_file` too.
    """
    stopped = Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with simulator:
        _announce({name: getattr(simulator, name) for name in attributes}, ready_file)
        stopped.wait()


def _announce(ready: dict[str, str], ready_file: Path | None) -> None:
    line = orjson.dumps({**ready, "pid": os.getpid()}) + b"\n"
    if ready_file is not None:
        # Renamed into place, so that a reader never sees half of it.
        partial = ready_file.with_name(ready_file.name + ".partial")
        partial.write_bytes(line)
        partial.replace(ready_file)
    sys.stdout.buffer.write(line)
    sys.stdout.flush()
