"""What goes through a line arrives as it was: text, lists, numbers, times, and nothing at all."""

import datetime as dt
from decimal import Decimal

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from sync_pipeline.errors import ConversionError
from sync_pipeline.merge import copy_format
from sync_pipeline_tests.fixtures.properties import examples

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
AWKWARD = [
    "",
    "null",
    "\\.",
    "\n\\.\n",
    '"',
    '\\"',
    "\\\\n",
    "a\r\nb\tc",
    "\x01\x1f\x7f",
    "{}",
    "é😀",
]


def through(dsn: str, rows: list[tuple], types: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"create temporary table given ({types})".encode())
        statement = sql.SQL("copy given from stdin {}").format(sql.SQL(copy_format.FORMAT))
        with cursor.copy(statement) as copy:
            copy.write(copy_format.block(map(copy_format.line, rows)))
        return cursor.execute("select * from given order by 1").fetchall()


@examples(15, 300)
@given(st.lists(st.tuples(st.none() | TEXT, st.none() | st.lists(TEXT)), min_size=1))
def test_texts_and_lists_arrive_as_they_were(
    database: str, rows: list[tuple[str | None, list[str] | None]]
) -> None:
    sent = [(i, text, copy_format.array(items)) for i, (text, items) in enumerate(rows)]
    assert through(database, sent, "i int, t text, a text[]") == [
        (i, text, items) for i, (text, items) in enumerate(rows)
    ]


def test_awkward_texts_arrive_as_they_were(database: str) -> None:
    sent = [(i, text, copy_format.array([text, text])) for i, text in enumerate(AWKWARD)]
    assert through(database, sent, "i int, t text, a text[]") == [
        (i, text, [text, text]) for i, text in enumerate(AWKWARD)
    ]


def test_other_values_arrive_as_they_were(database: str) -> None:
    row = (7, Decimal("0.10"), 1e300, True, dt.datetime(2024, 2, 29, 1, 2, 3, 4, dt.UTC))
    types = "i int, n numeric, d double precision, b boolean, m timestamptz"
    assert through(database, [row], types) == [row]


def test_what_json_cannot_hold_is_written_as_text(database: str) -> None:
    zone = dt.timezone(dt.timedelta(hours=8))
    sent = [(1, 2**80, dt.time(9, 30, tzinfo=zone), None)]
    assert through(database, sent, "i int, n numeric, t time, x text") == [
        (1, 2**80, dt.time(9, 30), None)
    ]


def test_half_a_character_is_refused_with_a_reason() -> None:
    with pytest.raises(ConversionError, match="surrogates"):
        copy_format.line((1, "\ud800"))


def test_a_nul_is_refused_by_the_server(database: str) -> None:
    with pytest.raises(psycopg.DataError):
        through(database, [(1, "a\x00b")], "i int, t text")


def test_a_line_can_be_read_back() -> None:
    assert copy_format.values(copy_format.line((1, "a\nb", None, 2.5))) == [1, "a\nb", None, 2.5]
