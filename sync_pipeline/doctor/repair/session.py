"""How statements are run here: plain tuples, settings for one transaction, errors that people can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from sync_pipeline.doctor.repair.unique_key import TableName
from sync_pipeline.errors import TargetNotPrepared, TargetRefused, TargetUnavailable
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message, message_with_detail

Statement = LiteralString | sql.SQL | sql.Composed
Parameters = Sequence[Any] | Mapping[str, Any] | None

LOCK_TIMEOUT = timedelta(seconds=30)


def fetch(
    connection: Connection, query: Statement, parameters: Parameters = None
) -> list[tuple[Any, ...]]:
    """All rows of a query as tuples, whatever the connection's own row factory."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query, parameters).fetchall()


def fetch_value(connection: Connection, query: Statement, parameters: Parameters = None) -> Any:
    """The first value of the first row."""
    return fetch(connection, query, parameters)[0][0]


@contextmanager
def settled(connection: Connection, place: TableName) -> Iterator[None]:
    """A transaction, or a savepoint in the caller's, with the settings that a repair relies on.

    Raises:
        TargetNotPrepared: the rows break a constraint, or something depends on what is dropped.
        TargetUnavailable: a lock was not to be had in time; nothing was changed.
        TargetRefused: the role lacks a permission.
    """
    wanted = {
        "row_security": "off",  # rows that a policy hides would be missed in silence; now it is an error
        "timezone": "UTC",  # moments in jsonb are spelled in the session's zone, and are compared later
    }
    setting = (
        "select set_config(name, value, true) from unnest(%s::text[], %s::text[]) s(name, value)"
    )
    with _plain(place), connection.transaction():
        wanted["lock_timeout"] = f"{_patience(connection) // timedelta(milliseconds=1)}ms"
        before = {
            name: fetch_value(connection, "select current_setting(%s)", [name]) for name in wanted
        }
        connection.execute(setting, [list(wanted), list(wanted.values())])
        yield
        # Constraints that the caller deferred speak now, while the tables are known.
        connection.execute("set constraints all immediate")
        connection.execute(setting, [list(before), list(before.values())])


def _patience(connection: Connection) -> timedelta:
    """How long to wait for a lock; a caller that waits for less has its reasons."""
    query = "select setting::integer from pg_settings where name = 'lock_timeout'"
    own = timedelta(milliseconds=fetch_value(connection, query))
    return min(own, LOCK_TIMEOUT) if own else LOCK_TIMEOUT


@contextmanager
def _plain(place: TableName) -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise TargetUnavailable(
            f"{place}: other sessions held it for too long ({message(error)}). Nothing was changed; try again"
            " when they are through."
        ) from error
    except psycopg.errors.IntegrityError as error:
        raise TargetNotPrepared(
            f"{place}: its rows break a constraint: {message_with_detail(error)}. Nothing was"
            " changed; fix these rows, then try again."
        ) from error
    except psycopg.errors.DependentObjectsStillExist as error:
        raise TargetNotPrepared(
            f"{place}: {message(error)} ({error.diag.message_detail}). Nothing was changed; drop what depends"
            " on it, then try again."
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise TargetRefused(
            f"{place}: {message(error)}. Nothing was changed; repeat it as the owner of the table, or, where"
            " row security applies to the owner too, as a role with BYPASSRLS."
        ) from error


def lock(connection: Connection, places: Sequence[TableName]) -> None:
    """Make writers of these tables wait until the transaction ends; readers go on."""
    tables = sql.SQL(", ").join(sql.SQL("only {}").format(place.relation) for place in places)
    connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(tables))
