"""Rows as COPY reads them: one line of JSON scalars each, in COPY's CSV format.

A JSON scalar is a CSV field once quote and escape are JSON's own, and orjson writes a row of 38 values in
1.5 µs where `copy.write_row` takes 12: staging a million changed rows costs a third less. The few JSON
escapes that CSV does not have are undone, lists become array literals beforehand.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

import orjson

from sync_pipeline.errors import ConversionError

FORMAT: LiteralString = "(format csv, quote '\"', escape '\\', null 'null')"
"""Options of the COPY that reads lines."""

_ESCAPES = re.compile(rb'\\(["\\]|[bfnrt]|u00[01][0-9a-f])')


def line(row: Sequence[Any]) -> bytes:
    """One row of scalars; a value that JSON has no type for is written as text.

    Raises:
        ConversionError: a value that no text can hold, such as half a character.
    """
    try:
        return orjson.dumps(row, default=str)[1:-1]
    except TypeError:  # whole numbers beyond 64 bits, times of day with a zone, lone surrogates
        return _line_of_texts(row)


def _line_of_texts(row: Sequence[Any]) -> bytes:
    # The first is the row's number, and `values` has to return it as a number.
    texts = [v if v is None or isinstance(v, str) else str(v) for v in row[1:]]
    try:
        return orjson.dumps([row[0], *texts])[1:-1]
    except TypeError as error:
        raise ConversionError(str(error)) from None


def values(of: bytes) -> list[Any]:
    """The values of a line."""
    return orjson.loads(b"[%b]" % of)


def block(lines: Iterable[bytes]) -> bytes:
    """Lines as one block of COPY data."""
    data = b"\n".join(lines)
    # An escaped quote, of which array literals are full, is CSV's as well.
    if data.count(b"\\") != data.count(b'\\"'):
        data = _ESCAPES.sub(_unescaped, data)
    return data + b"\n"


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1] in {b'"', b"\\"}:
        return found[0]  # CSV reads these two as JSON does
    return orjson.loads(b'"%b"' % found[0]).encode()


def array(items: Sequence[str] | None) -> str | None:
    """A list of texts as the literal of a Postgres array."""
    if items is None:
        return None
    if not items:
        return "{}"
    body = '","'.join(items)
    if "\\" in body or body.count('"') != 2 * (len(items) - 1):
        body = '","'.join(i.replace("\\", "\\\\").replace('"', '\\"') for i in items)
    return f'{{"{body}"}}'
