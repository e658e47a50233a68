"""Dagster's web server and daemon as child processes of `sync-pipeline up`.

Each child leads a process group, which includes its code server and its runs: all are stopped together,
also those left by a killed `up`. Their output goes to log files.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import orjson

from sync_pipeline.dev import file_locks, processes
from sync_pipeline.errors import SyncError
from sync_pipeline.settings import PROJECT

GRACE_SECONDS = 20  # from SIGINT until SIGTERM; runs in progress end meanwhile
KILL_SECONDS = 5  # from SIGTERM until SIGKILL
DEV_MARK = "_SYNC_DAGSTER_DEV"
PORTS_TRIED = 50
LOG_LIMIT = 1_000_000  # bytes
QUIET = ["--code-server-log-level", "warning", "--log-level", "warning"]

Report = Callable[[str], None]
Ready = Callable[[str, Path], None]
Children = dict[str, subprocess.Popen[bytes]]


@contextmanager
def single_instance(home: Path, *, report: Report) -> Iterator[None]:
    """Lock a home: two daemons would launch every run twice. Raises `SyncError` if another one runs."""
    home.mkdir(parents=True, exist_ok=True)
    lock = file_locks.try_hold(home / "up.lock")
    if lock is None:
        url = _read_state(home).get("url", "a port of its own")
        raise SyncError(
            f"Dagster is running already for SYNC_HOME {home}, at {url}."
            " Use that, or end it with Ctrl-C where it was started."
        )
    try:
        if file_locks.is_held(home / "up.children"):
            report("stopping processes left by an earlier `up` that was killed")
            groups = _read_state(home).get("groups")
            _end(groups if isinstance(groups, list) else [])
        yield
    finally:
        (home / "up.json").unlink(missing_ok=True)
        os.close(lock)


def _read_state(home: Path) -> dict[str, object]:
    try:
        return orjson.loads((home / "up.json").read_bytes())
    except (OSError, ValueError):
        return {}


@contextmanager
def marked_processes(home: Path) -> Iterator[None]:
    """End the processes that `dagster dev` leaves running: those started in the block, and their children.

    On SIGINT a code server waits for its runs, for ever if their database is stopped meanwhile.
    The processes are found by a variable in their environment, where there is a `/proc`.
    """
    mark = str(home)
    _end_marked(mark)  # left by a killed `dagster dev`
    os.environ[DEV_MARK] = mark
    try:
        yield
    finally:
        del os.environ[DEV_MARK]
        _end_marked(mark)


def _end_marked(mark: str) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        for process in _marked(mark):
            with suppress(ProcessLookupError):
                os.kill(process, how)
        deadline = time.monotonic() + KILL_SECONDS
        while time.monotonic() < deadline and _marked(mark):
            time.sleep(0.05)


def _marked(mark: str) -> list[int]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or ended meanwhile
            if f"{DEV_MARK}={mark}\0".encode() in (directory / "environ").read_bytes():
                found.append(int(directory.name))
    return found


def serve(home: Path, port: int, *, report: Report, ready: Ready) -> None:
    """Run the web server and the daemon until one ends or a signal comes; inside `single_instance`.

    The web server takes the next free port if the port is taken. `ready` is called with its URL and the
    folder of the logs once it answers.

    Raises:
        SyncError: one of the services ended by itself.
    """
    port = _free_port(port)
    url = f"http://127.0.0.1:{port}"
    workspace = ["-w", str(PROJECT / "workspace.yaml")]
    at = ["-h", "127.0.0.1", "-p", str(port)]
    commands = {
        "dagster-webserver": ["-m", "dagster_webserver", *at, *QUIET, *workspace],
        "dagster-daemon": ["-m", "dagster._daemon", "run", *QUIET[2:], *workspace],
    }
    logs = home / "logs"
    children: Children = {}
    try:
        for name, arguments in commands.items():
            report(f"starting {name}")
            children[name] = _start(home, arguments, logs / f"{name}.log")
            state = {"url": url, "groups": [c.pid for c in children.values()]}
            (home / "up.json").write_bytes(orjson.dumps(state))
        if _comes_up(port, children):
            ready(url, logs)
        _watch(children, logs)
    except KeyboardInterrupt:
        return
    finally:
        report(f"stopping Dagster; runs in progress have {GRACE_SECONDS} seconds to end")
        _end([child.pid for child in children.values()])
        for child in children.values():
            child.wait()


def _free_port(first: int) -> int:
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise SyncError(f"No port from {first} on is free; name another: sync-pipeline up --port 8000")


def _start(home: Path, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".1.log"))
    alive = file_locks.hold(home / "up.children", shared=True)
    try:
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603  our own programs
                [sys.executable, *arguments],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[alive],
            )
    finally:
        os.close(alive)


def _comes_up(port: int, children: Children) -> bool:
    """Wait for the web server to answer; false if a child ends instead."""
    while all(child.poll() is None for child in children.values()):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False


def _watch(children: Children, logs: Path) -> NoReturn:
    while True:
        for name, child in children.items():
            code = child.poll()
            if code is not None:
                log = logs / f"{name}.log"
                last_line = " ".join(log.read_text(errors="replace").splitlines()[-1:]).strip()
                raise SyncError(
                    f"{name} ended with exit code {code}: {last_line}. More is in {log}"
                )
        time.sleep(0.2)


def _end(groups: Sequence[int]) -> None:
    """End process groups: first their leaders, which end their runs cleanly."""
    for group in groups:
        with suppress(ProcessLookupError):
            os.kill(group, signal.SIGINT)
    _await(groups, GRACE_SECONDS)
    for how in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, how)
        _await(groups, KILL_SECONDS)


def _await(groups: Sequence[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_exists(group) for group in groups):
        time.sleep(0.05)


def _exists(group: int) -> bool:
    with suppress(ChildProcessError):
        # Reap children of ours, so that their groups end with them.
        os.waitpid(group, os.WNOHANG)
    return processes.is_group_running(group)
