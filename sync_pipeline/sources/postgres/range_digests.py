"""Digests per key range: how to read only what moved, of a table that keeps no modification times.

A read of everything divides the table into ranges of a column of its key and keeps a digest of each. The
next read asks the server for the digests again and fetches only the ranges whose digest is another one. A
deleted row moves its range too. The digest is made of the same expressions as the read, under the pinned
settings of the snapshot, so that nothing but a change of a value moves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from sync_pipeline.sources.postgres.columns import ColumnReader

VERSION = 1
"""Of the digest and of the settings that shape it; another version compares with nothing."""

ROWS_PER_RANGE = 128
"""Small enough that twelve changes all over a table fetch little, large enough that digests are few."""

OLDEST_SERVER = 110000  # the first with hashtextextended


@dataclass(frozen=True)
class KeyRanges:
    """A table by ranges of one column of its key.

    Attributes:
        column: the column.
        bounds: lower bounds of the ranges but the first, ascending, as text.
        divided_at: rows that the table had when it was divided.
        digests: of each range that holds rows, by its number; nulls have a range of their own, -1.
        rows: in all ranges.
        bytes: received to learn of them.
    """

    column: str
    bounds: tuple[str, ...]
    divided_at: int
    digests: Mapping[str, str]
    rows: int
    bytes: int = 0

    @property
    def outgrown(self) -> bool:
        """Whether the table is another one than was divided, so that ranges are too large."""
        return self.rows > 2 * max(self.divided_at, ROWS_PER_RANGE)

    def moved_since(self, before: KeyRanges) -> list[int]:
        """Numbers of the ranges that hold something else than before; what is empty now is not read."""
        return [int(n) for n, digest in self.digests.items() if before.digests.get(n) != digest]

    def as_cursor(self, mapping: str) -> dict[str, Any]:
        """The form that is kept between runs."""
        return {
            "version": VERSION,
            "mapping": mapping,
            "column": self.column,
            "bounds": list(self.bounds),
            "divided_at": self.divided_at,
            "digests": dict(self.digests),
        }


def from_cursor(state: Any, mapping: str) -> KeyRanges | None:
    """What an earlier run kept; None if it speaks of something else than is read now."""
    if not isinstance(state, dict) or (state.get("version"), state.get("mapping")) != (
        VERSION,
        mapping,
    ):
        return None
    return KeyRanges(
        state["column"], tuple(state["bounds"]), state["divided_at"], state["digests"], rows=0
    )


def divide(
    connection: psycopg.Connection[Any], reading: ColumnReader, key: Sequence[str]
) -> KeyRanges:
    """Divide a table anew, and digest its ranges.

    Args:
        connection: in the run's snapshot.
        reading: what is read of each row.
        key: source columns of the key.
    """
    name = _most_distinct(connection, reading, key)
    column = reading.column(name)
    rows = _rows(connection, reading)
    pieces = max(1, rows // ROWS_PER_RANGE)
    fractions = [i / pieces for i in range(1, pieces)]
    # Bounds are rows' own values, so they are of the column's type, and text that reads back as itself.
    found = connection.execute(
        sql.SQL(
            "select x.bound::text from (select distinct unnest("
            "percentile_disc({fractions}::float8[]) within group (order by {column})) as bound"
            " from {relation} where {meant}) x where x.bound is not null order by x.bound"
        ).format(
            fractions=sql.Literal(fractions),
            column=column.ranged,
            relation=reading.relation,
            meant=reading.meant,
        )
    ).fetchall()
    bounds = tuple(bound for (bound,) in found)
    return digest(connection, reading, KeyRanges(name, bounds, rows, {}, rows))


def _most_distinct(
    connection: psycopg.Connection[Any], reading: ColumnReader, key: Sequence[str]
) -> str:
    """The column of the key that tells rows apart best."""
    if len(key) == 1:
        return key[0]
    counts = connection.execute(
        sql.SQL("select {} from {} where {}").format(
            sql.SQL(", ").join(
                sql.SQL("count(distinct {})").format(reading.column(name).compared) for name in key
            ),
            reading.relation,
            reading.meant,
        )
    ).fetchone()
    assert counts
    return max(zip(counts, key, strict=True), key=lambda pair: pair[0])[1]


def _rows(connection: psycopg.Connection[Any], reading: ColumnReader) -> int:
    row = connection.execute(
        sql.SQL("select count(*) from {} where {}").format(reading.relation, reading.meant)
    ).fetchone()
    return row[0] if row else 0


def digest(
    connection: psycopg.Connection[Any], reading: ColumnReader, ranges: KeyRanges
) -> KeyRanges:
    """The same ranges with their digests as they are now."""
    found = connection.execute(
        sql.SQL(
            'select number, count(*), sum(hashtextextended(image collate "C", 0)::numeric)::text'
            " from (select {number} as number, row({values})::text as image from {relation} where {meant}) x"
            " group by number"
        ).format(
            number=_number(reading, ranges),
            values=reading.selected,
            relation=reading.relation,
            meant=reading.meant,
        )
    ).fetchall()
    digests = {str(number): f"{count} {total}" for number, count, total in found}
    return KeyRanges(
        ranges.column,
        ranges.bounds,
        ranges.divided_at,
        digests,
        rows=sum(count for _, count, _ in found),
        bytes=sum(len(n) + len(d) for n, d in digests.items()),
    )


def within(reading: ColumnReader, ranges: KeyRanges, numbers: Sequence[int]) -> sql.Composable:
    """The condition of the rows in some ranges."""
    return sql.SQL("{} = any({}::int[])").format(
        _number(reading, ranges), sql.Literal(list(numbers))
    )


def _number(reading: ColumnReader, ranges: KeyRanges) -> sql.Composed:
    column = reading.column(ranges.column)
    return sql.SQL("coalesce(width_bucket({}, {}::text[]::{}[]), -1)").format(
        column.ranged, sql.Literal(list(ranges.bounds)), column.ranged_type
    )
