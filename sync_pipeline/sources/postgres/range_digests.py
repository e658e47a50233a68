"""Digests per key range: incremental reads of a table without modification times.

A full read divides the table into ranges of one key column and stores a digest of each. The next read asks
the server for the digests again and fetches only the ranges whose digest differs; a deleted row changes the
digest of its range too. The digest is computed from the expressions that are read, under the snapshot's
pinned settings, so that only a changed value changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from sync_pipeline.postgres.connect import Connection
from sync_pipeline.sources.postgres.columns import SourceTable

VERSION = 1
"""Of the digest and of the pinned settings; digests of another version are not compared."""

ROWS_PER_RANGE = 128
"""Small, so that a few scattered changes fetch little; large enough that digests are few."""

OLDEST_SERVER = 110000  # the first with hashtextextended


@dataclass(frozen=True)
class KeyRanges:
    """A table by ranges of one column of its key.

    Attributes:
        column: the column.
        bounds: lower bounds of the ranges but the first, ascending, as text.
        divided_at: number of rows when the table was divided.
        digests: of each range that has rows, by its number; nulls have a range of their own, -1.
        rows: in all ranges.
        bytes: size of the digests received.
    """

    column: str
    bounds: tuple[str, ...]
    divided_at: int
    digests: Mapping[str, str]
    rows: int
    bytes: int = 0

    @property
    def outgrown(self) -> bool:
        """Whether the table has grown so much that its ranges are too large."""
        return self.rows > 2 * max(self.divided_at, ROWS_PER_RANGE)

    def changed_since(self, before: KeyRanges) -> list[int]:
        """Numbers of the ranges whose digest differs, without those that are empty now."""
        return [int(n) for n, digest in self.digests.items() if before.digests.get(n) != digest]

    def as_cursor(self, mapping: str) -> dict[str, Any]:
        """The JSON value that is stored between runs."""
        return {
            "version": VERSION,
            "mapping": mapping,
            "column": self.column,
            "bounds": list(self.bounds),
            "divided_at": self.divided_at,
            "digests": dict(self.digests),
        }


def from_cursor(state: Any, mapping: str) -> KeyRanges | None:
    """The ranges that an earlier run stored; None if it read other columns or converted them otherwise."""
    if not isinstance(state, dict) or (state.get("version"), state.get("mapping")) != (
        VERSION,
        mapping,
    ):
        return None
    return KeyRanges(
        state["column"], tuple(state["bounds"]), state["divided_at"], state["digests"], rows=0
    )


def divide(connection: Connection, table: SourceTable, key: Sequence[str]) -> KeyRanges:
    """Divide a table by one of its key columns, and compute the digests of its ranges."""
    name = _most_distinct(connection, table, key)
    column = table.column(name)
    rows = _rows(connection, table)
    count = max(1, rows // ROWS_PER_RANGE)
    # Bounds are values of rows, so they are of the column's type and their text can be cast back.
    found = connection.execute(
        sql.SQL("""
            select x.bound::text
            from (
                select distinct unnest(
                    percentile_disc({fractions}::float8[]) within group (order by {column})
                ) as bound
                from {relation}
                where {condition}
            ) x
            where x.bound is not null
            order by x.bound
        """).format(
            fractions=sql.Literal([i / count for i in range(1, count)]),
            column=column.range_value,
            relation=table.relation,
            condition=table.row_condition,
        )
    ).fetchall()
    bounds = tuple(bound for (bound,) in found)
    return digest(connection, table, KeyRanges(name, bounds, rows, {}, rows))


def _most_distinct(connection: Connection, table: SourceTable, key: Sequence[str]) -> str:
    """The key column with the most distinct values."""
    if len(key) == 1:
        return key[0]
    counts = connection.execute(
        sql.SQL("select {} from {} where {}").format(
            sql.SQL(", ").join(
                sql.SQL("count(distinct {})").format(table.column(name).key_value) for name in key
            ),
            table.relation,
            table.row_condition,
        )
    ).fetchone()
    assert counts
    return max(zip(counts, key, strict=True), key=lambda pair: pair[0])[1]


def _rows(connection: Connection, table: SourceTable) -> int:
    row = connection.execute(
        sql.SQL("select count(*) from {} where {}").format(table.relation, table.row_condition)
    ).fetchone()
    return row[0] if row else 0


def digest(connection: Connection, table: SourceTable, ranges: KeyRanges) -> KeyRanges:
    """The same ranges with their current digests."""
    found = connection.execute(
        sql.SQL("""
            select number, count(*), sum(hashtextextended(image collate "C", 0)::numeric)::text
            from (
                select {number} as number, row({values})::text as image
                from {relation}
                where {condition}
            ) x
            group by number
        """).format(
            number=_number(table, ranges),
            values=table.selected,
            relation=table.relation,
            condition=table.row_condition,
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


def in_ranges(table: SourceTable, ranges: KeyRanges, numbers: Sequence[int]) -> sql.Composable:
    """The condition of the rows in some ranges."""
    return sql.SQL("{} = any({}::int[])").format(_number(table, ranges), sql.Literal(list(numbers)))


def _number(table: SourceTable, ranges: KeyRanges) -> sql.Composed:
    column = table.column(ranges.column)
    return sql.SQL("coalesce(width_bucket({}, {}::text[]::{}[]), -1)").format(
        column.range_value, sql.Literal(list(ranges.bounds)), column.range_type
    )
