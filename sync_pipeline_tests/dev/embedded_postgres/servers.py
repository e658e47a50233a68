"""Embedded servers for tests, and what tests ask them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sync_pipeline.dev import file_locks
from sync_pipeline.dev.embedded_postgres.binaries import Binaries, candidates
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer

Factory = Callable[..., EmbeddedServer]

# Starts a server, says which, and waits to be told to leave.
PROGRAM = """
import sys
from pathlib import Path
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), durable=False) as server:
    print(server.running().pid, server.dsn(), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def new_server(directory: Path) -> Iterator[Factory]:
    """Makes servers, by default all of the same directory, and leaves none running."""
    made: list[EmbeddedServer] = []

    def make(
        home: Path = directory / "server", *, durable: bool = False, **options: Any
    ) -> EmbeddedServer:
        made.append(EmbeddedServer(home, durable=durable, **options))
        return made[-1]

    yield make
    for server in made:
        server.stop(force=True)


def every_binary() -> list[Binaries]:
    """All distinct servers on this machine, the one that `find_binaries` takes first."""
    distinct: dict[Path, Path] = {}
    for path in candidates():
        distinct.setdefault(path.resolve(), path)
    return [Binaries.in_directory(path) for path in distinct.values()]


def restart(server: EmbeddedServer, *, immediate: bool = False) -> None:
    """Stop a server, whoever uses it, and start it anew; with `immediate` as after a crash."""
    if immediate:
        os.kill(server.running().pid, signal.SIGQUIT)
        assert server._process is not None
        server._process.wait()
        while file_locks.is_held(server._alive):
            time.sleep(0.01)
    else:
        server.stop(force=True)
    server.start()


def ask(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        answer = connection.execute(statement.encode())
        row = answer.fetchone() if answer.description else None
    return row and row[0]


def answers(dsn: str) -> bool:
    try:
        return ask(dsn, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False
