"""Field types: what a source value becomes before it meets Postgres.

A type is a name that the SQL side maps to a column type, and a conversion. Conversions never guess
and never lose: a value that does not fit raises `ConversionError`, the record is rejected with that
reason, and the run goes on. Systems may declare their own types with the same class.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import uuid as _uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import orjson

from sync_pipeline.errors import ConversionError

_TRUE = frozenset({"true", "yes", "y", "t", "1"})
_FALSE = frozenset({"false", "no", "n", "f", "0"})
# The escape of a NUL; after an odd number of backslashes it is the text \\u0000 itself.
_JSON_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_EPOCH_MS = re.compile(r"-?\d{11,14}")
_WORDY_FORMATS = ("%b %d, %Y %I:%M %p", "%b %d, %Y")
T = TypeVar("T")
INT4 = range(-(2**31), 2**31)
INT8 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Type:
    """A field type.

    Attributes:
        name: the column type: `text`, `integer`, `text[]`, ...
        convert: from a source value that is not None to a Python value that psycopg can write, or
            None where the source's value means empty. Raises `ConversionError`.
        plain: Python type whose instances are already converted; a fast path, not a rule.
        args: length of a varchar or char; precision and scale of a numeric.
    """

    name: str
    convert: Callable[[Any], Any]
    plain: type | None = None
    args: tuple[int, ...] = ()

    def __call__(self, *args: int) -> Type:
        """The same type with a length, or a precision and scale: `numeric(10, 2)`."""
        return Type(self.name, self.convert, self.plain, args)

    @property
    def is_list(self) -> bool:
        """Whether a value holds several: `text[]`."""
        return self.name.endswith("[]")


def shown(value: object, limit: int = 40) -> str:
    """A value as an error message may show it: quoted, on one line, shortened."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def to_text(value: Any) -> str | None:
    """Text as it stands; numbers in plain digits, lists and objects as JSON, never a useless literal."""
    if isinstance(value, str):
        pass
    elif isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, float):
        value = _plain_digits(value)
    elif isinstance(value, (dict, list)):
        value = _json(value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        raise ConversionError(f"{shown(value)} is binary, not text")
    else:
        value = str(value)
    return _storable(value)


def _plain_digits(value: float) -> str:
    if not math.isfinite(value):
        raise ConversionError(f"{shown(value)} is not a finite number")
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else str(value)


def _storable(text: str) -> str:
    """The text, if Postgres can hold it."""
    if "\x00" in text:
        raise ConversionError(
            f"{shown(text)} contains a NUL character, which Postgres text cannot hold"
        )
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        raise ConversionError(
            f"{shown(text)} contains half of a surrogate pair, which is no character"
        ) from None
    return text


def _json(value: Any, *, ordered: bool = False, unknown: Callable[[Any], str] = str) -> str:
    """JSON text of a list or object; `unknown` converts values that JSON has no type for."""
    options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_SORT_KEYS if ordered else 0)
    try:
        return orjson.dumps(value, default=unknown, option=options).decode()
    except TypeError:  # whole numbers beyond 64 bits, lone surrogates
        return _storable(json.dumps(value, default=unknown, ensure_ascii=False, sort_keys=ordered))


def _in_json(value: Any) -> str:
    """A value that JSON has no type for, as text; but a number must not become text, and bytes are none."""
    if isinstance(value, Decimal):
        raise ConversionError(f"{shown(str(value))} cannot be kept in JSON to the last digit")
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ConversionError(f"{shown(value)} is binary, not JSON")
    return str(value)


def _number(value: Any) -> Decimal | None:
    if type(value) is int:  # what JSON holds most often
        return Decimal(value)
    if type(value) is float and math.isfinite(value):
        return Decimal(repr(value))
    if isinstance(value, bool):
        raise ConversionError(f"{shown(value)} is a truth value, not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConversionError(f"{shown(value)} is not a finite number")
    text = str(value).strip() if not isinstance(value, float) else repr(value)
    if not text:
        return None
    try:
        # Decimal reads Python's own 1_000 too, which no source means.
        number = Decimal(text if "_" not in text else "")
    except InvalidOperation:
        raise ConversionError(f"{shown(value)} is not a number") from None
    if not number.is_finite():
        raise ConversionError(f"{shown(value)} is not a finite number")
    return number


def _whole(span: range) -> Callable[[Any], int | None]:
    def convert(value: Any) -> int | None:
        if type(value) is int and value in span:
            return value
        number = _number(value)
        if number is None:
            return None
        # Before any arithmetic: the integer of 1e999999999 fills the memory.
        is_huge = number.adjusted() > 20
        if not is_huge and number != number.to_integral_value():
            raise ConversionError(
                f"{shown(value)} is not a whole number; cutting it off would lose the rest"
            )
        if is_huge or int(number) not in span:
            raise ConversionError(f"{shown(value)} is outside {span.start} … {span.stop - 1}")
        return int(number)

    return convert


def to_float(value: Any) -> float | None:
    """A binary double; text is read as a decimal first so that words are refused."""
    if type(value) is float and math.isfinite(value):
        return value
    number = _number(value)
    if number is None:
        return None
    if not math.isfinite(float(number)):
        raise ConversionError(f"{shown(value)} is outside the range of a double")
    return float(number)


def to_boolean(value: Any) -> bool | None:
    """yes/no, true/false, y/n, t/f and 1/0 in any case; the empty string is empty."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if not word:
        return None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ConversionError(f"{shown(value)} is neither yes nor no")


def _from_epoch_ms(value: float) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(float(value) / 1000, tz=dt.UTC)
    except (OverflowError, ValueError, OSError):
        raise ConversionError(
            f"{shown(value)} is not a moment in milliseconds since 1970"
        ) from None


def _in_utc(moment: dt.datetime) -> dt.datetime:
    """The same moment in UTC: a column without time zone would ignore another offset."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=dt.UTC)
    return moment if moment.tzinfo is dt.UTC else moment.astimezone(dt.UTC)


def _parse_moment(text: str, zone: ZoneInfo | None) -> dt.datetime:
    if _EPOCH_MS.fullmatch(text):
        return _from_epoch_ms(float(text))
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return _parse_wordy(text, zone)
    return _in_utc(moment)


def _parse_wordy(text: str, zone: ZoneInfo | None) -> dt.datetime:
    for pattern in _WORDY_FORMATS if zone else ():
        try:
            # In UTC, because old local times are off by odd seconds that not every writer keeps.
            return dt.datetime.strptime(text, pattern).replace(tzinfo=zone).astimezone(dt.UTC)
        except (ValueError, OverflowError):
            continue
    hint = "" if zone else " (a date in words needs a type that names its time zone)"
    raise ConversionError(f"{shown(text)} is not a date that can be read without guessing{hint}")


def _moment(zone: ZoneInfo | None) -> Callable[[Any], dt.datetime | None]:
    def convert(value: Any) -> dt.datetime | None:
        if type(value) is str and value[4:5] == "-":  # "2024-": neither milliseconds nor words
            try:
                moment = dt.datetime.fromisoformat(value)
            except ValueError:
                return _parse_moment(value.strip(), zone)
            return _in_utc(moment)
        if isinstance(value, dt.datetime):
            return _in_utc(value)
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ConversionError(f"{shown(value)} is not a date")
        if isinstance(value, (int, float)):
            return _from_epoch_ms(value)
        text = value.strip()
        return _parse_moment(text, zone) if text else None

    return convert


def _read(value: Any, ready: type[T], parse: Callable[[str], T], what: str) -> T | None:
    """A value of the class `ready` as it is, text as `parse` reads it; blank text is empty."""
    if isinstance(value, ready):
        return value
    text = str(value).strip()
    try:
        return parse(text) if text else None
    except ValueError:
        raise ConversionError(f"{shown(value)} is not {what}") from None


def to_wall_clock(value: Any) -> dt.datetime | None:
    """A timestamp without zone, kept as the source wrote it."""
    moment = _read(value, dt.datetime, dt.datetime.fromisoformat, "a date and time")
    return moment.replace(tzinfo=None) if moment else None


def to_date(value: Any) -> dt.date | None:
    """A calendar date in ISO form; a date and time loses its time of day."""
    day = _read(value, dt.date, dt.datetime.fromisoformat, "a date")
    return day.date() if isinstance(day, dt.datetime) else day


def to_text_list(value: Any) -> list[str] | None:
    """A list of texts; a single text is a list of one, an empty one is empty."""
    items = value if isinstance(value, list) else [value]
    texts = [text for item in items if item is not None and (text := to_text(item))]
    return texts or None


class Json(str):
    """JSON text on its way into a json column; a type of its own so that text is not mistaken for it."""

    __slots__ = ()


def to_json(value: Any) -> Json:
    """Any JSON value, with its keys sorted, so that the same value is the same text."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ConversionError(f"{shown(value)} is not a finite number")
    encoded = _json(value, ordered=True, unknown=_in_json)
    if _JSON_NUL.search(encoded):
        raise ConversionError(
            f"{shown(value)} contains a NUL character, which Postgres json cannot hold"
        )
    return Json(encoded)


# `plain` skips the search for NUL characters: the COPY refuses them, and the common case costs nothing.
text = Type("text", to_text, str)
varchar = Type("varchar", to_text, str)
char = Type("char", to_text)
integer = Type("integer", _whole(INT4))
bigint = Type("bigint", _whole(INT8))
numeric = Type("numeric", _number)
double = Type("double", to_float)
boolean = Type("boolean", to_boolean, bool)
timestamptz = Type("timestamptz", _moment(None))
timestamp = Type("timestamp", to_wall_clock)
date = Type("date", to_date)
time = Type("time", lambda v: _read(v, dt.time, dt.time.fromisoformat, "a time of day"))
uuid = Type("uuid", lambda v: _read(v, _uuid.UUID, _uuid.UUID, "a UUID"))
text_list = Type("text[]", to_text_list)
jsonb = Type("jsonb", to_json)


def timestamptz_in(zone: str) -> Type:
    """A timestamp that also reads dates in words ("Jan 5, 2024 3:04 pm"), which carry no zone, in `zone`."""
    return Type("timestamptz", _moment(ZoneInfo(zone)))
