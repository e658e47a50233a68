"""Queries that read rows, with a time limit; one that is not permitted or too slow returns nothing."""

from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import errors, sql

from sync_pipeline.postgres.connect import Connection

T = TypeVar("T")

STATEMENT_TIMEOUT = "30s"
EXAMPLES = 3
_NO_ANSWER = (
    errors.QueryCanceled,
    errors.LockNotAvailable,
    errors.InsufficientPrivilege,
    errors.UndefinedTable,  # has a finding of its own
)


def fetch(
    connection: Connection, query: sql.SQL | sql.Composed, parameters: list[Any] | None = None
) -> list[tuple[Any, ...]]:
    """The rows of a query that writes nothing; none when it takes too long or is not permitted."""
    return bounded(connection, lambda session: session.execute(query, parameters).fetchall())


def bounded(connection: Connection, read: Callable[[Connection], list[T]]) -> list[T]:
    """What a function reads with several queries, each with the limits of `fetch`; nothing if one fails."""
    try:
        with connection.transaction():
            connection.execute(
                "select set_config('statement_timeout', %s, true), set_config('lock_timeout', '2s', true)",
                [STATEMENT_TIMEOUT],
            )
            return read(connection)
    except _NO_ANSWER:
        return []


def count(connection: Connection, query: sql.SQL | sql.Composed) -> int:
    """The number that a query returns; zero when it takes too long or is not permitted."""
    rows = fetch(connection, query)
    return int(rows[0][0]) if rows else 0
