"""All tables of a run as of one moment, nothing written there, and one line when the source refuses."""

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from sync_pipeline.errors import (
    SettingsError,
    SourceBroken,
    SourceRefused,
    SourceUnavailable,
    SyncError,
)
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Field
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.types import integer
from sync_pipeline.sources.postgres.reader import PostgresReader
from sync_pipeline_tests.fixtures.sample_system import Workbench, counted
from sync_pipeline_tests.sources.postgres.source_database import ID, ITEM, Origin, item, read

MakeWorkbench = Callable[..., Workbench]

LINE = item(name="line", source="line", columns=(ID, Field("item", integer, "item")), system="own")


@pytest.fixture
def shop(origin: Origin) -> Origin:
    """A source with items and lines of them."""
    origin.run("create table item as select n as id, 'one' as name from generate_series(1, 300) n")
    origin.run("create table line as select n as id, n as item from generate_series(1, 300) n")
    return origin


def said(error: pytest.ExceptionInfo[SyncError]) -> str:
    """The message, which is one line without the password."""
    message = str(error.value)
    assert "\n" not in message
    assert "open sesame" not in message
    assert "open%20sesame" not in message
    return message


# -- one moment


def test_tables_of_one_run_are_read_as_they_were_at_one_moment(shop: Origin) -> None:
    with closing(shop.source()) as source:
        items = read(source)
        shop.run("insert into item values (1000, 'new'); insert into line values (1000, 1000)")
        lines = read(source, LINE)
        again = read(source, ITEM, items.cursor)
        source.close()
        later = read(source, LINE, lines.cursor)

    assert "1000" not in items.of("id")
    assert "1000" not in lines.of("id")
    assert again.records == []
    assert "1000" in later.of("id")


def test_an_app_that_commits_in_the_middle_of_a_table_is_not_seen(shop: Origin) -> None:
    shop.run("insert into item select n, 'more' from generate_series(301, 30000) n")

    with closing(shop.source()) as source:
        stream = source.read(ITEM, Scope(), Progress())
        batches = iter(stream.batches)
        first = list(next(batches))
        shop.run("delete from item")
        rest = [record for batch in batches for record in batch]

    assert len(first) + len(rest) == 30000
    assert stream.outcome.notes["source_rows"] == 30000


def test_nothing_is_locked_against_the_apps(shop: Origin) -> None:
    with closing(shop.source()) as source:
        read(source)
        shop.run("set lock_timeout = '1s'")
        shop.run("update item set name = 'edited'")
        shop.run("create index on line (item)")
        shop.run("vacuum line")


def test_the_source_cannot_be_written_by_what_is_read(shop: Origin) -> None:
    shop.run("create table log (at timestamptz)")
    shop.run("""
        create function logged(text) returns text language plpgsql as
        $$ begin insert into log values (now()); return $1; end $$
    """)
    shop.run("create view noisy as select id, logged(name) as name from item")

    with closing(shop.source()) as source:
        with pytest.raises(SourceBroken, match="read-only transaction") as caught:
            read(source, item(source="noisy"))
        assert len(read(source).records) == 300

    assert said(caught).startswith("own/item: the source cannot answer: cannot execute INSERT")
    assert shop.rows("select * from log") == []


def test_a_stream_that_is_closed_early_leaves_the_snapshot_to_the_next_table(shop: Origin) -> None:
    shop.run("insert into item select n, repeat('x', 200) from generate_series(301, 50000) n")

    with closing(shop.source()) as source:
        batches: Any = source.read(ITEM, Scope(), Progress()).batches
        next(batches)
        shop.run("insert into line values (1000, 1000)")
        batches.close()
        lines = read(source, LINE)

    assert len(lines.records) == 300


def test_a_stream_that_nobody_reads_takes_nothing(shop: Origin) -> None:
    with closing(shop.source()) as source:
        unread = source.read(ITEM, Scope(), Progress())
        lines = read(source, LINE)

    assert unread.outcome.calls == 0
    assert len(lines.records) == 300


# -- what the login may not


def granted(shop: Origin, visitor: str, *rights: str) -> str:
    """The login, with some rights."""
    login = urlsplit(visitor).username
    for right in rights:
        shop.run(f"grant {right} to {login}")
    return visitor


def test_a_table_that_the_login_may_not_read_is_named_with_the_remedy(
    shop: Origin, visitor: str
) -> None:
    granted(shop, visitor, "select on line")

    with closing(shop.source(visitor)) as source:
        with pytest.raises(SourceRefused) as caught:
            read(source)
        lines = read(source, LINE)

    message = said(caught)
    assert message.startswith("own/item: permission denied for table item. Grant it to the role in")
    assert "ORIGIN_DSN: reading needs USAGE on the schema and SELECT on the table" in message
    assert len(lines.records) == 300


def test_a_schema_that_the_login_may_not_use_is_named_with_the_remedy(
    shop: Origin, visitor: str
) -> None:
    shop.run("create table shop.item as table item")
    granted(shop, visitor, "select on shop.item")

    with pytest.raises(SourceRefused) as caught:
        shop.read(item(source="shop.item"), dsn=visitor)

    assert "permission denied for schema shop" in said(caught)
    assert "USAGE on the schema" in said(caught)
    granted(shop, visitor, "usage on schema shop")
    assert len(shop.read(item(source="shop.item"), dsn=visitor).records) == 300


def test_rows_that_a_policy_would_hide_are_refused_and_not_taken_for_missing(
    shop: Origin, visitor: str
) -> None:
    granted(shop, visitor, "select on item")
    first = shop.read(dsn=visitor)
    shop.run("alter table item enable row level security")
    shop.run("create policy few on item using (id < 10)")

    with pytest.raises(SourceRefused) as caught:
        shop.read(ITEM, first.cursor, dsn=visitor)

    assert 'row-level security policy for table "item"' in said(caught)
    assert "BYPASSRLS where policies hide rows" in said(caught)


# -- a source that fails in the middle


@pytest.mark.parametrize("why", ["it is slow", "an app keeps it locked"])
def test_a_table_that_takes_too_long_is_given_up_and_the_others_are_read(
    shop: Origin, why: str
) -> None:
    shop.run("create view slow as select id, pg_sleep(60)::text as name from line")
    with closing(shop.source(statement_timeout=dt.timedelta(milliseconds=100))) as source:
        shop.run("begin")
        shop.run("lock table item in access exclusive mode")
        with pytest.raises(SourceUnavailable) as caught:
            read(source, item(source="slow") if why == "it is slow" else ITEM)
        shop.run("rollback")
        assert len(read(source, LINE).records) == 300

    message = said(caught)
    assert "own/item: the source canceled the read: canceling statement due to statement" in message
    assert message.endswith("raise SYNC_STATEMENT_TIMEOUT.")


def terminate_readers(origin: Origin) -> None:
    """End every other session on the source's database, as a restart or an administrator does."""
    origin.run(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )


def test_a_source_that_goes_away_takes_the_rest_of_the_run_with_it(
    shop: Origin, bench_of: MakeWorkbench
) -> None:
    bench = bench_of(ITEM, LINE)
    shop.run("insert into item select n, repeat('x', 200) from generate_series(301, 50000) n")

    with closing(shop.source()) as source:
        stream = source.read(bench.system["item"], Scope(), Progress())
        stream.batches = interrupted(stream.batches, lambda: terminate_readers(shop))
        with pytest.raises(SourceUnavailable) as caught:
            bench.merge(stream)
        with pytest.raises(SourceUnavailable) as next_table:
            read(source, LINE)

    assert "own/item: the connection to the source was lost: " in said(caught)
    assert said(caught).endswith("run it again.")
    assert "ORIGIN_DSN: the connection of this run was lost" in said(next_table)
    assert said(next_table).endswith("run it again.")
    assert bench.rows("select * from item") == []
    shop.run("delete from item where id > 300")
    assert counted(shop.sync(bench)) == {"read": 300, "inserted": 300}


def interrupted(batches: Any, happens: Callable[[], None]) -> Iterator[Any]:
    """The same batches, with something that happens after the first one."""
    for number, batch in enumerate(batches):
        yield batch
        if number == 0:
            happens()


def test_a_source_that_goes_away_between_two_tables_is_missed_by_the_next(shop: Origin) -> None:
    with closing(shop.source()) as source:
        read(source)
        terminate_readers(shop)
        with pytest.raises(SourceUnavailable) as caught:
            read(source, LINE)
        with pytest.raises(SourceUnavailable, match="the connection of this run was lost"):
            read(source)
        source.close()
        assert len(read(source, LINE).records) == 300

    assert "own/line: the connection to the source was lost" in said(caught)


# -- a source that cannot be reached


class Door:
    """An address in front of a server that turns away the first connections and lets the others pass."""

    def __init__(self, dsn: str, turned_away: float) -> None:
        self._behind = urlsplit(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._turned_away = turned_away
        self.knocks = 0
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def dsn(self) -> str:
        login = self._behind.netloc.rpartition("@")[0]
        port = self._listener.getsockname()[1]
        return urlunsplit(self._behind._replace(netloc=f"{login}@127.0.0.1:{port}"))

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.knocks += 1
                if self.knocks <= self._turned_away:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._behind.port or 5432))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)


@contextmanager
def behind(dsn: str, *, turned_away: float = 0) -> Iterator[Door]:
    with closing(Door(dsn, turned_away)) as door:
        yield door


def test_a_source_that_comes_back_within_its_time_is_read(shop: Origin) -> None:
    with behind(shop.dsn, turned_away=1) as door:
        found = shop.read(dsn=door.dsn, outage=dt.timedelta(seconds=20))

    assert len(found.records) == 300
    assert door.knocks == 2


def test_a_source_that_stays_away_fails_when_its_time_is_over(shop: Origin, visitor: str) -> None:
    outage = dt.timedelta(milliseconds=300)

    with (
        behind(visitor, turned_away=float("inf")) as door,
        pytest.raises(SourceUnavailable) as caught,
    ):
        shop.read(dsn=door.dsn, outage=outage)

    assert door.knocks > 1
    assert said(caught).startswith("No connection to 127.0.0.1:")
    assert said(caught).endswith("Check ORIGIN_DSN.")


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("open%20sesame", "open%20says%20me", "password authentication failed for user"),
        (":open%20sesame", "", "no password supplied"),
        ("/origin_", "/nowhere_", "does not exist"),
        ("sslmode=disable", "sslmode=require", "server does not support SSL"),
        ("sslmode=disable", "sslmode=perhaps", "invalid sslmode value"),
    ],
)
def test_a_login_that_cannot_succeed_is_not_tried_again(
    shop: Origin, visitor: str, right: str, wrong: str, reason: str
) -> None:
    started = time.monotonic()

    with behind(visitor) as door, pytest.raises(SourceUnavailable) as caught:
        shop.read(dsn=door.dsn.replace(right, wrong), outage=dt.timedelta(minutes=1))

    assert time.monotonic() - started < 20
    assert door.knocks <= 1
    assert reason in said(caught)
    assert "says me" not in said(caught)
    assert said(caught).endswith("Check ORIGIN_DSN.")


def test_what_is_no_connection_string_is_said_without_quoting_it() -> None:
    source = PostgresReader("postgresql://me:open sesame@ho st/db", variable="ORIGIN_DSN")

    with pytest.raises(
        SettingsError, match="ORIGIN_DSN is not a PostgreSQL connection string"
    ) as caught:
        read(source)

    said(caught)
