"""The simulated Bubble app, as a process that commands share; the last one out stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import orjson

from sync_pipeline.errors import SourceUnavailable
from sync_pipeline.postgres import locks
from sync_pipeline.settings import PROJECT

Say = Callable[[str], None]
START_SECONDS = 60
STOP_SECONDS = 10


@contextmanager
def bubble_app(home: Path, scale: float, say: Say) -> Iterator[dict[str, str]]:
    """A process of its own, which must not share the interpreter that it is read by; yields its variables.

    Raises:
        SourceUnavailable: it does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    ready_file = home / "bubble-simulator.json"
    lock, users = home / "bubble-simulator.lock", home / "bubble-simulator.users"
    with locks.held(lock):
        ready = _answering(ready_file)
        if ready is None:
            say("starting the simulated Bubble app")
            ready = _start(ready_file, scale)
        use = locks.hold(users, shared=True)
    try:
        yield {"BUBBLE_API_URL": ready["url"], "BUBBLE_API_TOKEN": ready["token"]}
    finally:
        with locks.held(lock):
            os.close(use)
            if not locks.is_held(users):
                _stop(ready["pid"])
                ready_file.unlink(missing_ok=True)


def _start(ready_file: Path, scale: float) -> dict[str, Any]:
    ready_file.unlink(missing_ok=True)
    module = "sync_pipeline.simulators.bubble"
    options = ["--scale", str(scale), "--ready-file", str(ready_file)]
    # Its own session: Ctrl-C is for us, and we stop it when nobody uses it any more.
    process = subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-m", module, *options],
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
    raise SourceUnavailable("The simulated Bubble app did not start; its messages are above.")


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
    try:
        ready = orjson.loads(ready_file.read_bytes())
        httpx2.get(f"{ready['admin_url']}/stats", timeout=5, trust_env=False).raise_for_status()
        return ready if ready["pid"] else None
    except (OSError, ValueError, KeyError, httpx2.HTTPError):
        return None
