"""A unique key that a table needs, and the values that complete the rows before it is checked."""

from dataclasses import dataclass

from psycopg import sql

from sync_pipeline.postgres.catalog import TableName


@dataclass(frozen=True)
class UniqueKey:
    """A key that a table needs, backed by a unique index.

    Attributes:
        schema: of the table.
        table: its name.
        columns: of the key, in the order of the index.
        nulls_not_distinct: nulls are equal to each other; otherwise a row with a null in the key has no
            duplicates.
        name: of the index, at most 63 bytes.
        newest: columns by which the newest of several duplicates is chosen, the most significant first; those
            that the table lacks are skipped, and the physical order decides between equals.
        null_is_value: columns whose null has a meaning, such as that the last sync had no error: a null of
            the newest row stays.
        must_match: columns in which rows of one key must not differ, nulls aside: such rows are different
            things, and a repair refuses to merge them. Those that the table lacks are skipped.
    """

    schema: str
    table: str
    columns: tuple[str, ...]
    nulls_not_distinct: bool
    name: str
    newest: tuple[str, ...] = ()
    null_is_value: tuple[str, ...] = ()
    must_match: tuple[str, ...] = ()

    @property
    def table_name(self) -> TableName:
        """The table."""
        return TableName(self.schema, self.table)


@dataclass(frozen=True)
class Fill:
    """A value for a column where it is null.

    Attributes:
        column: of the table.
        value: an SQL expression of the row, whose alias is `t`; it is cast to the column's type, and reads
            the row as it was before any fill.
        why: where the value comes from, for the report.
    """

    column: str
    value: sql.Composable
    why: str
