"""How a repair runs its statements: transaction settings, table locks, errors that people can act on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from sync_pipeline.errors import TargetNotPrepared, TargetRefused, TargetUnavailable
from sync_pipeline.merge.relations import listed
from sync_pipeline.postgres.catalog import Table, TableName, read_table
from sync_pipeline.postgres.connect import Connection, Statement
from sync_pipeline.postgres.errors import message, message_with_detail

Parameters = Sequence[Any] | Mapping[str, Any] | None

LOCK_TIMEOUT = timedelta(seconds=30)
_SET = "select set_config(name, value, true) from unnest(%s::text[], %s::text[]) s(name, value)"


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
def transaction(connection: Connection, table: TableName) -> Iterator[None]:
    """A transaction, or a savepoint in the caller's, with the settings that a repair relies on.

    Raises:
        TargetNotPrepared: the rows break a constraint, or an object depends on what is dropped.
        TargetUnavailable: a lock was not granted in time; nothing was changed.
        TargetRefused: the role lacks a permission.
    """
    settings = {
        "row_security": "off",  # a policy would hide rows without a word; now that is an error
        "timezone": "UTC",  # times in jsonb are written in the session's zone, and compared later
    }
    with _actionable_errors(table), connection.transaction():
        settings["lock_timeout"] = f"{_lock_timeout(connection) // timedelta(milliseconds=1)}ms"
        before = {
            name: fetch_value(connection, "select current_setting(%s)", [name]) for name in settings
        }
        connection.execute(_SET, [list(settings), list(settings.values())])
        yield
        # Check deferred constraints here, where the error can still name the table.
        connection.execute("set constraints all immediate")
        connection.execute(_SET, [list(before), list(before.values())])


def _lock_timeout(connection: Connection) -> timedelta:
    """The caller's own lock timeout where that is shorter."""
    query = "select setting::integer from pg_settings where name = 'lock_timeout'"
    own = timedelta(milliseconds=fetch_value(connection, query))
    return min(own, LOCK_TIMEOUT) if own else LOCK_TIMEOUT


@contextmanager
def _actionable_errors(table: TableName) -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise TargetUnavailable(
            f"{table}: other sessions held it for too long ({message(error)}). Nothing was changed; try again"
            " when they are through."
        ) from error
    except psycopg.errors.IntegrityError as error:
        raise TargetNotPrepared(
            f"{table}: its rows break a constraint: {message_with_detail(error)}. Nothing was"
            " changed; fix these rows, then try again."
        ) from error
    except psycopg.errors.DependentObjectsStillExist as error:
        raise TargetNotPrepared(
            f"{table}: {message(error)} ({error.diag.message_detail}). Nothing was changed; drop what depends"
            " on it, then try again."
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise TargetRefused(
            f"{table}: {message(error)}. Nothing was changed; repeat it as the owner of the table, or, where"
            " row security applies to the owner too, as a role with BYPASSRLS."
        ) from error


def lock(connection: Connection, tables: Sequence[TableName]) -> None:
    """Make writers of these tables wait until the transaction ends; readers go on."""
    names = listed(sql.SQL("only {}").format(table.relation) for table in tables)
    connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(names))


def read_plain_table(connection: Connection, name: TableName) -> Table:
    """Read a table; raises `TargetNotPrepared` if there is none, or several tables hold its rows."""
    table = read_table(connection, name)
    if table is None:
        raise TargetNotPrepared(f"table {name} does not exist: run sync-pipeline migrate")
    if table.kind != "r" or table.has_children:
        raise TargetNotPrepared(
            f"{name} is no plain table (a view, partitioned, or inherited from): repair the tables"
            " that hold its rows"
        )
    return table
