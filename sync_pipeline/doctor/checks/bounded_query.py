"""Questions that read rows; one that may not be answered, or takes too long, costs an answer and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import errors, sql

from sync_pipeline.postgres.connect import Connection

T = TypeVar("T")

PATIENCE = "30s"
EXAMPLES = 3
_UNANSWERED = (
    errors.QueryCanceled,
    errors.LockNotAvailable,
    errors.InsufficientPrivilege,
    errors.UndefinedTable,  # said by a finding of its own
)


def ask(
    connection: Connection, query: sql.SQL | sql.Composed, parameters: list[Any] | None = None
) -> list[tuple[Any, ...]]:
    """The answer to a query that reads rows; nothing when there is none in time, or it may not be asked.

    Args:
        connection: any session; inside a transaction the query stands under a savepoint.
        query: it writes nothing.
        parameters: for the query.
    """
    return attempt(connection, lambda session: session.execute(query, parameters).fetchall())


def attempt(connection: Connection, question: Callable[[Connection], list[T]]) -> list[T]:
    """The answer to a question of several queries, on the terms of `ask`."""
    try:
        with connection.transaction():
            connection.execute(
                "select set_config('statement_timeout', %s, true),"
                " set_config('lock_timeout', '2s', true)",
                [PATIENCE],
            )
            return question(connection)
    except _UNANSWERED:
        return []


def count(connection: Connection, query: sql.SQL | sql.Composed) -> int:
    """The number that a query answers; zero when it does not."""
    rows = ask(connection, query)
    return int(rows[0][0]) if rows else 0
