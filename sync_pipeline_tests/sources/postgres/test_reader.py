"""Tables of a Postgres database as a source: what arrives, under which names, and which rows of it."""

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from sync_pipeline.errors import SettingsError, SourceRefused
from sync_pipeline.model.entity import Field, Local, Owner
from sync_pipeline.model.types import (
    Type,
    bigint,
    boolean,
    char,
    date,
    double,
    integer,
    jsonb,
    numeric,
    text,
    text_list,
    time,
    timestamp,
    timestamptz,
    uuid,
    varchar,
)
from sync_pipeline_tests.fixtures.sample_system import Workbench, counted
from sync_pipeline_tests.sources.postgres.source_database import ID, ITEM, Origin, item, read

MakeWorkbench = Callable[..., Workbench]

KINDS: dict[str, tuple[str, Type, list[Any]]] = {
    "words": (
        "text",
        text,
        ["", r"\N", "a\tb", "a\nb\r\n", r"c:\new\table", '"quoted", it\'s', "Zoë 日本 🎈", " "],
    ),
    "short": ("varchar(8)", varchar(8), ["12345678", "", "üüüüüüüü"]),
    "mark": ("char(3)", char(3), ["ab ", "", "xyz"]),
    "padded": ("char(6)", text, ["ab", "", "a b   "]),
    "small": ("integer", integer, [-(2**31), 2**31 - 1, 0]),
    "large": ("bigint", bigint, [-(2**63), 2**63 - 1]),
    "exact": (
        "numeric",
        numeric,
        ["1.10", "0.000", "-123456789012345678901234567890.123456789", "1e-20", "1e20"],
    ),
    "money": ("numeric(8,2)", numeric(8, 2), ["999999.99", "-0.01", "7"]),
    "wide": ("double precision", double, ["1.7976931348623157e308", "5e-324", "0.1", "-0", "1e16"]),
    "yes": ("boolean", boolean, ["true", "false"]),
    "day": ("date", date, ["2024-02-29", "0001-01-01", "9999-12-31"]),
    "at": ("time", time, ["00:00", "23:59:59.999999"]),
    "local_": ("timestamp", timestamp, ["2024-03-31 02:30:00.000001", "0001-01-01 00:00"]),
    "moment": ("timestamptz", timestamptz, ["2024-03-31 02:30+05:30", "1883-11-18 12:00-08"]),
    "ident": ("uuid", uuid, ["00000000-0000-0000-0000-000000000000", "A0EEBC99" * 4]),
    "tags": ("text[]", text_list, ['{"a,b","say \\"no\\""," ",null_,"null"}']),
    "doc": ("jsonb", jsonb, ['{"b": [1, true, null, "é"], "a": {"": 0.1}}', "[]", '"x"', "0"]),
}
"""By column: the source's type, the field's, and values as SQL reads them."""


def test_values_of_every_type_are_on_the_target_what_they_are_at_the_source(
    origin: Origin, bench_of: MakeWorkbench
) -> None:
    bench = bench_of(item(*(Field(name, kind, name) for name, (_, kind, _) in KINDS.items())))
    declared = ", ".join(f"{name} {kind}" for name, (kind, _, _) in KINDS.items())
    origin.run(f"create table item (id int, name text, {declared})")
    longest = max(len(values) for _, _, values in KINDS.values())
    for number in range(longest + 1):  # the last row is null throughout
        there = {n: v[number] for n, (_, _, v) in KINDS.items() if number < len(v)}
        origin.insert("item", id=number, **{n: str(v) for n, v in there.items()})

    result = origin.sync(bench)

    assert counted(result) == {"read": longest + 1, "inserted": longest + 1}
    shown = ", ".join(f"{name}::text" for name in KINDS)
    query = f"select id, {shown} from item order by id"
    assert bench.rows(query) == origin.rows(query)
    assert counted(origin.sync(bench, mode="full")) == {
        "read": longest + 1,
        "unchanged": longest + 1,
    }


# -- names


@pytest.mark.parametrize(
    "name",
    ["item", "public.item", "ITEM", 'shop."Order Lines"', '"say ""what"""', 'shop."100 % {}"'],
)
def test_a_source_is_named_as_sql_names_it(origin: Origin, name: str) -> None:
    origin.run("create schema shop")
    origin.run(f"create table {name} (id int, name text)")
    origin.run(f"insert into {name} values (1, 'one')")

    first = origin.read(item(source=name))
    origin.run(f"insert into {name} values (2, 'two')")
    second = origin.read(item(source=name), first.cursor)
    by_key = origin.read(item(source=name), mode="keys", keys=("2",))

    assert first.records == [{"id": "1", "name": "one"}]
    assert second.of("id") == ["1", "2"]
    assert by_key.of("name") == ["two"]


def test_columns_may_have_any_name(origin: Origin) -> None:
    odd = {"first": "Share %", "second": 'say "what"', "third": "{}", "fourth": "Größe; --"}
    fields = [Field(column, text, name) for column, name in odd.items()]
    origin.run(
        'create table item (id int, name text, "Share %" text, "say ""what""" text, "{}" text,'
        ' "Größe; --" text, "never % read" text)'
    )
    origin.run("insert into item values (1, 'one', 'a', 'b', 'c', 'd', 'e')")

    found = origin.read(item(*fields))

    assert found.records == [
        {"id": "1", "name": "one", "Share %": "a", 'say "what"': "b", "{}": "c", "Größe; --": "d"}
    ]


@pytest.mark.parametrize(
    "name", ["items", "shop.item", "Order Lines", '"open', "a.b.c", "a.b.c.d", ""]
)
def test_a_table_that_is_not_there_is_said_not_to_be(origin: Origin, name: str) -> None:
    with pytest.raises(SourceRefused) as caught:
        origin.read(item(source=name))

    message = str(caught.value)
    assert message.startswith("own/item: the database in ORIGIN_DSN has no table ")
    assert name in message
    assert "\n" not in message


def test_one_missing_table_leaves_the_others_of_the_run_readable(origin: Origin) -> None:
    origin.run("create table item as select 1 as id, 'one' as name")

    with closing(origin.source()) as source:
        with pytest.raises(SourceRefused):
            read(source, item(source="Order Lines"))
        assert read(source).of("name") == ["one"]


@pytest.mark.parametrize("kind", ["view", "materialized view"])
def test_a_view_is_a_source_like_a_table(origin: Origin, kind: str) -> None:
    origin.run("create table stock as select n as id, 'one' as name from generate_series(1, 300) n")
    origin.run(f"create {kind} item as select id, upper(name) as name from stock where id <> 7")

    first = origin.read()
    origin.run("update stock set name = 'two' where id = 9")
    if kind == "materialized view":
        origin.run("refresh materialized view item")
    second = origin.read(ITEM, first.cursor)

    assert len(first.records) == 299
    assert {"id": "9", "name": "TWO"} in second.records
    assert len(second.records) < 299


def test_a_partitioned_table_is_read_with_all_of_its_partitions(origin: Origin) -> None:
    origin.run("create table item (id int, name text) partition by range (id)")
    origin.run("create table item_low partition of item for values from (0) to (200)")
    origin.run("create table item_high partition of item for values from (200) to (maxvalue)")
    origin.run("insert into item select n, 'one' from generate_series(1, 400) n")

    first = origin.read()
    origin.run("update item set id = 1000 where id = 3")
    second = origin.read(ITEM, first.cursor)

    assert len(first.records) == 400
    assert {"id": "1000", "name": "one"} in second.records
    assert "3" not in second.of("id")


def test_the_columns_of_tables_can_be_asked_for(origin: Origin) -> None:
    origin.run("create table item (id int, gone text, name text)")
    origin.run("alter table item drop column gone")

    with closing(origin.source()) as source:
        found = source.fields(["item", "nowhere", "Order Lines"])

    assert found == {"item": ["id", "name"]}


# -- what the source does not have


def test_a_column_that_the_source_lacks_is_unknown_and_clears_nothing(
    origin: Origin, bench_of: MakeWorkbench, caplog: pytest.LogCaptureFixture
) -> None:
    bench = bench_of(item(Field("size", integer, "size")))
    origin.run("create table item as select 1 as id, 'one' as name, 5 as size")
    origin.sync(bench)
    origin.run("alter table item drop column size")
    origin.run("update item set name = 'two'")

    with caplog.at_level(logging.WARNING):
        result = origin.sync(bench)

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.row("select name, size from item") == {"name": "two", "size": 5}
    assert result.metadata["not_at_source"] == "size"
    assert "own/item: the source has no column size" in caplog.text


def test_a_column_of_the_key_that_the_source_lacks_is_refused(origin: Origin) -> None:
    origin.run("create table item (number int, name text)")

    with pytest.raises(SourceRefused, match="no column id, which is part of the key") as caught:
        origin.read()

    assert "\n" not in str(caught.value)


def test_of_several_names_of_a_key_the_one_that_is_there_is_used(origin: Origin) -> None:
    origin.run("create table item as select 1 as number, 'one' as name")
    either = item(columns=(Field("id", integer, ("id", "number")), Field("name", text, "name")))

    assert origin.read(either).records == [{"number": "1", "name": "one"}]
    assert origin.read(either, mode="keys", keys=("1",)).of("name") == ["one"]


@pytest.mark.parametrize("which", ["row_filter", "owner"])
def test_a_source_without_its_owner_column_is_refused(origin: Origin, which: str) -> None:
    origin.run("create table item (id int, name text)")
    marked = item(Local("mark", char(1)), owner=Owner("mark", ("D",), "D", source="source"))
    row_filter = ("source", ("M",))

    with pytest.raises(SourceRefused, match="no column source, which holds the owner of a row"):
        origin.read(marked) if which == "owner" else origin.read(row_filter=row_filter)


# -- the row filter


def test_only_rows_of_the_row_filter_are_read(origin: Origin) -> None:
    origin.run("create table item (id int, name text, source char(3))")
    origin.run(
        "insert into item values (1, 'a', 'M'), (2, 'b', 'D'), (3, 'c', null), (4, 'd', 'S')"
    )
    filtered: dict[str, Any] = {"row_filter": ("source", ("M", "S"))}

    first = origin.read(**filtered)
    origin.run("update item set name = 'moved' where id = 2")
    nothing = origin.read(ITEM, first.cursor, **filtered)
    origin.run("update item set source = 'M' where id = 3")
    second = origin.read(ITEM, nothing.cursor, **filtered)
    by_key = origin.read(mode="keys", keys=("1", "2"), **filtered)

    assert first.of("id") == ["1", "4"]
    assert first.outcome.notes["source_rows"] == 2
    assert nothing.records == []
    assert "3" in second.of("id")
    assert by_key.of("id") == ["1"]


def test_force_reads_everything_although_nothing_has_moved(origin: Origin) -> None:
    origin.run("create table item as select n as id, 'one' as name from generate_series(1, 5) n")
    first = origin.read()

    again = origin.read(ITEM, first.cursor, force=True)

    assert again.of("id") == ["1", "2", "3", "4", "5"]
    assert again.outcome.complete


def test_a_range_of_dates_is_refused_before_anything_is_read() -> None:
    nowhere = Origin.__new__(Origin)
    nowhere.dsn = "postgresql://nobody@127.0.0.1:1/nothing"

    with pytest.raises(SettingsError) as caught:
        nowhere.read(mode="range")

    message = str(caught.value)
    assert message.startswith("own/item: its source keeps no modification times")
    assert "name records by key" in message
    assert "\n" not in message


# -- records by key


PAIR = item(
    key=("id", "part"),
    columns=(ID, Field("part", text, "part", nulls_not_distinct=True), *ITEM.columns[1:]),
)


def test_just_the_records_that_are_named_are_read(origin: Origin) -> None:
    origin.run("create table item as select n as id, 'one' as name from generate_series(-5, 500) n")
    first = origin.read()

    found = origin.read(ITEM, first.cursor, mode="keys", keys=("7", " 9 ", "007", "-3", "1000"))

    assert found.of("id") == ["-3", "7", "9"]
    assert not found.outcome.complete
    assert found.cursor is None


def test_a_record_of_several_key_columns_is_named_by_all_of_them(origin: Origin) -> None:
    origin.run("create table item (id int, part text, name text)")
    origin.run(
        "insert into item values (1, 'a', 'x'), (1, 'b,c', 'y'), (1, null, 'z'), (2, 'a', 'w')"
    )

    assert origin.read(PAIR, mode="keys", keys=("1,b,c", "2,a")).of("name") == ["w", "y"]
    assert origin.read(PAIR, mode="keys", keys=("1,",)).of("name") == ["z"]
    assert origin.read(PAIR, mode="keys", keys=("2,b",)).records == []


@pytest.mark.parametrize(
    ("kind", "stored", "named"),
    [
        ("numeric(7,2)", "7.00", "7"),
        ("char(6)", "ab", "ab"),
        ("text", 'it\'s, "quoted" \\ {}', 'it\'s, "quoted" \\ {}'),
        ("date", "2024-02-29", "2024-2-29"),
        ("timestamptz", "2024-02-29 12:00+00", "2024-02-29T13:00:00+01:00"),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
        ("boolean", "true", "yes"),
        ("double precision", "0.1", "1e-1"),
    ],
)
def test_a_key_is_found_by_its_value_however_it_is_written(
    origin: Origin, kind: str, stored: str, named: str
) -> None:
    origin.run(f"create table item (id {kind}, name text)")
    origin.insert("item", id=stored, name="one")

    assert origin.read(mode="keys", keys=(named,)).of("name") == ["one"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("seven,a", 'invalid input syntax for type integer: "seven"; its key is integer, text'),
        ("99999999999,a", "is out of range for type integer; its key is integer, text"),
        ("7", "key '7' has 1 parts; the key is id, part, separated by commas"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_in_one_line(
    origin: Origin, key: str, said: str
) -> None:
    origin.run("create table item (id int, part text, name text)")

    with closing(origin.source()) as source:
        with pytest.raises(SettingsError) as caught:
            read(source, PAIR, mode="keys", keys=("1,a", key))
        assert read(source, PAIR).records == []

    message = str(caught.value)
    assert message.startswith("own/item: ")
    assert message.endswith(said)
    assert "\n" not in message
    assert "copy" not in message
