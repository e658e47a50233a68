"""Embedded servers for tests, and what tests ask them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sync_pipeline.dev.embedded_postgres.server import (
    EmbeddedServer,
)

Factory = Callable[..., EmbeddedServer]

# Starts a server, says which, and waits to be told to leave.
PROGRAM = """
import sys
from pathlib import Path
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), durable=False) as server:
    print(server.pid, server.dsn(), flush=True)
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
