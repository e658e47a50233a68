"""Reads a synced table: whole as a DataFrame, or in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from psycopg import sql
from psycopg.rows import dict_row

from sync_pipeline.merge.relations import Relations, columns, ident
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection, dicts, scalar

if TYPE_CHECKING:
    import pandas as pd


class Relation:
    """A table as a lazy handle; a context manager that closes its connection."""

    def __init__(self, connection: Connection, entity: Entity) -> None:
        self.entity = entity
        self._connection = connection
        self._target = Relations(entity).target

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def count(self) -> int:
        """Rows of the table."""
        return scalar(self._connection, sql.SQL("select count(*) from {}").format(self._target))

    def iter(
        self, names: Sequence[str] | None = None, *, chunk: int = 10_000
    ) -> Iterator[list[dict[str, Any]]]:
        """Rows in chunks through a server-side cursor, so that memory does not grow with the table."""
        chosen = columns(names) if names else sql.SQL("*")
        query = sql.SQL("select {} from {}").format(chosen, self._target)
        with (
            self._connection.transaction(),
            self._connection.cursor("sync_relation", row_factory=dict_row) as cursor,
        ):
            cursor.execute(query)
            while rows := cursor.fetchmany(chunk):
                yield rows

    def holding(
        self, column: str, values: Sequence[str], names: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Rows whose column, or list column, holds any of the values."""
        is_list = self.entity.field(column).type.is_list
        test = sql.SQL("{} && %s::text[]" if is_list else "{} = any(%s::text[])").format(
            ident(column)
        )
        query = sql.SQL("select {} from {} where {}").format(columns(names), self._target, test)
        return dicts(self._connection, query, [list(values)])

    def frame(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """The whole table, in memory."""
        # Its import takes as long as a small run, and few runs need it.
        import pandas as pd  # noqa: PLC0415

        chosen = list(names) if names else [c.column for c in self.entity.columns]
        return pd.DataFrame([row for chunk in self.iter(chosen) for row in chunk], columns=chosen)
