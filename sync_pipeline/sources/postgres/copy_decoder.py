"""Decodes the text of COPY TO into records.

COPY sends the server's own encoding: were the server to convert it, one invalid value would end the whole
COPY. Decoded here it costs one record, which the merge rejects with the bytes in its reason.
"""

import re
from collections.abc import Iterator
from typing import Any

from psycopg import sql

from sync_pipeline.merge.stream import SourceOutcome
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.sources.postgres.columns import SourceTable, codec_of

BATCH = 2000  # rows that are decoded at once

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

Record = dict[str, Any]


def records(
    connection: Connection,
    table: SourceTable,
    condition: sql.Composable,
    outcome: SourceOutcome,
) -> Iterator[list[Record]]:
    """Rows that meet a condition, in batches, as they arrive.

    Args:
        connection: in the run's snapshot.
        table: what is read of each row.
        condition: besides the table's row filter.
        outcome: its calls and bytes are counted up.
    """
    codec = codec_of(table.encoding)
    statement = sql.SQL("""
        copy (
            select {columns}
            from {relation}
            where {row_filter} and {condition}
        ) to stdout (format text, encoding {encoding})
    """).format(
        columns=table.selected,
        relation=table.relation,
        row_filter=table.row_condition,
        condition=condition,
        encoding=sql.Literal(table.encoding if codec else "UTF8"),
    )
    decoder = _Decoder(table, codec or "utf-8")
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
    def __init__(self, table: SourceTable, codec: str) -> None:
        self._names = table.names
        self._codec = codec
        self._decoders = [(c.name, c.decode) for c in table.columns if c.decode]

    def records(self, lines: list[bytes]) -> list[Record]:
        try:
            text = b"".join(lines).decode(self._codec)
        except UnicodeDecodeError:
            return [self._record(line) for line in lines]
        # The last line ends in a newline too.
        found = [
            dict(zip(self._names, map(_value, line.split("\t")), strict=True))
            for line in text.split("\n")[:-1]
        ]
        return [self._decoded(record) for record in found] if self._decoders else found

    def _record(self, line: bytes) -> Record:
        """One record, of which some values may be invalid text."""
        record: Record = {}
        for name, raw in zip(self._names, line.removesuffix(b"\n").split(b"\t"), strict=True):
            try:
                record[name] = _value(raw.decode(self._codec))
            except UnicodeDecodeError:
                record[name] = raw  # conversions refuse bytes, so the record is rejected
        return self._decoded(record)

    def _decoded(self, record: Record) -> Record:
        for name, decode in self._decoders:
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
