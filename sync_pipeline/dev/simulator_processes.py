"""Simulated sources, each a process that commands share; the last one out stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from sync_pipeline.dev import file_locks
from sync_pipeline.errors import SourceUnavailable
from sync_pipeline.settings import PROJECT

Say = Callable[[str], None]
START_SECONDS = 60
STOP_SECONDS = 10


@dataclass(frozen=True)
class Simulator:
    """A simulated source.

    Attributes:
        system: whose source it is; also names its files.
        module: what is run.
        title: for messages.
        variables: the environment variables that name it, each with its key in what the process announces.
        scales: whether its size can be chosen.
    """

    system: str
    module: str
    title: str
    variables: dict[str, str]
    scales: bool = True


SIMULATORS = (
    Simulator(
        "bubble",
        "sync_pipeline.simulators.bubble",
        "Bubble app",
        {"BUBBLE_API_URL": "url", "BUBBLE_API_TOKEN": "token"},
    ),
    Simulator(
        "integrations",
        "sync_pipeline.simulators.integrations",
        "point-of-sale gateway",
        {"QU_API_URL": "url", "QU_CLIENT_ID": "client_id", "QU_CLIENT_SECRET": "client_secret"},
    ),
    Simulator(
        "meta_assets",
        "sync_pipeline.simulators.meta_assets",
        "Graph API",
        {"META_GRAPH_URL": "url", "META_ACCESS_TOKEN": "token"},
        scales=False,
    ),
)
"""All of them, by the systems that they stand in for."""


@contextmanager
def simulator(app: Simulator, home: Path, scale: float, say: Say) -> Iterator[dict[str, str]]:
    """A process of its own, which must not share the interpreter that it is read by; yields its variables.

    Raises:
        SourceUnavailable: it does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    files = home / f"{app.system}-simulator"
    ready_file = files.with_suffix(".json")
    lock, users = files.with_suffix(".lock"), files.with_suffix(".users")
    with file_locks.held(lock):
        ready = _answering(ready_file)
        if ready is None:
            say(f"starting the simulated {app.title}")
            ready = _start(app, ready_file, scale)
        use = file_locks.hold(users, shared=True)
    try:
        yield {variable: str(ready[key]) for variable, key in app.variables.items()}
    finally:
        with file_locks.held(lock):
            os.close(use)
            if not file_locks.is_held(users):
                _stop(ready["pid"])
                ready_file.unlink(missing_ok=True)


def _start(app: Simulator, ready_file: Path, scale: float) -> dict[str, Any]:
    ready_file.unlink(missing_ok=True)
    options = ["--scale", str(scale)] if app.scales else []
    # Its own session: Ctrl-C is for us, and we stop it when nobody uses it any more.
    process = subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-m", app.module, *options, "--ready-file", str(ready_file)],
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
    raise SourceUnavailable(f"The simulated {app.title} did not start; its messages are above.")


def _stop(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    how = signal.SIGTERM
    with suppress(ProcessLookupError, PermissionError):
        while True:
            os.kill(pid, how)
            if _ended(pid, deadline if how == signal.SIGTERM else deadline + STOP_SECONDS):
                return
            how = signal.SIGKILL


def _ended(pid: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        try:
            # A child of ours has to be waited for; one that another command started has not.
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return True
        except ChildProcessError:
            os.kill(pid, 0)
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
