"""What stands in where the environment names nothing: the embedded Postgres and the simulated sources.

Inside `stand_ins` the environment is complete, so that everything below reads it as it would in
production. Commands that run at the same time share their stand-ins; the last one out stops them, and
what a killed one left running is used by the next.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import orjson

from sync_pipeline.errors import SourceUnavailable
from sync_pipeline.postgres import locks
from sync_pipeline.postgres.connect import connect, sqlalchemy_url
from sync_pipeline.postgres.embedded import EmbeddedServer
from sync_pipeline.postgres.pooling import keeping
from sync_pipeline.settings import PROJECT, Settings

Say = Callable[[str], None]
START_SECONDS = 60
STOP_SECONDS = 10


@contextmanager
def stand_ins(
    settings: Settings,
    *,
    say: Say,
    sources: bool = True,
    dagster: bool = True,
    scale: float = 1.0,
    executes: bool = True,
) -> Iterator[Settings]:
    """Start what the environment does not name, for the length of a block.

    Args:
        settings: what the environment names.
        say: told what is being started.
        sources: start the simulated sources too; commands that only read the target need none.
        dagster: provide Dagster's home and storage too.
        scale: size of the simulated company, if this starts it.
        executes: this process executes runs itself, and may keep Dagster's connections.

    Yields:
        Settings that are complete.

    Raises:
        TargetUnavailable: the embedded server does not start, or Dagster's database does not answer.
        SourceUnavailable: a simulator does not start.
    """
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        server = None
        if not settings.target_dsn or (dagster and not settings.dagster_dsn):
            say("starting the embedded Postgres")
            server = stack.enter_context(EmbeddedServer(settings.home / "postgres"))
        if not settings.target_dsn:
            assert server
            environment["SYNC_TARGET_DSN"] = server.create_database("sync")
        if dagster:
            environment |= _dagster(settings, server, executes=executes)
        if sources and not settings.bubble_url:
            environment |= stack.enter_context(_bubble_simulator(settings.home, scale, say))
        stack.enter_context(_set(environment))
        yield Settings.read()


def _dagster(
    settings: Settings, server: EmbeddedServer | None, *, executes: bool
) -> dict[str, str]:
    dsn = settings.dagster_dsn
    if dsn:
        # Dagster would try for a while, and then say it with a stack trace.
        connect(dsn, variable="SYNC_DAGSTER_DSN").close()
    else:
        assert server
        dsn = server.create_database("dagster")
    url = sqlalchemy_url(dsn, driver="psycopg2", variable="SYNC_DAGSTER_DSN")
    url = keeping(url) if executes else url
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    wanted = (PROJECT / "dagster.yaml").read_bytes()
    file = home / "dagster.yaml"
    if not file.exists() or file.read_bytes() != wanted:
        # Renamed into place: others may be reading it.
        partial = file.with_name(f"dagster.yaml.{os.getpid()}")
        partial.write_bytes(wanted)
        partial.replace(file)
    return {
        "DAGSTER_PG_URL": url.render_as_string(hide_password=False),
        "DAGSTER_HOME": str(home),
    }


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _bubble_simulator(home: Path, scale: float, say: Say) -> Iterator[dict[str, str]]:
    """The simulator, as a process of its own: it must not share the interpreter that it is read by."""
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
