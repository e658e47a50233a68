"""Simulated sources, each a process that commands share; the last one out stops it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from sync_pipeline.dev import file_locks, processes
from sync_pipeline.errors import SourceUnavailable
from sync_pipeline.model.source_settings import SimulatedApi
from sync_pipeline.settings import PROJECT

Report = Callable[[str], None]
START_SECONDS = 60
STOP_SECONDS = 10


@contextmanager
def simulator(
    system: str, api: SimulatedApi, home: Path, scale: float, report: Report
) -> Iterator[dict[str, str]]:
    """Run the simulated API of a system as a process, for the length of a block; yields its variables.

    A process, not a thread: it must not share the interpreter of the sync that reads it.

    Raises:
        SourceUnavailable: it does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    files = home / f"{system}-simulator"
    ready_file = files.with_suffix(".json")
    lock, users = files.with_suffix(".lock"), files.with_suffix(".users")
    with file_locks.held(lock):
        ready = _answering(ready_file)
        if ready is None:
            report(f"starting the simulated {api.title}")
            ready = _start(api, ready_file, scale)
        use = file_locks.hold(users, shared=True)
    try:
        yield {variable: str(ready[key]) for variable, key in api.announced.items()}
    finally:
        with file_locks.held(lock):
            os.close(use)
            if not file_locks.is_held(users):
                _stop(ready["pid"])
                ready_file.unlink(missing_ok=True)


def _start(api: SimulatedApi, ready_file: Path, scale: float) -> dict[str, Any]:
    ready_file.unlink(missing_ok=True)
    options = ["--scale", str(scale)] if api.scales else []
    # Its own session: Ctrl-C is for us, and we stop it when nobody uses it any more.
    process = subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-m", api.module, *options, "--ready-file", str(ready_file)],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        cwd=PROJECT,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            found = _answering(ready_file)
            if found:
                return found
            time.sleep(0.05)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.kill()
    raise SourceUnavailable(f"The simulated {api.title} did not start; its messages are above.")


def _stop(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        for how in (signal.SIGTERM, signal.SIGKILL):
            os.kill(pid, how)
            if _ends(pid):
                return


def _ends(pid: int) -> bool:
    """Wait for a process to end; false if it takes too long."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            # A child of ours has to be waited for; one that another command started has not.
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        except ChildProcessError:
            if not processes.is_running(pid):
                return True
        time.sleep(0.02)
    return False


def _answering(ready_file: Path) -> dict[str, Any] | None:
    """Where a simulator answers, if the one that wrote the file is still there."""
    import httpx2  # noqa: PLC0415  takes its time, which commands without simulators need not spend

    try:
        ready = orjson.loads(ready_file.read_bytes())
        httpx2.get(f"{ready['admin_url']}/stats", timeout=5, trust_env=False).raise_for_status()
        return ready if ready["pid"] else None
    except (OSError, ValueError, KeyError, httpx2.HTTPError):
        return None
