"""Values as COPY sends them arrive as they are stored, in any encoding; what is no text costs one record."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Field
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.types import double, jsonb, numeric, text_list
from sync_pipeline.postgres.connect import connect
from sync_pipeline.sources.postgres import copy_decoder
from sync_pipeline_tests.fixtures.properties import examples
from sync_pipeline_tests.fixtures.sample_system import Workbench, counted
from sync_pipeline_tests.sources.postgres.source_database import ITEM, Origin, item

MakeWorkbench = Callable[..., Workbench]

ANYTHING = examples(6, 120)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
TRICKY = st.text(st.sampled_from("\\N\t\n\r\b\f\v\"'{},. é\u2028\x85\x1c")).map(str)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)


@ANYTHING
@given(values=st.lists(st.none() | TEXTS | TRICKY, max_size=40))
@example([None, "", r"\N", r"\\N", "\\", r"\.", "a\tb", "a\nb", "a\rb", "a\\nb", " "])
def test_any_text_arrives_as_it_is_stored(origin: Origin, values: list[str | None]) -> None:
    origin.run("create table if not exists item (id int, name text)")
    origin.run("truncate item")
    origin.run("insert into item select * from unnest(%s::int[], %s::text[])", ids(values), values)

    found = origin.read()

    assert [r["name"] for r in found.records] == values


@ANYTHING
@given(values=st.lists(st.none() | NUMBERS, max_size=40))
@example(
    [
        Decimal("1.10"),
        Decimal("-0.000"),
        Decimal("1E+20"),
        Decimal("123456789012345678901234567890"),
    ]
)
def test_any_number_arrives_with_all_of_its_digits(
    origin: Origin, values: list[Decimal | None]
) -> None:
    origin.run("create table if not exists item (id int, name numeric)")
    origin.run("truncate item")
    origin.run(
        "insert into item select * from unnest(%s::int[], %s::numeric[])", ids(values), values
    )
    stored = origin.rows("select name::text as digits from item")

    found = [r["name"] for r in origin.read().records]

    assert found == [r["digits"] for r in stored]
    assert [v if v is None else Decimal(v) for v in found] == values


def ids(values: list[Any]) -> list[int]:
    return list(range(len(values)))


def test_rows_arrive_in_batches_and_are_counted(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_decoder, "BATCH", 3)
    origin.run("create table item as select n as id, 'é' as name from generate_series(1, 7) n")

    with closing(origin.source()) as source:
        stream = source.read(ITEM, Scope(mode="keys", keys=tuple("1234567")), Progress())
        sizes = [len(batch) for batch in stream.batches]

    assert sizes == [3, 3, 1]
    assert (stream.outcome.calls, stream.outcome.bytes) == (1, 7 * len("1\té\n".encode()))


# -- types


LISTED = item(Field("tags", text_list, "tags"))


def test_lists_keep_what_their_items_hold_and_lose_items_that_are_empty(
    origin: Origin, bench_of: MakeWorkbench
) -> None:
    bench = bench_of(LISTED)
    origin.run("create table item (id int, name text, tags text[])")
    lists = [
        ["a,b", 'say "no"', "{}", "\\", "two\nlines", " ", "é", "null"],
        ["a", None, ""],
        [],
        None,
    ]
    for number, tags in enumerate(lists):
        origin.run("insert into item values (%s, null, %s)", number, tags)

    origin.sync(bench)

    found = [r["tags"] for r in bench.rows("select tags from item order by id")]
    assert found == [lists[0], ["a"], None, None]


def test_lists_of_anything_arrive_as_texts(origin: Origin, bench_of: MakeWorkbench) -> None:
    bench = bench_of(LISTED)
    origin.run("create table item (id int, name text, tags int[])")
    origin.run("insert into item values (1, null, '{1,-2}')")

    origin.sync(bench)

    assert bench.row("select tags from item")["tags"] == ["1", "-2"]


JSONED = item(Field("doc", jsonb, "doc"))
DOCS = [
    '{"b": [1, 2.50, true, null], "a": {"deep": "é \\" \\\\ \\n"}}',
    "[]",
    '"text"',
    "17",
    '{"long": 123456789012345678901234567890}',
    '{"short": 0.1, "small": 1e-7}',
]


@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_documents_arrive_with_all_of_their_digits(
    origin: Origin, bench_of: MakeWorkbench, kind: str
) -> None:
    bench = bench_of(JSONED)
    origin.run(f"create table item (id int, name text, doc {kind})")
    for number, doc in enumerate(DOCS):
        origin.run(f"insert into item values (%s, null, %s::text::{kind})", number, doc)

    result = origin.sync(bench)

    assert counted(result) == {"read": len(DOCS), "inserted": len(DOCS)}
    wanted = [r["doc"] for r in origin.rows("select doc::jsonb::text as doc from item order by id")]
    found = [r["doc"] for r in bench.rows("select doc::text from item order by id")]
    assert [doc.replace("2.50", "2.5") for doc in wanted] == found


def test_a_document_that_cannot_be_kept_as_it_is_is_rejected_alone(
    origin: Origin, bench_of: MakeWorkbench
) -> None:
    bench = bench_of(JSONED)
    bad = {
        '{"n": 0.12345678901234567890123}': "'0.12345678901234567890123' cannot be kept in JSON",
        '{"n": 1e400}': "'1E+400' cannot be kept in JSON",
        '{"half": "\\ud800"}': "half of a surrogate pair",
        '{"nul": "\\u0000"}': "NUL",
    }
    origin.run("create table item (id int, name text, doc json)")
    for number, doc in enumerate(("{}", *bad)):
        origin.run("insert into item values (%s, null, %s::text::json)", number, doc)

    result = origin.sync(bench)

    assert counted(result) == {"read": 5, "inserted": 1, "rejected": 4}
    reasons = sorted(r["reason"] for r in bench.rejected())
    assert [said in reason for said, reason in zip(bad.values(), reasons, strict=True)] == [
        True
    ] * 4


def test_a_number_that_is_none_is_rejected_alone(origin: Origin, bench_of: MakeWorkbench) -> None:
    bench = bench_of(item(Field("size", numeric, "size"), Field("weight", double, "weight")))
    origin.run("create table item (id int, name text, size numeric, weight double precision)")
    origin.run(
        "insert into item values (1, 'good', 1, 1), (2, null, 'nan', 1), (3, null, 1, 'nan')"
    )
    origin.run("insert into item values (4, null, 1, 'infinity'), (5, null, 1, '-infinity')")

    result = origin.sync(bench)

    assert counted(result) == {"read": 5, "inserted": 1, "rejected": 4}
    assert sorted(r["reason"] for r in bench.rejected()) == [
        "2: size → size: 'NaN' is not a finite number",
        "3: weight → weight: 'NaN' is not a finite number",
        "4: weight → weight: 'Infinity' is not a finite number",
        "5: weight → weight: '-Infinity' is not a finite number",
    ]


# -- encodings


@contextmanager
def stored_in(server: EmbeddedServer, encoding: str) -> Iterator[Origin]:
    """A source database that stores text in an encoding."""
    name = f"origin_{uuid4().hex[:12]}"
    with connect(server.dsn()) as connection:
        create = sql.SQL("create database {} template template0 encoding {} locale 'C'")
        connection.execute(create.format(sql.Identifier(name), sql.Literal(encoding)))
    origin = Origin(server.dsn(name))
    yield origin
    origin.connection.close()
    with connect(server.dsn()) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("LATIN1", "Müller"),
        ("WIN1251", "Иванов"),
        ("KOI8R", "Иванов"),
        ("EUC_JP", "日本"),
        ("EUC_TW", "中文"),
        ("SQL_ASCII", "Zoë 日本"),
    ],
)
def test_text_arrives_whatever_encoding_it_is_stored_in(
    desktop_server: EmbeddedServer, encoding: str, word: str
) -> None:
    with stored_in(desktop_server, encoding) as origin:
        origin.run("create table item (name text, id int)")
        origin.run("insert into item values (%s, 1), ('tab\there', 2)", word)

        found = origin.read()
        [named] = origin.read(item(key=("name",)), mode="keys", keys=(word,)).records

    assert found.records == [{"id": "1", "name": word}, {"id": "2", "name": "tab\there"}]
    assert named["id"] == "1"


@pytest.mark.parametrize(
    ("encoding", "bad", "shown"),
    [
        ("SQL_ASCII", b"M\xfcller", r"b'M\xfcller' is binary"),
        ("WIN1252", b"\x81", r"b'\x81' is binary"),
    ],
)
def test_a_text_that_is_none_in_its_encoding_is_rejected_alone(
    desktop_server: EmbeddedServer, bench_of: MakeWorkbench, encoding: str, bad: bytes, shown: str
) -> None:
    bench = bench_of(ITEM)
    with stored_in(desktop_server, encoding) as origin:
        origin.run("create table item (id int, name text)")
        origin.run(
            "insert into item values (1, 'é'), (2, convert_from(%s, %s)), (3, null)", bad, encoding
        )

        result = origin.sync(bench)
        reasons = [r["reason"] for r in bench.rejected()]
        again = origin.sync(bench)
        origin.run("update item set name = 'Mueller' where id = 2")
        repaired = origin.sync(bench)

    assert counted(result) == {"read": 3, "inserted": 2, "rejected": 1}
    assert counted(again) == {}
    assert counted(repaired) == {"read": 3, "inserted": 1, "unchanged": 2}
    assert reasons == [f"2: name → name: {shown}, not text"]
    names = [r["name"] for r in bench.rows("select name from item order by id")]
    assert names == ["é", "Mueller", None]
    assert bench.rejected() == []


def test_a_key_that_is_no_text_is_rejected_alone(
    desktop_server: EmbeddedServer, bench_of: MakeWorkbench
) -> None:
    named = item(key=("name",))
    bench = bench_of(named)
    with stored_in(desktop_server, "SQL_ASCII") as origin:
        origin.run("create table item (id int, name text)")
        origin.run("insert into item values (1, 'é'), (2, convert_from('\\xff', 'SQL_ASCII'))")

        result = origin.sync(bench)

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert bench.rejected()[0]["reason"].startswith("name → name: b'\\xff' is binary")
