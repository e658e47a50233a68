"""Putting invented rows into tables, whatever types these have."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

_INSERT = sql.SQL(
    "insert into {table} ({columns}) select {columns} from jsonb_populate_recordset(null::{table}, %s)"
)


def insert(connection: psycopg.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns; the others get their defaults.

    Args:
        connection: in the caller's transaction.
        table: in the search path.
        rows: values that JSON has, such as text for a moment or a uuid.
    """
    if not rows:
        return
    columns = sql.SQL(", ").join(map(sql.Identifier, rows[0]))
    statement = _INSERT.format(table=sql.Identifier(table), columns=columns)
    connection.execute(statement, [Jsonb(list(rows))])
