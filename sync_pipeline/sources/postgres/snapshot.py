"""One snapshot of a Postgres source, which all reads of a run share.

Tables that refer to each other are read as of one moment. The transaction is read-only, and the settings that
affect the text of values are pinned, so that an unchanged row has the same text in every run.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import stamina
from psycopg import errors

from sync_pipeline.errors import (
    SourceBroken,
    SourceRefused,
    SourceUnavailable,
    TargetUnavailable,
)
from sync_pipeline.postgres.connect import Connection, connect
from sync_pipeline.postgres.errors import one_line

log = logging.getLogger(__name__)

PINNED = {
    "search_path": "public",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",  # or types have other names
    # Rows that a policy hides would look deleted; Postgres refuses instead.
    "row_security": "off",
    "jit": "off",
}
"""Settings that the text of a value depends on; raise `range_digests.VERSION` when they change."""

# Parts of messages of servers that will accept a connection later.
_TRANSIENT = ("starting up", "shutting down", "too many", "recovery mode", "remaining connection")
# Parts of messages about a connection string that has to be corrected.
_PERMANENT = ("FATAL", "no password", "invalid ", "certificate", "does not support")


class Snapshot:
    """A read-only transaction on the source, opened by the first read and closed with the run."""

    def __init__(
        self, dsn: str, *, variable: str, statement_timeout: dt.timedelta, outage: dt.timedelta
    ) -> None:
        self._dsn = dsn
        self._variable = variable
        self._statement_timeout = statement_timeout
        self._outage = outage
        self._connection: Connection | None = None
        self._lost = False

    def close(self) -> None:
        """End the transaction; the next read takes a new snapshot."""
        if self._connection:
            self._connection.close()
        self._connection, self._lost = None, False

    @contextmanager
    def read(self, what: str) -> Iterator[Connection]:
        """The connection for one read in a savepoint, so that its error leaves the snapshot to the others.

        Raises:
            SourceUnavailable: the source cannot be reached, or the connection was lost with the snapshot.
            SourceRefused: a permission is missing.
            SourceBroken: any other error of the source.
        """
        connection = self._open()
        try:
            with connection.transaction():
                yield connection
        except errors.InsufficientPrivilege as error:
            raise SourceRefused(
                f"{what}: {one_line(error)}. Grant it to the role in {self._variable}: reading needs USAGE on"
                " the schema and SELECT on the table, and BYPASSRLS where policies hide rows."
            ) from error
        except (errors.QueryCanceled, psycopg.OperationalError) as error:
            self._lost = connection.closed
            reason = (
                f"the connection to the source was lost: {one_line(error)}. Nothing of it was written; run"
                " it again."
                if self._lost
                else f"the source canceled the read: {one_line(error)}. Nothing of it was written; run it"
                " again, and if the source is only slow, raise SYNC_STATEMENT_TIMEOUT."
            )
            raise SourceUnavailable(f"{what}: {reason}") from error
        except psycopg.Error as error:
            raise SourceBroken(
                f"{what}: the source cannot answer: {one_line(error)}. Nothing of it was written."
            ) from error

    def _open(self) -> Connection:
        if self._lost:
            raise SourceUnavailable(
                f"{self._variable}: the connection of this run was lost, and with it the snapshot in which"
                " all tables are read. Nothing more is read; run it again."
            )
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection:
        try:
            for attempt in stamina.retry_context(
                on=_is_transient,
                attempts=None,
                timeout=self._outage,
                wait_initial=0.2,
                wait_max=5.0,
            ):
                with attempt:
                    connection = connect(
                        self._dsn,
                        variable=self._variable,
                        statement_timeout=self._statement_timeout,
                        # The snapshot is idle between two tables while a slow target is written.
                        idle_in_transaction_timeout=dt.timedelta(0),
                    )
                    return _take_snapshot(connection)
        except TargetUnavailable as error:
            raise SourceUnavailable(str(error)) from error
        raise AssertionError("stamina either returns, retries or raises")


def _take_snapshot(connection: Connection) -> Connection:
    try:
        for name, value in PINNED.items():
            connection.execute("select set_config(%s, %s, false)", [name, value])
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        # The first statement takes the snapshot.
        connection.execute("select 1")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_transient(error: Exception) -> bool:
    text = str(error)
    permanent = any(part in text for part in _PERMANENT)
    transient = any(part in text for part in _TRANSIENT)
    return isinstance(error, TargetUnavailable) and (transient or not permanent)
