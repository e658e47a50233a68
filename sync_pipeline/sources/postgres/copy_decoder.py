"""Records as COPY sends them: text, a line per row, in the server's own encoding.

The encoding is undone here, not by the server: a value that is not what its encoding says would end the
whole COPY there, and here it costs one record, which the merge rejects with the bytes in its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from sync_pipeline.merge.stream import SourceOutcome
from sync_pipeline.sources.postgres.columns import ColumnReader, Decode, codec_of

BATCH = 2000  # rows that are decoded at once

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Record = dict[str, Any]


def records(
    connection: psycopg.Connection[Any],
    reading: ColumnReader,
    condition: sql.Composable,
    outcome: SourceOutcome,
) -> Iterator[list[Record]]:
    """Rows that meet a condition, in batches, as they arrive.

    Args:
        connection: in the run's snapshot.
        reading: what is read of each row.
        condition: beside the one of the rows that are meant.
        outcome: its calls and bytes are counted up.
    """
    codec = codec_of(reading.encoding)
    statement = sql.SQL(
        "copy (select {} from {} where {} and {}) to stdout (format text, encoding {})"
    ).format(
        reading.selected,
        reading.relation,
        reading.meant,
        condition,
        sql.Literal(reading.encoding if codec else "UTF8"),
    )
    decoder = _Decoder(reading, codec or "utf-8")
    outcome.calls += 1
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        lines: list[bytes] = []
        for line in copy:
            lines.append(bytes(line))
            if len(lines) == BATCH:
                outcome.bytes += sum(map(len, lines))
                yield decoder.records(lines)
                lines = []
        outcome.bytes += sum(map(len, lines))
    if lines:
        yield decoder.records(lines)


class _Decoder:
    """From lines to records of one table."""

    def __init__(self, reading: ColumnReader, codec: str) -> None:
        self._names = reading.names
        self._codec = codec
        self._decoding: list[tuple[str, Decode]] = [
            (c.name, c.decode) for c in reading.columns if c.decode
        ]

    def records(self, lines: list[bytes]) -> list[Record]:
        """The records of some lines."""
        try:
            text = b"".join(lines).decode(self._codec)
        except UnicodeDecodeError:
            return [self._record_of(line) for line in lines]
        names = self._names
        # The last line ends in a newline too.
        found = [
            dict(zip(names, map(_value, line.split("\t")), strict=True))
            for line in text.split("\n")[:-1]
        ]
        return [self._decoded(record) for record in found] if self._decoding else found

    def _record_of(self, line: bytes) -> Record:
        """One record, of which some values may not be text."""
        record: Record = {}
        for name, raw in zip(self._names, line.removesuffix(b"\n").split(b"\t"), strict=True):
            try:
                record[name] = _value(raw.decode(self._codec))
            except UnicodeDecodeError:
                record[name] = raw  # no conversion takes bytes for text, so the record is rejected
        return self._decoded(record)

    def _decoded(self, record: Record) -> Record:
        for name, decode in self._decoding:
            value = record[name]
            if isinstance(value, str):
                record[name] = decode(value)
        return record


def _value(text: str) -> str | None:
    if "\\" not in text:
        return text
    if text == r"\N":
        return None
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text)
