"""Faults at chosen points of a merge: locks that hold it there, and a connection that is cut."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg

from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.stream import EntityBatches
from sync_pipeline_tests.fixtures.sample_system import Workbench, await_that, shop

T = TypeVar("T")

PLACES = {
    "staging": "lock table sync_base.shops__shop in access exclusive mode",
    "plan": "lock table shop in access exclusive mode",
    "update": "select from shop where shop_id = 's1' for update",
    "insert": "insert into shop (shop_id) values ('s3')",
    "commit": "select from _sync_metadata where table_name = 'shop' for update",
}
"""What holds a merge of `incoming` at each place, as long as its transaction is open."""


def before() -> list[dict[str, Any]]:
    """What the target holds before the fault."""
    return [shop("s1", Size=1), shop("s2", Size=1)]


def incoming() -> list[dict[str, Any]]:
    """One record to update, one that is unchanged, one to insert and one to reject."""
    return [shop("s1", 2, Size=2), shop("s2", Size=1), shop("s3", 2), shop("s4", 2, Size="many")]


@contextmanager
def held(bench: Workbench, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """An app's transaction that has run a statement and stays open for the length of a block."""
    with bench.open() as connection:
        connection.autocommit = False
        connection.execute(statement.encode())
        yield connection
        with suppress(psycopg.OperationalError):
            connection.rollback()


def sessions(bench: Workbench, waiting_for: str = "%") -> int:
    """Merges connected to the database, optionally only those that wait for such an event."""
    with bench.open() as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where application_name like 'sync_pipeline shops/%%'"
            " and datname = current_database() and coalesce(wait_event_type, '') like %s",
            [waiting_for],
        ).fetchone()
    assert row
    return row[0]


def await_blocked(bench: Workbench, work: Future[Any]) -> None:
    """Wait until a merge waits for somebody's lock."""

    def blocked() -> bool:
        if work.done():
            raise AssertionError(f"it was not held up: {work.exception() or work.result()}")
        return sessions(bench, "Lock") > 0

    await_that(blocked)


@contextmanager
def in_background(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Run work in a thread, which has ended when the block ends."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(work)


class Source:
    """A source that counts how often it is asked, and does something between two pages."""

    def __init__(self, *pages: list[dict[str, Any]] | Callable[[], Any]) -> None:
        self.asked = 0
        self._pages = pages

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        self.asked += 1
        for page in self._pages:
            if callable(page):
                page()
            else:
                yield page

    def stream(self, bench: Workbench, **scope: Any) -> EntityBatches:
        """The stream of shops that reads this source."""
        stream = bench.stream([], **scope)
        stream.batches = self
        return stream


def merged_as_ever(bench: Workbench, result: MergeResult) -> None:
    """Assert that `incoming` has been merged once and entirely."""
    assert result.counts.as_dict().items() >= {"read": 4, "inserted": 1, "updated": 1}.items()
    assert result.counts.rejected == result.counts.unchanged == 1
    sizes = {row["shop_id"]: row["size"] for row in bench.rows("select * from shop")}
    assert sizes == {"s1": 2, "s2": 1, "s3": None}
    assert [c["key"]["shop_id"] for c in bench.changes()] == ["s1"]
    assert [r["payload"]["Size"] for r in bench.rejected()] == ["many"]
    assert [s["counts"] for s in bench.steps()][1:] == [result.counts.as_dict()]


class CutWire:
    """A wire to the server that is cut after the first COMMIT was sent, before its answer arrives.

    Only the first connection goes through it; later ones find the server itself.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = urlsplit(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._used = False
        self.cut = False

    def dsn(self) -> str:
        """Where to connect to."""
        if self._used:
            return urlunsplit(self._dsn)
        self._used = True
        threading.Thread(target=self._serve, daemon=True).start()
        login = self._dsn.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        return urlunsplit(self._dsn._replace(netloc=f"{login}@127.0.0.1:{port}"))

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._dsn.port or 5432))
        answers = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
        answers.start()
        with suppress(OSError):
            while data := client.recv(65536):
                self.cut = self.cut or b"COMMIT" in data
                server.sendall(data)
        server.close()
        self._listener.close()

    def _pass_on(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self.cut:
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
        client.close()
