"""Restoring a repair: all of it, or all but what people have changed since."""

from uuid import uuid4

import pytest
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.doctor.repair.deduplicate import repair
from sync_pipeline.doctor.repair.indexes import add_index, drop_indexes
from sync_pipeline.doctor.repair.restore import restore
from sync_pipeline.doctor.repair.unique_key import Fill
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.catalog import TableName
from sync_pipeline_tests.doctor.repair.sample_table import (
    BOOK_ROWS,
    BOOKS,
    INDEX_NAMES,
    KEY,
    LOANS,
    column,
    shelf,
)

LOAN_ROWS = "select to_jsonb(l) from loan l order by id"
FILL = Fill("shelf", sql.SQL("'b'"), "nothing else was known")


def test_a_repair_can_be_restored_whole_and_done_again(database: str) -> None:
    wrong = "create index book_shelf_title_key on book (title)"
    with shelf(database, BOOKS, LOANS, wrong) as connection:
        books, loans, names = (column(connection, q) for q in (BOOK_ROWS, LOAN_ROWS, INDEX_NAMES))
        first = repair(connection, KEY, fills=[FILL])
        assert first.repair_id is not None

        report = restore(connection, first.repair_id)

        assert (column(connection, BOOK_ROWS), column(connection, LOAN_ROWS)) == (books, loans)
        assert column(connection, INDEX_NAMES) == names
        assert report.lines == [
            "index book_shelf_title_key dropped",
            "index book_shelf_title_key_old renamed to book_shelf_title_key again",
            "2 changed rows of public.book put back",
            "3 removed rows of public.book put back",
            "2 changed rows of public.loan put back",
        ]
        assert column(connection, "select count(*) from sync.removed_row") == [0]
        with pytest.raises(TargetNotPrepared, match="there is no repair"):
            restore(connection, first.repair_id)
        assert repair(connection, KEY, fills=[FILL]).lines == first.lines


def test_what_people_have_changed_since_stays_and_is_reported(database: str) -> None:
    with shelf(database, BOOKS, LOANS) as connection:
        repair(connection, KEY)
        connection.execute(
            "update book set pages = 31 where id = 2"
        )  # its tags are as they were left
        connection.execute("insert into book (id, shelf, title) values (1, 'z', 'another')")
        connection.execute("delete from loan where id = 3")

        report = restore(connection, "public.book")

        assert column(connection, "select pages from book where id = 2") == [31]
        assert column(connection, "select tags from book where id = 2") == [None]
        assert column(connection, "select title from book where id in (1, 3) order by id") == [
            "another",
            "one",
        ]
        assert report.left == 3
        assert [text for kind, text in report.entries if kind == "kept"] == [
            (
                "1 row of public.book not put back: duplicate key value violates unique constraint"
                ' "book_pkey": Key (id)=(1) already exists'
            ),
            # Another book has the number now, which nobody has borrowed.
            "1 row of public.loan not put back: what they referred to is not back",
            "1 row of public.loan not put back: changed or removed since",
        ]


def test_what_could_not_be_put_back_is_kept_and_tried_again(database: str) -> None:
    with shelf(database, BOOKS) as connection:
        books = column(connection, BOOK_ROWS)
        repair(connection, KEY)
        connection.execute("insert into book (id) values (1)")
        assert restore(connection, "public.book").left == 1
        assert column(connection, "select \"row\" ->> 'id' from sync.removed_row") == ["1"]
        connection.execute("delete from book where id = 1")

        report = restore(connection, "public.book")

        assert (report.left, report.removed) == (0, 1)
        assert column(connection, BOOK_ROWS) == books
        assert restore(connection, "public.book").lines == [
            "public.book has no repair left to restore"
        ]


def test_columns_with_a_percent_sign_are_repaired_and_put_back_too(database: str) -> None:
    with shelf(database, BOOKS, LOANS) as connection:
        connection.execute('alter table book add "100 %" text, add "a%s" text')
        connection.execute("""update book set "100 %" = 'x', "a%s" = 'y' where id in (1, 3)""")
        books = column(connection, BOOK_ROWS)

        repair(connection, KEY)

        assert column(connection, 'select "a%s" from book where id = 2') == ["y"]
        assert restore(connection, "public.book").left == 0
        assert column(connection, BOOK_ROWS) == books


def test_indexes_that_were_dropped_are_made_again_where_the_rows_allow_it(database: str) -> None:
    place = TableName("public", "book")
    inline = "alter table book add constraint one_each unique nulls not distinct (shelf, pages)"
    with shelf(
        database, BOOKS, inline, "create unique index lone on book (title, id)"
    ) as connection:
        names = column(connection, INDEX_NAMES)
        for name in ("one_each", "lone"):
            drop_indexes(connection, place, which=lambda i, name=name: i.name == name, why="a test")
        add_index(connection, place, "by_title", ["title"])
        connection.execute("update book set pages = 50 where id = 6")

        report = restore(connection, "public.book")

        assert report.left == 1
        assert "one_each unique nulls not distinct" in report.lines[-1].lower()
        assert "is duplicated" in report.lines[-1]
        connection.execute("update book set pages = 60 where id = 6")
        restore(connection, "public.book")
        assert column(connection, INDEX_NAMES) == names


def test_values_that_json_does_not_carry_come_back_as_they_were(
    every_server: EmbeddedServer,
) -> None:
    books = """
        create table book (
            id integer primary key, shelf text, title text, data jsonb not null, note jsonb, raw json,
            tags integer[], edited date
        );
        insert into book values
            (1, 'a', 'one', 'null', 'null', '{"b": 1, "a": 2,  "a": 3}', '[2:3]={1,2}', '2026-01-01'),
            (2, 'a', 'one', '{"x": 1}', null, null, null, '2026-02-01'),
            (3, 'a', 'two', '{"x": 3}', '{"x": 3}', '{}', '[0:0]={7}', '2026-01-01'),
            (4, 'a', 'two', 'null', 'null', '{"y":1}', '{8}', '2026-02-01')
    """
    texts = "select b::text from book b order by id"
    with shelf(every_server.create_database("exact"), books) as connection:
        before = column(connection, texts)

        report = repair(connection, KEY)

        # A null that is a JSON value is a value of the newest, and none to give to it.
        assert column(connection, "select data::text from book order by id") == [
            '{"x": 1}',
            "null",
        ]
        assert column(connection, "select note::text from book order by id") == [None, "null"]
        assert report.removed == 2
        assert restore(connection, "public.book").left == 0
        assert column(connection, texts) == before


def test_of_rows_that_are_alike_as_many_are_led_back_as_were_led_to_the_survivor(
    database: str,
) -> None:
    loans = "create table loan (book integer references book, who text)"
    lent = "insert into loan values (1, 'Ayo'), (1, 'Ayo'), (2, 'Ayo'), (2, 'Ayo'), (3, 'Bee')"
    who = "select array[book::text, who] from loan order by 1"
    with shelf(database, BOOKS, loans, lent) as connection:
        before = column(connection, who)
        assert repair(connection, KEY).repointed == 3
        assert restore(connection, "public.book").left == 0
        assert column(connection, who) == before

        repair(connection, KEY)
        connection.execute(
            "delete from loan where ctid = any (array(select ctid from loan where who = 'Ayo' limit 3))"
        )

        assert restore(connection, "public.book").left == 1
        assert column(connection, who) == [["1", "Ayo"], ["3", "Bee"]]


def test_an_unknown_repair_is_refused(database: str) -> None:
    with shelf(database, BOOKS) as connection, pytest.raises(TargetNotPrepared, match="no repair"):
        restore(connection, uuid4())
