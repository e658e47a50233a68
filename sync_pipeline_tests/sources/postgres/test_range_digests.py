"""A delta reads the ranges of a table that moved, all of them and little else, whatever moved them."""

from typing import Any

import pytest

from sync_pipeline.model.entity import Entity, Field
from sync_pipeline.model.types import char, date, integer, numeric, text, timestamptz, uuid
from sync_pipeline_tests.sources.postgres.digest_runs import PAIR, RANGE, SIZED
from sync_pipeline_tests.sources.postgres.source_database import ITEM, Origin, Read, item


@pytest.fixture
def stocked(origin: Origin) -> Origin:
    """A source with a thousand items, which are eight ranges or nine."""
    origin.run(
        "create table item as select n as id, 'item ' || n as name, 1.5 as size, 'x' as unread"
        " from generate_series(1, 1100) n"
    )
    return origin


def test_the_first_read_takes_everything_and_divides_the_table(stocked: Origin) -> None:
    found = stocked.read(SIZED)

    assert len(found.records) == 1100
    assert found.outcome.complete
    assert found.outcome.notes == {"source_rows": 1100, "ranges": 8}
    assert sum(int(digest.split()[0]) for digest in found.cursor["digests"].values()) == 1100


def test_a_delta_of_nothing_reads_nothing_and_keeps_the_same_cursor(stocked: Origin) -> None:
    first = stocked.read(SIZED)

    second = stocked.read(SIZED, first.cursor)

    assert second.records == []
    assert second.cursor == first.cursor
    assert second.outcome.notes["ranges_moved"] == 0
    assert not second.outcome.complete
    assert second.outcome.bytes < first.outcome.bytes / 50


EDITS = {
    "one column": ("update item set name = 'new' where id = 500", {500}),
    "a null": ("update item set name = null where id = 500", {500}),
    "an empty text": ("update item set name = '' where id = 500", {500}),
    "a trailing zero": ("update item set size = 1.50 where id = 500", {500}),
    "an insert": ("insert into item values (500, 'another', 1)", {500}),
    "an insert below": ("insert into item values (-7, 'low', 1)", {-7}),
    "an insert above": ("insert into item values (9999, 'high', 1)", {9999}),
    "a null key": ("insert into item values (null, 'nobody', 1)", {None}),
    "a delete": ("delete from item where id = 500", {501}),
    "another key": ("update item set id = 1 where id = 1100", {1, 1099}),
    "two that swap": (
        "update item set name = 'item ' || 1000 - id where id in (499, 501)",
        {499, 501},
    ),
}


def test_an_edit_moves_its_ranges_and_no_other(stocked: Origin) -> None:
    cursor = stocked.read(SIZED).cursor

    for edit, (statement, wanted) in EDITS.items():
        stocked.run(statement)
        moved = stocked.read(SIZED, cursor)
        cursor = moved.cursor
        keys = {r["id"] and int(r["id"]) for r in moved.records}
        assert wanted <= keys, edit
        assert len(moved.records) < 3 * RANGE, edit
        assert stocked.read(SIZED, cursor).records == [], edit


def test_a_column_that_is_not_mapped_moves_nothing(stocked: Origin) -> None:
    first = stocked.read(SIZED)
    stocked.run("update item set unread = 'y'")
    stocked.run("alter table item add more text default 'z'")

    assert stocked.read(SIZED, first.cursor).records == []


def test_of_two_equal_rows_the_loss_of_one_is_noticed(stocked: Origin) -> None:
    stocked.run("insert into item select * from item where id = 500")
    first = stocked.read(SIZED)
    stocked.run("delete from item where ctid = (select max(ctid) from item where id = 500)")

    second = stocked.read(SIZED, first.cursor)

    assert second.of("id").count("500") == 1


def test_a_table_that_is_emptied_is_noticed_and_is_no_complete_scan(stocked: Origin) -> None:
    first = stocked.read(SIZED)
    stocked.run("truncate item")

    second = stocked.read(SIZED, first.cursor)
    stocked.run("insert into item values (500, 'back', 1)")
    third = stocked.read(SIZED, second.cursor)

    assert second.records == []
    assert not second.outcome.complete
    assert second.cursor["digests"] == {}
    assert third.of("name") == ["back"]


def test_an_empty_table_is_watched_from_the_beginning(origin: Origin) -> None:
    origin.run("create table item (id int, name text)")
    first = origin.read()
    second = origin.read(ITEM, first.cursor)
    origin.run("insert into item values (1, 'one')")

    third = origin.read(ITEM, second.cursor)

    assert (first.records, second.records) == ([], [])
    assert first.outcome.complete
    assert third.of("id") == ["1"]


def test_a_table_beyond_twice_its_size_is_divided_anew(origin: Origin) -> None:
    origin.run("create table item as select n as id, 'one' as name from generate_series(1, 256) n")
    first = origin.read()
    origin.run("insert into item select n, 'two' from generate_series(257, 512) n")
    doubled = origin.read(ITEM, first.cursor)
    origin.run("insert into item values (513, 'two')")
    grown = origin.read(ITEM, doubled.cursor)
    origin.run("update item set name = 'new' where id = 400")
    after = origin.read(ITEM, grown.cursor)

    assert [len(r.cursor["digests"]) for r in (first, doubled, grown)] == [2, 2, 4]
    assert "513" in grown.of("id")
    assert "new" in after.of("name")
    assert len(after.records) < 2 * RANGE


# -- keys


KEYS = {
    "integer": ("integer", integer, "n - 500"),
    "bigint": ("bigint", integer, "n * -10000000000"),
    "numeric": ("numeric", numeric, "n / 10.0 - 30"),
    "double precision": ("double precision", numeric, "n / 7.0::float8 - 50"),
    "text": ("text", text, "'key ' || md5(n::text)"),
    "tricky text": ("text", text, "chr(n % 60 + 32) || '\"\\{},é' || n"),
    "char": ("char(12)", char(12), "n::text"),
    "date": ("date", date, "date '2000-01-01' + n"),
    "timestamptz": (
        "timestamptz",
        timestamptz,
        "timestamptz '2024-03-31 00:00Z' + n * interval '1s'",
    ),
    "uuid": ("uuid", uuid, "md5(n::text)::uuid"),
    "enum": ("size", text, "('{S,M,L}'::size[])[1 + n % 3]"),
    "domain": ("code", text, "'c' || n"),
}


def test_a_key_of_any_type_divides_a_table(origin: Origin) -> None:
    origin.run("create type size as enum ('S', 'M', 'L')")
    origin.run("create domain code as text check (value <> '')")
    declared = ", ".join(f'"{kind}" {declared}' for kind, (declared, _, _) in KEYS.items())
    origin.run(f"create table item ({declared}, name text)")
    made = ", ".join(made for _, _, made in KEYS.values())
    origin.run(f"insert into item select {made}, 'item ' || n from generate_series(1, 1000) n")
    origin.run("insert into item (name) values ('nobody')")
    entities = {
        kind: item(columns=(Field("id", type_, kind), Field("name", text, "name")))
        for kind, (_, type_, _) in KEYS.items()
    }
    first = {kind: origin.read(entity) for kind, entity in entities.items()}
    unmoved = {kind: origin.read(entities[kind], first[kind].cursor).records for kind in KEYS}
    origin.run("update item set name = 'new' where name in ('item 700', 'nobody')")
    second = {kind: origin.read(entities[kind], first[kind].cursor) for kind in KEYS}

    found = {kind: read.of("name").count("new") for kind, read in second.items()}
    assert found == dict.fromkeys(KEYS, 2)
    assert [kind for kind, records in unmoved.items() if records] == []
    sizes = {kind: largest(read) for kind, read in first.items()}
    assert sizes.pop("enum") == 334  # it has three values
    assert [kind for kind, size in sizes.items() if size >= 2 * RANGE] == []


def largest(read: Read) -> int:
    """How many rows the largest range holds."""
    return max(int(digest.split()[0]) for digest in read.cursor["digests"].values())


def test_numbers_of_any_length_divide_evenly(origin: Origin) -> None:
    origin.run(
        "create table item as select n as id, 'x' as name from generate_series(-99, 12000) n"
    )

    assert largest(origin.read()) < 2 * RANGE


def test_of_several_key_columns_the_most_selective_one_divides(origin: Origin) -> None:
    origin.run(
        "create table item as select 1 as id, 'part ' || n as part, 'one' as name"
        " from generate_series(1, 1000) n"
    )
    first = origin.read(PAIR)
    origin.run("update item set name = 'new' where part = 'part 500'")
    second = origin.read(PAIR, first.cursor)

    assert first.cursor["column"] == "part"
    assert {"id": "1", "part": "part 500", "name": "new"} in second.records
    assert len(second.records) < 300


def test_a_part_of_a_key_may_be_null(origin: Origin) -> None:
    origin.run(
        "create table item as select n as id, case when n % 2 = 0 then 'even' end as part,"
        " 'one' as name from generate_series(1, 1000) n"
    )
    origin.run("insert into item select null, 'p' || n, 'one' from generate_series(1, 50) n")
    first = origin.read(PAIR)
    origin.run("update item set name = 'new' where id = 501 or part = 'p7'")
    second = origin.read(PAIR, first.cursor)

    assert second.of("name").count("new") == 2
    assert len(second.records) < 3 * RANGE
    assert first.cursor["digests"]["-1"].startswith("50 ")  # nulls are a range of their own


def test_a_table_of_one_and_the_same_key_is_one_range(origin: Origin) -> None:
    origin.run(
        "create table item as select 1 as id, 'n' || n as name from generate_series(1, 400) n"
    )
    first = origin.read()
    origin.run("update item set name = 'new' where name = 'n7'")
    second = origin.read(ITEM, first.cursor)

    assert len(first.cursor["digests"]) == 1
    assert len(second.records) == 400


# -- another mapping


COLUMNS = SIZED.columns


OTHERWISE: dict[str, Entity] = {
    "a further column": item(*COLUMNS[2:], Field("more", text, "unread")),
    "a column less": ITEM,
    "a column under another name": item(Field("weight", numeric, "size")),
    "a field of another type": item(Field("size", integer, "size")),
    "a field of another length": item(Field("size", numeric(10, 2), "size")),
    "another meaning of what is absent": item(*COLUMNS[2:], absent="unknown"),
    "another key": item(*COLUMNS[2:], key=("name",)),
}


def test_an_entity_that_maps_otherwise_is_read_from_the_beginning(stocked: Origin) -> None:
    cursor = stocked.read(SIZED).cursor

    for how, entity in OTHERWISE.items():
        found = stocked.read(entity, cursor)
        assert len(found.records) == 1100, how
        assert found.outcome.complete, how
        assert stocked.read(entity, found.cursor).records == [], how


def everything_is_read_after(stocked: Origin, first: Read, **options: Any) -> bool:
    second = stocked.read(SIZED, first.cursor, **options)
    return second.outcome.complete and len(second.records) == 1100


def test_a_column_of_another_type_at_the_source_is_read_from_the_beginning(
    stocked: Origin,
) -> None:
    first = stocked.read(SIZED)
    stocked.run("alter table item alter size type float8")

    assert everything_is_read_after(stocked, first)


def test_a_column_that_the_source_has_lost_or_found_is_read_from_the_beginning(
    stocked: Origin,
) -> None:
    first = stocked.read(SIZED)
    stocked.run("alter table item drop column size")
    without = stocked.read(SIZED, first.cursor)
    stocked.run("alter table item add size numeric")

    assert without.outcome.complete
    assert everything_is_read_after(stocked, without)


def test_other_rows_that_are_meant_are_read_from_the_beginning(stocked: Origin) -> None:
    first = stocked.read(SIZED)

    assert everything_is_read_after(stocked, first, row_filter=("unread", ("x",)))


def test_a_cursor_that_is_not_ours_is_no_cursor(stocked: Origin) -> None:
    ours = stocked.read(SIZED).cursor

    for state in (ours | {"version": 0}, ours | {"version": 99}, {}, [], "yesterday", 7, None):
        found = stocked.read(SIZED, state)
        assert found.outcome.complete, state
        assert len(found.records) == 1100, state


def test_no_setting_of_the_login_moves_a_digest(origin: Origin, visitor: str) -> None:
    origin.run("""
        create table item as select n as id, 'one' as name, now() + n * interval '1 day' as moment,
            current_date as day, interval '1 year 2 days' as span, '\\x00ff'::bytea as bytes,
            1 / 3.0::float8 as share, array[now(), null] as moments, '{"a": 1}'::json as doc,
            '<a>1</a>'::xml as page, 12.5::money as price
        from generate_series(1, 300) n
    """)
    names = ("moment", "day", "span", "bytes", "share", "moments", "doc", "page", "price")
    entity = item(*(Field(name, text, name) for name in names))
    login = visitor.partition("://")[2].partition(":")[0]
    origin.run(f"grant select on item to {login}")
    before = origin.read(entity, dsn=visitor)

    for setting, value in ODD.items():
        database = origin.value("select current_database()")
        origin.run(f"alter role {login} in database {database} set {setting} = {value}")
    after = origin.read(entity, before.cursor, dsn=visitor)
    everything = origin.read(entity, dsn=visitor)

    assert after.records == []
    assert after.cursor == before.cursor
    assert everything.records == before.records


ODD = {
    "datestyle": "'German, DMY'",
    "timezone": "'Asia/Kolkata'",
    "intervalstyle": "'sql_standard'",
    "extra_float_digits": "-15",
    "bytea_output": "'escape'",
    "search_path": "shop, pg_temp",
    "client_encoding": "'LATIN1'",
    "row_security": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "quote_all_identifiers": "on",
    "xmlbinary": "'hex'",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "transform_null_equals": "on",
    "enable_seqscan": "off",
}
"""What a login may have been given, and what would show in text or in the meaning of a statement."""
