"""What a source value becomes, and what is refused rather than guessed at."""

import datetime as dt
import json
import math
import string
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipeline.errors import ConversionError
from sync_pipeline.model import types
from sync_pipeline.model.types import Type
from sync_pipeline_tests.fixtures.properties import examples

UTC = dt.UTC
KUALA_LUMPUR = types.timestamptz_in("Asia/Kuala_Lumpur")
NEW_YEAR = dt.datetime(2026, 1, 1, tzinfo=UTC)
ALL_TYPES = {name: value for name, value in vars(types).items() if isinstance(value, Type)} | {
    "timestamptz_in": KUALA_LUMPUR
}

ACCEPTED = [
    # -- whole numbers
    (types.integer, 9, 9),
    (types.integer, 9.0, 9),
    (types.integer, "9", 9),
    (types.integer, " 9 ", 9),
    (types.integer, "9.00", 9),
    (types.integer, "-0", 0),
    (types.integer, "1e3", 1000),
    (types.integer, "", None),
    (types.integer, "  ", None),
    (types.integer, Decimal("7.0"), 7),
    (types.integer, 2**31 - 1, 2**31 - 1),
    (types.bigint, 2**63 - 1, 2**63 - 1),
    (types.bigint, "-9223372036854775808", -(2**63)),
    # -- numbers with decimals: exactly as written, never through a binary float
    (types.numeric, 941.25, Decimal("941.25")),
    (types.numeric, 0.1, Decimal("0.1")),
    (types.numeric, "0.10", Decimal("0.10")),
    (
        types.numeric,
        "123456789012345678901234567890.5",
        Decimal("123456789012345678901234567890.5"),
    ),
    (types.numeric, "", None),
    (types.double, "0.5", 0.5),
    (types.double, 3, 3.0),
    # -- truth values, in every spelling that a source was seen to use
    (types.boolean, True, True),
    (types.boolean, False, False),
    (types.boolean, "YES", True),
    (types.boolean, "yes", True),
    (types.boolean, "TRUE", True),
    (types.boolean, "true", True),
    (types.boolean, "y", True),
    (types.boolean, " Y ", True),
    (types.boolean, "t", True),
    (types.boolean, "1", True),
    (types.boolean, 1, True),
    (types.boolean, "No", False),
    (types.boolean, "FALSE", False),
    (types.boolean, "n", False),
    (types.boolean, 0, False),
    (types.boolean, "", None),
    # -- moments
    (types.timestamptz, "2026-01-01T00:00:00Z", NEW_YEAR),
    (types.timestamptz, "2026-01-01T00:00:00.000Z", NEW_YEAR),
    (types.timestamptz, "2026-01-01T00:00:00.123Z", NEW_YEAR.replace(microsecond=123_000)),
    (types.timestamptz, "2026-01-01T00:00:00.123456Z", NEW_YEAR.replace(microsecond=123_456)),
    (types.timestamptz, "2026-01-01T08:00:00+08:00", NEW_YEAR),
    (types.timestamptz, "2026-01-01T00:00:00", NEW_YEAR),
    (types.timestamptz, "2026-01-01", NEW_YEAR),
    (types.timestamptz, 1_767_225_600_000, NEW_YEAR),
    (types.timestamptz, 1_767_225_600_123, NEW_YEAR.replace(microsecond=123_000)),
    (types.timestamptz, "1767225600000", NEW_YEAR),
    (types.timestamptz, "-62135596800000", dt.datetime(1, 1, 1, tzinfo=UTC)),
    (types.timestamptz, NEW_YEAR, NEW_YEAR),
    (types.timestamptz, NEW_YEAR.replace(tzinfo=None), NEW_YEAR),
    (types.timestamptz, " ", None),
    (KUALA_LUMPUR, "Jan 1, 2026 8:00 am", NEW_YEAR),
    (KUALA_LUMPUR, "Jan 1, 2026 8:00 AM", NEW_YEAR),
    (KUALA_LUMPUR, "Jan 1, 2026", NEW_YEAR - dt.timedelta(hours=8)),
    (KUALA_LUMPUR, "2026-01-01T00:00:00Z", NEW_YEAR),
    (types.timestamp, "2026-01-01T08:00:00+08:00", dt.datetime(2026, 1, 1, 8)),  # noqa: DTZ001
    (types.timestamp, "", None),
    (types.date, "2026-01-01", dt.date(2026, 1, 1)),
    (types.date, "2026-01-01T23:59:59Z", dt.date(2026, 1, 1)),
    (types.date, NEW_YEAR, dt.date(2026, 1, 1)),
    (types.date, "", None),
    (types.time, "09:30", dt.time(9, 30)),
    (types.time, "", None),
    # -- text, which must never become a useless literal
    (types.text, "plain", "plain"),
    (types.text, "  kept ", "  kept "),
    (types.text, "", ""),
    (types.text, 600, "600"),
    (types.text, 600.0, "600"),
    (types.text, 9.9, "9.9"),
    (types.text, True, "true"),
    (types.text, Decimal("1.10"), "1.10"),
    (types.text, {"email": {"email": "a@b.c"}}, '{"email":{"email":"a@b.c"}}'),
    (types.text, {"total": Decimal("1.10")}, '{"total":"1.10"}'),
    (types.text, ["a", 1, None], '["a",1,null]'),
    # -- lists
    (types.text_list, ["a", "b"], ["a", "b"]),
    (types.text_list, ["a", "a"], ["a", "a"]),
    (types.text_list, "alone", ["alone"]),
    (types.text_list, ["a", None, "", 7], ["a", "7"]),
    (types.text_list, [], None),
    (types.text_list, "", None),
    # -- the rest
    (
        types.uuid,
        "{12345678-1234-5678-1234-567812345678}",
        UUID(int=0x12345678123456781234567812345678),
    ),
    (types.uuid, "", None),
    (types.jsonb, {"b": 1, "a": [None, "x"]}, '{"a":[null,"x"],"b":1}'),
    (types.jsonb, "\\u0000", '"\\\\u0000"'),
]

REFUSED = [
    (types.integer, 9.9, "not a whole number"),
    (types.integer, "9.9", "not a whole number"),
    (types.integer, "nine", "not a number"),
    (types.integer, "9 kWp", "not a number"),
    (types.integer, "1_000", "not a number"),
    (types.integer, "1,000", "not a number"),
    (types.integer, True, "truth value"),
    (types.integer, 2**31, "outside"),
    (types.integer, "1e999999999", "outside"),
    (types.bigint, 2**63, "outside"),
    (types.integer, math.nan, "finite"),
    (types.integer, [1], "not a number"),
    (types.numeric, "NaN", "finite"),
    (types.numeric, "sNaN", "finite"),
    (types.numeric, "Infinity", "finite"),
    (types.numeric, math.inf, "finite"),
    (types.numeric, "1_0.5", "not a number"),
    (types.double, "1e999", "outside"),
    (types.double, -math.inf, "finite"),
    (types.boolean, "maybe", "neither yes nor no"),
    (types.boolean, 2, "neither yes nor no"),
    (types.boolean, [], "neither yes nor no"),
    (types.timestamptz, "Jan 1, 2026 8:00 am", "names its time zone"),
    (types.timestamptz, "soon", "not a date"),
    (types.timestamptz, "2026-02-30", "not a date"),
    (types.timestamptz, "01/02/2026", "not a date"),
    (types.timestamptz, True, "not a date"),
    (types.timestamptz, ["2026-01-01"], "not a date"),
    (types.timestamptz, math.nan, "not a moment"),
    (types.timestamptz, 1e18, "not a moment"),
    (KUALA_LUMPUR, "Foo 1, 2026", "not a date"),
    (types.timestamp, "soon", "not a date"),
    (types.date, "2026-13-01", "not a date"),
    (types.date, "2026-01-01 or later", "not a date"),
    (types.time, "25:00", "not a time"),
    (types.uuid, "x", "not a UUID"),
    (types.text, math.nan, "finite"),
    (types.text, math.inf, "finite"),
    (types.text, b"\x01", "binary"),
    (types.text, ["\ud800"], "surrogate"),
    (types.text, "half \ud83d", "surrogate"),
    (types.text_list, ["a", "b\x00"], "NUL"),
    (types.text_list, ["half \ud83d"], "surrogate"),
    (types.jsonb, {"a": "\x00"}, "NUL"),
    (types.jsonb, {"a": "\ud800"}, "surrogate"),
    (types.jsonb, math.nan, "finite"),
]


def named(case: tuple[Type, Any, Any]) -> str:
    return f"{case[0].name}-{ascii(case[1])[:30]}"


@pytest.mark.parametrize(("type_", "value", "expected"), ACCEPTED, ids=map(named, ACCEPTED))
def test_a_value_that_fits_becomes(type_: Type, value: object, expected: object) -> None:
    assert type_.convert(value) == expected


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    REFUSED,
    ids=map(named, REFUSED),
)
def test_a_value_that_does_not_fit_is_refused_with(type_: Type, value: object, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason):
        type_.convert(value)


def test_a_nul_in_a_text_is_refused_by_name() -> None:
    with pytest.raises(ConversionError, match="NUL"):
        types.text.convert("a\x00b")


def test_a_message_is_one_short_line_whatever_the_value() -> None:
    with pytest.raises(ConversionError) as caught:
        types.integer.convert("many\nlines\x1b[31m" + "x" * 10_000)

    message = str(caught.value)
    assert "\n" not in message
    assert "\x1b" not in message
    assert len(message) < 100


def test_the_same_json_value_is_the_same_text_whatever_the_order_of_its_keys() -> None:
    assert types.to_json({"a": 1, "b": 2}) == types.to_json({"b": 2, "a": 1})


def test_a_type_with_a_length_keeps_its_conversion() -> None:
    short = types.varchar(8)

    assert (short.name, short.args) == ("varchar", (8,))
    assert short.convert(12) == "12"


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(string.digits + "+-.eE_ :TZxy", max_size=20)
    | st.characters(categories=["Cs"])
    | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("name", sorted(ALL_TYPES))
@examples(25, 600)
@given(value=JSON_VALUES.filter(lambda v: v is not None))
def test_any_value_is_converted_or_refused_and_nothing_else(name: str, value: Any) -> None:
    try:
        converted = ALL_TYPES[name].convert(value)
    except ConversionError:
        return
    if isinstance(converted, str):
        converted.encode()
    if isinstance(converted, types.Json):
        json.loads(converted)
