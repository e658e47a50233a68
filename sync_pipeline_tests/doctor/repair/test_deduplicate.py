"""Restoring a unique key: what becomes of duplicates, references and indexes, and what stops it."""

import pytest
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.doctor.repair import session
from sync_pipeline.doctor.repair.deduplicate import repair
from sync_pipeline.doctor.repair.indexes import add_index, faults, indexes
from sync_pipeline.doctor.repair.restore import restore
from sync_pipeline.doctor.repair.unique_key import Fill, UniqueKey
from sync_pipeline.errors import TargetNotPrepared, TargetRefused, TargetUnavailable
from sync_pipeline.postgres.catalog import TableName
from sync_pipeline.postgres.connect import Connection, connect
from sync_pipeline_tests.doctor.repair.sample_table import (
    BOOK_ROWS,
    BOOKS,
    INDEX_NAMES,
    KEY,
    LOANS,
    column,
    rows,
    shelf,
)


def backing(connection: Connection) -> list[str]:
    """Names of the indexes that back the key."""
    return [i.name for i in indexes(connection, KEY.table_name) if not faults(i, KEY)]


def test_duplicates_merge_into_the_newest_and_nothing_is_lost(every_server: EmbeddedServer) -> None:
    with shelf(every_server.create_database("merging"), BOOKS, LOANS) as connection:
        report = repair(connection, KEY)

        # 2 is the newest; its pages and tags come from 3, the next newest; {} is a value.
        merged = rows(connection, "select * from book where shelf = 'a' and title = 'one'")
        assert [(r["id"], r["pages"], r["tags"], r["data"]) for r in merged] == [
            (2, 30, ["newer", "still"], {})
        ]
        assert column(connection, "select id from book order by id") == [2, 4, 5, 6]
        # Readers of other tables find the survivor; ON DELETE CASCADE took nothing.
        assert column(connection, "select book from loan order by id") == [2, 2, 2, 4]
        kept = rows(connection, "select * from sync.removed_row order by id")
        assert [r["row"]["id"] for r in kept] == [3, 1]
        assert kept[1]["row"]["data"] == {"x": 1}
        assert kept[0]["survivor_key"] == {"id": 2}
        assert kept[0]["survivor_before"]["pages"] is None
        assert {r["repair_id"] for r in kept} == {report.repair_id}
        assert (report.removed, report.filled, report.repointed) == (2, 1, 2)
        assert report.lines == [
            (
                "1 key was held by several rows: 2 rows merged into the newest of their key and kept in"
                " sync.removed_row, such as (a, one) 3 times, of which id 2 survived"
            ),
            "2 rows of public.loan repointed to the survivor by loan_book_fkey",
            "pages filled in 1 row: from older duplicates, which had a value",
            "tags filled in 1 row: from older duplicates, which had a value",
            "unique index on (shelf, title): book_shelf_title_key created",
        ]
        assert not repair(connection, KEY, dry_run=True).changed


def test_a_second_repair_changes_nothing_and_reports_so(database: str) -> None:
    with shelf(database, BOOKS) as connection:
        repair(connection, KEY)
        before = rows(connection, "select ctid, xmin, * from book order by id")

        again = repair(connection, KEY)

        assert (again.changed, again.repair_id) == (False, None)
        assert again.lines == [
            "no two rows share (shelf, title)",
            "unique index on (shelf, title): book_shelf_title_key does; none is built beside it",
        ]
        assert rows(connection, "select ctid, xmin, * from book order by id") == before
        assert len(column(connection, "select id from sync.repair")) == 1


def test_a_dry_run_reports_the_same_and_writes_nothing(database: str) -> None:
    with shelf(database, BOOKS, LOANS) as connection:
        before = column(connection, BOOK_ROWS)

        dry = repair(connection, KEY, dry_run=True)

        assert column(connection, BOOK_ROWS) == before
        assert column(connection, "select count(*) from sync.repair") == [0]
        assert "book_shelf_title_key" not in column(connection, INDEX_NAMES)
        assert dry.lines == repair(connection, KEY).lines


def test_rows_with_a_null_in_the_key_are_duplicates_only_where_nulls_are_equal(
    database: str,
) -> None:
    with shelf(database, BOOKS) as connection:
        planned = repair(connection, KEY, dry_run=True)
        assert planned.lines[0].startswith("1 key was held by several rows: 2 rows merged")
        assert "such as (a, one) 3 times" in planned.lines[0]
        assert planned.removed == 2
        nulls = "select count(*) from book where num_nulls(shelf, title) > 0"
        assert column(connection, nulls) == [2]
        equal = UniqueKey("public", "book", KEY.columns, True, "book_equal_key", KEY.newest)
        assert repair(connection, equal, dry_run=True).removed == 3

        repair(connection, KEY)
        assert column(connection, "select id from book where shelf is null order by 1") == [5, 6]
        lines = repair(connection, equal).lines

        assert column(connection, "select id from book where shelf is null") == [6]
        assert "index book_shelf_title_key takes nulls as distinct, so it does not do" in lines


def test_duplicates_are_those_of_the_filled_values(database: str) -> None:
    fill = Fill("shelf", sql.SQL("case when t.id = 5 then 'a' end"), "where it stood before")
    unique = "create unique index early on book (shelf, title) where id <> 1"
    with shelf(database, BOOKS, "delete from book where id in (1, 2)", unique) as connection:
        report = repair(connection, KEY, fills=[fill])

        assert column(connection, "select id from book order by 1") == [3, 4, 6]
        assert column(connection, "select \"row\" ->> 'id' from sync.removed_row") == ["5"]
        assert "filled" not in " ".join(
            report.lines
        )  # the row that would be filled is the older one


def test_a_fill_may_take_the_key_that_another_row_is_leaving(database: str) -> None:
    table = """
        create table place (id integer primary key, a text, b text, unique nulls not distinct (a, b));
        insert into place values (1, null, null), (2, 'x', null), (3, null, 'y')
    """
    fills = [
        Fill("a", sql.SQL("'x'"), "all are x"),
        Fill("b", sql.SQL("case when t.id = 2 then 'z' end"), "known of 2"),
    ]
    key = UniqueKey("public", "place", ("a", "b"), nulls_not_distinct=True, name="place_a_b_key")
    with shelf(database, table) as connection:
        report = repair(connection, key, fills=fills)

        found = rows(connection, "select * from place order by id")
        assert [(r["a"], r["b"]) for r in found] == [("x", None), ("x", "z"), ("x", "y")]
        assert (report.removed, report.filled) == (0, 3)


def test_a_null_with_a_meaning_is_not_filled(database: str) -> None:
    key = UniqueKey(
        "public", "book", KEY.columns, False, KEY.name, KEY.newest, null_is_value=("pages",)
    )
    with shelf(database, BOOKS) as connection:
        repair(connection, key)

        assert column(connection, "select pages from book where id = 2") == [None]
        assert column(connection, "select tags from book where id = 2") == [["newer", "still"]]


def test_a_table_without_primary_key_and_times_keeps_its_last_row(database: str) -> None:
    table = """
        create table bare (shelf text, title text, note text);
        insert into bare values ('a', 'one', 'first'), ('a', 'one', null), ('b', 'one', null)
    """
    key = UniqueKey("public", "bare", KEY.columns, False, "bare_key", ("edited",))
    with shelf(database, table) as connection:
        repair(connection, key)

        assert rows(connection, "select * from bare order by shelf") == [
            {"shelf": "a", "title": "one", "note": "first"},
            {"shelf": "b", "title": "one", "note": None},
        ]
        survivor = column(connection, "select survivor_key from sync.removed_row")
        assert survivor == [{"shelf": "a", "title": "one"}]


# -- indexes


def test_an_index_is_judged_by_its_definition_and_a_wrong_one_loses_the_name(
    database: str,
) -> None:
    wrong = "create index book_shelf_title_key on book (title)"
    partial = "create unique index some_books on book (shelf, title) where id > 3"
    late = "alter table book add constraint later unique (title, shelf) deferrable"
    with shelf(
        database, BOOKS, "delete from book where id < 3", wrong, partial, late
    ) as connection:
        lines = repair(connection, KEY).lines

        assert lines[0] == (
            "index book_shelf_title_key is on (title) and is not unique, in spite of its name: renamed to"
            " book_shelf_title_key_old"
        )
        assert "index later is deferrable, so it does not do" in lines
        assert "index some_books covers only rows where (id > 3), so it does not do" in lines
        assert backing(connection) == ["book_shelf_title_key"]


def test_the_index_of_a_failed_build_is_dropped(database: str) -> None:
    with shelf(database, BOOKS) as connection:
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute("create unique index concurrently half on book (shelf, title)")

        lines = repair(connection, KEY).lines

        assert lines[0] == "index half was left by a failed build: dropped"
        assert column(connection, INDEX_NAMES) == ["book_pkey", "book_shelf_title_key"]


def test_nothing_is_built_beside_an_index_that_does_and_a_duplicate_index_is_named(
    database: str,
) -> None:
    first = "alter table book add constraint inline unique (shelf, title)"
    second = "create unique index other on book (title, shelf)"
    with shelf(database, BOOKS, "delete from book where id < 3", first, second) as connection:
        report = repair(connection, KEY)

        assert not report.changed
        assert "inline does; none is built beside it" in report.lines[1]
        assert "other does the same as inline and only costs writes" in report.lines[2]
        assert column(connection, INDEX_NAMES) == ["book_pkey", "inline", "other"]


def test_an_index_of_another_table_keeps_its_name(database: str) -> None:
    other = "create table other (x text); create index book_shelf_title_key on other (x)"
    with shelf(database, BOOKS, other) as connection:
        repair(connection, KEY)

        assert backing(connection) == ["book_shelf_title_key_sync"]


def test_a_further_index_is_built_once_and_only_where_rows_allow_it(database: str) -> None:
    place = TableName("public", "book")
    with shelf(database, BOOKS, "create index by_title on book (pages)") as connection:
        built = add_index(connection, place, "by_title", ["title"])
        again = add_index(connection, place, "titles", ["title"])
        refused = add_index(connection, place, "one_title", ["title"], unique=True)

        assert built.lines == [
            "index by_title is on other columns, in spite of its name: renamed to by_title_old",
            "index on (title): by_title created",
        ]
        assert again.lines == ["index on (title): by_title does"]
        assert refused.lines == [
            "unique index on (title): not created, because 1 of its keys are held by several rows"
        ]


# -- what stops it: all is as it was, and the rows are named


def test_references_that_would_collide_stop_it_with_their_rows(database: str) -> None:
    both = "insert into loan values (5, 2, 'Ayo')"
    with shelf(database, BOOKS, LOANS, both) as connection:
        before = column(connection, BOOK_ROWS)

        with pytest.raises(TargetNotPrepared) as caught:
            repair(connection, KEY)

        assert 'Key (book, who)=(2, Ayo) already exists; they are among {"id": 1}' in str(
            caught.value
        )
        assert column(connection, BOOK_ROWS) == before
        assert column(connection, "select count(*) from sync.repair") == [0]


def test_a_reference_to_itself_follows_too(database: str) -> None:
    own = "alter table book add column part_of integer references book on delete cascade"
    parts = "update book set part_of = 1 where id in (2, 3, 4)"
    with shelf(database, BOOKS, own, parts) as connection:
        report = repair(connection, KEY)

        found = rows(connection, "select id, part_of from book order by id")
        assert [(r["id"], r["part_of"]) for r in found] == [(2, 2), (4, 2), (5, None), (6, None)]
        assert report.removed == 2


def test_references_between_duplicates_are_repointed_and_restored(database: str) -> None:
    own = "alter table book add column part_of integer references book on delete cascade"
    more = "insert into book (id, shelf, title, edited) values (7, 'a', 'two', '2026-04-01')"
    # 2 survives and refers to a row that goes; 7 inherits a reference to one; 5 is no duplicate.
    parts = "update book set part_of = 1 where id in (2, 4, 5)"
    with shelf(database, BOOKS, own, more, parts) as connection:
        before = column(connection, BOOK_ROWS)

        repair(connection, KEY)

        found = rows(connection, "select id, part_of from book where id <> 6 order by id")
        assert [(r["id"], r["part_of"]) for r in found] == [(2, 2), (5, 2), (7, 2)]
        assert restore(connection, "public.book").left == 0
        assert column(connection, BOOK_ROWS) == before


SWALLOW = """
create function swallow() returns trigger language plpgsql as 'begin return null; end';
create trigger swallow before {} on {} for each row execute function swallow()
"""


@pytest.mark.parametrize(
    ("event", "table", "message"),
    [
        ("delete", "book", "0 of 2 rows were removed"),
        ("update", "book", "0 of 1 row were changed"),
        ("update", "loan", "0 of 2 rows were repointed to survivors"),
    ],
)
def test_a_trigger_that_swallows_writes_stops_it(
    database: str, event: str, table: str, message: str
) -> None:
    with shelf(database, BOOKS, LOANS) as connection:
        connection.execute(SWALLOW.format(event, table).encode())
        before = column(connection, BOOK_ROWS)

        with pytest.raises(TargetNotPrepared, match=message):
            repair(connection, KEY)

        assert column(connection, BOOK_ROWS) == before


def test_a_trigger_that_alters_a_value_stops_it(database: str) -> None:
    alters = """
        create function alters() returns trigger language plpgsql as
            'begin new.pages = 99; return new; end';
        create trigger alters before update on book for each row execute function alters()
    """
    with (
        shelf(database, BOOKS, alters) as connection,
        pytest.raises(
            TargetNotPrepared, match=r'do not hold what they were given, such as \{"id": 2\}'
        ),
    ):
        repair(connection, KEY)


def test_rows_that_must_match_and_differ_are_named_and_not_merged(database: str) -> None:
    key = UniqueKey("public", "book", KEY.columns, False, KEY.name, must_match=("pages", "colour"))
    with shelf(database, BOOKS, "update book set pages = 30 where id = 1") as connection:
        repair(connection, key, dry_run=True)
        connection.execute("update book set pages = 10 where id = 1")
        before = column(connection, BOOK_ROWS)

        for dry_run in (True, False):
            with pytest.raises(TargetNotPrepared) as caught:
                repair(connection, key, dry_run=dry_run)

            named = '{"id": 1} and {"id": 2} and {"id": 3} differ in (pages)'
            assert named in str(caught.value)
        assert column(connection, BOOK_ROWS) == before

        # Values of fills count too.
        fill = Fill("pages", sql.SQL("t.id"), "a test")
        connection.execute("update book set pages = null")
        with pytest.raises(TargetNotPrepared, match=r"differ in \(pages\)"):
            repair(connection, key, fills=[fill])


def test_rows_of_another_table_that_a_policy_hides_stop_it(every_server: EmbeddedServer) -> None:
    hidden = """
        do $$ begin
            if to_regrole('librarian') is null then create role librarian; end if;
        end $$;
        alter table book owner to librarian; alter table loan owner to librarian;
        grant all on schema public, sync to librarian;
        grant all on all tables in schema sync to librarian;
        alter table loan enable row level security; alter table loan force row level security;
        create policy own on loan using (who = current_setting('loan.who', true))
    """
    loans = "select count(*) from loan"
    with shelf(every_server.create_database("hidden"), BOOKS, LOANS, hidden) as connection:
        before = column(connection, loans)
        connection.execute("set role librarian")
        with pytest.raises(TargetRefused, match="as a role with BYPASSRLS"):
            repair(connection, KEY)
        connection.execute("reset role")
        assert column(connection, loans) == before
        assert column(connection, "select count(*) from book") == [6]


def test_a_caller_that_waits_less_for_a_lock_is_not_made_to_wait_longer(database: str) -> None:
    wait = "select current_setting('lock_timeout')"
    with shelf(database, BOOKS) as connection:
        for own, within in (("5s", "5s"), ("1min", "30s"), ("0", "30s")):
            with connection.transaction():
                connection.execute("select set_config('lock_timeout', %s, true)", [own])
                with session.transaction(connection, KEY.table_name):
                    assert column(connection, wait) == [within]
                assert column(connection, wait) == [own]


def test_a_lock_that_is_not_to_be_had_is_no_failure_for_good(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LOCK_TIMEOUT", session.LOCK_TIMEOUT / 1000)
    with shelf(database, BOOKS) as connection, connect(database) as writer:
        with writer.transaction():
            writer.execute("update book set pages = 1 where id = 1")
            with pytest.raises(TargetUnavailable, match="try again when they are through"):
                repair(connection, KEY)

        assert repair(connection, KEY).removed == 2


def test_what_cannot_be_repaired_is_reported_before_anything_is_done(database: str) -> None:
    parted = "create table parted (shelf text, title text) partition by list (shelf)"
    with shelf(database, BOOKS, parted) as connection:
        for table, columns, message in (
            ("nowhere", ("a",), "table public.nowhere does not exist"),
            ("book", ("shelf", "colour"), "public.book has no column colour"),
            ("parted", ("shelf",), "is no plain table"),
        ):
            with pytest.raises(TargetNotPrepared, match=message):
                repair(connection, UniqueKey("public", table, columns, False, "x"))
        connection.execute("drop table sync.repair")
        with pytest.raises(TargetNotPrepared, match="run sync-pipeline migrate"):
            repair(connection, KEY)
