"""What stands in where the environment names nothing: the embedded Postgres and the simulated sources.

Inside `stand_ins` the environment is complete, so that everything below reads it as it would in
production. Stand-ins that another process has started are used, not started twice.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import orjson

from sync_pipeline.errors import SourceUnavailable
from sync_pipeline.postgres.connect import sqlalchemy_url
from sync_pipeline.postgres.embedded import EmbeddedServer
from sync_pipeline.settings import PROJECT, Settings

Say = Callable[[str], None]
START_SECONDS = 60


@contextmanager
def stand_ins(
    settings: Settings, *, say: Say, sources: bool = True, dagster: bool = True
) -> Iterator[Settings]:
    """Start what the environment does not name, for the length of a block.

    Args:
        settings: what the environment names.
        say: told what is being started.
        sources: start the simulated sources too; commands that only read the target need none.
        dagster: provide Dagster's home and storage too.

    Yields:
        Settings that are complete.
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
            dsn = settings.dagster_dsn
            if not dsn:
                assert server
                dsn = server.create_database("dagster")
            url = sqlalchemy_url(dsn, driver="psycopg2", variable="SYNC_DAGSTER_DSN")
            environment["DAGSTER_PG_URL"] = url.render_as_string(hide_password=False)
            environment["DAGSTER_HOME"] = str(_dagster_home(settings))
        if sources and not settings.bubble_url:
            environment |= stack.enter_context(_bubble_simulator(settings.home, say))
        stack.enter_context(_set(environment))
        yield Settings.read()


def _dagster_home(settings: Settings) -> Path:
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    return home


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
def _bubble_simulator(home: Path, say: Say) -> Iterator[dict[str, str]]:
    """The simulator, as a process of its own: it must not share the interpreter that it is read by."""
    ready_file = home / "bubble-simulator.json"
    running = _answering(ready_file)
    if running:
        yield running
        return
    say("starting the simulated Bubble app")
    ready_file.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "sync_pipeline.simulators.bubble",
        "--ready-file",
        str(ready_file),
    ]
    # Its own session: Ctrl-C is for us, and we stop it when we are done with it.
    process = subprocess.Popen(  # noqa: S603  our own module
        command, stdout=subprocess.DEVNULL, start_new_session=True, cwd=PROJECT
    )
    try:
        yield _wait(process, ready_file)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        ready_file.unlink(missing_ok=True)


def _wait(process: subprocess.Popen[bytes], ready_file: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = _answering(ready_file)
        if found:
            return found
        time.sleep(0.05)
    raise SourceUnavailable("the simulated Bubble app did not start; its messages are above")


def _answering(ready_file: Path) -> dict[str, str] | None:
    """Where a simulator answers, if the one that wrote the file is still there."""
    try:
        ready = orjson.loads(ready_file.read_bytes())
        httpx2.get(f"{ready['admin_url']}/stats", timeout=5, trust_env=False).raise_for_status()
    except (OSError, ValueError, KeyError, httpx2.HTTPError):
        return None
    return {"BUBBLE_API_URL": ready["url"], "BUBBLE_API_TOKEN": ready["token"]}
