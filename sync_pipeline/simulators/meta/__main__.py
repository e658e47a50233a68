"""`python -m sync_pipeline.simulators.meta`: the simulator as a process of its own.

Prints one line of JSON with `url`, `token`, `admin_url` and `pid` when it listens, and ends cleanly on
SIGTERM or SIGINT.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from threading import Event
from types import FrameType

import click
import orjson

from sync_pipeline.simulators.meta.options import Options
from sync_pipeline.simulators.meta.simulator import MetaSimulator


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 lets the kernel choose.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Time that each call takes.")
@click.option("--jitter-ms", default=0.0, show_default=True, help="Added to it at random.")
@click.option("--rate-limit-per-minute", type=int, help="Further calls are answered 429.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Gets the printed line too.")
def main(*, host: str, port: int, ready_file: Path | None, **switches: float | None) -> None:
    """Serve invented WhatsApp Business accounts as the Graph API until told to stop."""
    options = Options()
    options.update(switches)
    stopped = _stop_signals()
    with MetaSimulator(options, host=host, port=port) as meta:
        _announce(meta, ready_file)
        stopped.wait()


def _stop_signals() -> Event:
    stopped = Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped


def _announce(meta: MetaSimulator, ready_file: Path | None) -> None:
    ready = {
        "url": meta.url,
        "token": meta.token,
        "admin_url": meta.admin_url,
        "pid": os.getpid(),
    }
    line = orjson.dumps(ready) + b"\n"
    if ready_file is not None:
        # Renamed into place, so that whoever waits for the file never reads half of it.
        partial = ready_file.with_name(ready_file.name + ".partial")
        partial.write_bytes(line)
        partial.replace(ready_file)
    sys.stdout.buffer.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
