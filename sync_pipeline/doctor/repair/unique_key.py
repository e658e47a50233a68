"""What is wanted: a unique key, and the values that complete the rows before it is judged."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql


@dataclass(frozen=True)
class TableName:
    """A table, by schema and name."""

    schema: str
    table: str

    @property
    def relation(self) -> sql.Identifier:
        """The table in SQL."""
        return sql.Identifier(self.schema, self.table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class UniqueKey:
    """A key that a table shall have, backed by a unique index.

    Attributes:
        schema: of the table.
        table: its name.
        columns: of the key, in the order of the index.
        nulls_not_distinct: nulls are equal to each other; otherwise a row with a null in the key has no
            duplicates.
        name: of the index, at most 63 bytes.
        newest: columns that tell which of several duplicates is the newest, the most telling first; those
            that the table lacks are passed over, and the physical place decides in the end.
        null_is_value: columns whose null says something, as that the last sync had no error: a null of
            the newest row stays.
        apart: columns in which rows of one key must not differ, nulls aside: such rows are not the same
            thing, and a repair refuses to merge them. Those that the table lacks are passed over.
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    nulls_not_distinct: bool
    name: str
    newest: tuple[str, ...] = ()
    null_is_value: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()

    @property
    def place(self) -> TableName:
        """The table."""
        return TableName(self.schema, self.table)


@dataclass(frozen=True)
class Fill:
    """A value for a column where it is null.

    Attributes:
        column: of the table.
        value: an SQL expression of the row, whose alias is `t`; it is cast to the column's type, and sees
            the row as it was before any fill.
        why: where the value comes from, for the report.
    """

    column: str
    value: sql.Composable
    why: str
