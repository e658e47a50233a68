"""Programs that write while a table is repaired, and sessions that die: nothing slips in, nothing is lost."""

import itertools
from threading import Event, Thread

import psycopg
import pytest

from sync_pipeline.doctor.repair.deduplicate import repair
from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.doctor.repair.sample_table import (
    BOOK_ROWS,
    BOOKS,
    INDEX_NAMES,
    KEY,
    column,
    shelf,
)


class Writer(Thread):
    """Inserts each of its titles twice, until it is stopped; counts what the database accepted."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self.connection = connect(dsn)
        self.accepted: list[int] = []
        self.refused = 0
        self.first_refusal, self.stopped = Event(), Event()

    def run(self) -> None:
        for id_ in itertools.count(1000):
            if self.stopped.is_set():
                break
            title = f"title {id_ // 2}"
            try:
                self.connection.execute(
                    "insert into book (id, shelf, title) values (%s, 'w', %s)", [id_, title]
                )
                self.accepted.append(id_)
            except psycopg.errors.UniqueViolation:
                self.refused += 1
                self.first_refusal.set()
        self.connection.close()


def test_a_writer_that_goes_on_loses_nothing_and_gets_no_duplicate_in(database: str) -> None:
    with shelf(database, BOOKS) as connection:
        writer = Writer(database)
        writer.start()
        while len(writer.accepted) < 50:
            assert writer.is_alive()

        repair(connection, KEY)
        assert writer.first_refusal.wait(30)
        writer.stopped.set()
        writer.join()

        present = set(column(connection, "select id from book where shelf = 'w'"))
        removed = {
            int(i)
            for i in column(
                connection,
                "select \"row\" ->> 'id' from sync.removed_row where \"row\" ->> 'shelf' = 'w'",
            )
        }
        assert present | removed == set(writer.accepted)
        assert not present & removed
        assert len(removed) >= 20
        repeated = "select 1 from book where shelf = 'w' group by shelf, title having count(*) > 1"
        assert column(connection, repeated) == []


def test_readers_see_whole_tables_and_never_wait_for_the_merge(database: str) -> None:
    with shelf(database, BOOKS) as connection, connect(database) as reader:
        before = column(reader, BOOK_ROWS)
        with connection.transaction():
            repair(connection, KEY)
            assert column(reader, BOOK_ROWS) == before

        assert column(reader, "select count(*) from book") == [4]


def test_a_repair_whose_session_dies_leaves_all_as_it_was(database: str) -> None:
    with shelf(database, BOOKS) as connection, connect(database) as killed:
        before = column(connection, BOOK_ROWS), column(connection, INDEX_NAMES)
        killed.execute("begin")
        repair(killed, KEY)
        connection.execute("select pg_terminate_backend(%s, 5000)", [killed.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            killed.execute("commit")

        assert (column(connection, BOOK_ROWS), column(connection, INDEX_NAMES)) == before
        assert column(connection, "select count(*) from sync.repair") == [0]
        assert repair(connection, KEY).removed == 2
