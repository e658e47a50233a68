"""One snapshot of a Postgres source, which all reads of a run share.

Tables that refer to each other are read as they were at one moment. The transaction is read only, so a
source is never written by whoever reads it, and the settings that shape text are pinned, so the same row is
the same text in every run.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import stamina
from psycopg import errors

from sync_pipeline.errors import (
    SourceBroken,
    SourceRefused,
    SourceUnavailable,
    TargetUnavailable,
)
from sync_pipeline.postgres.connect import connect
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
"""What the text of a value depends on; raise `ranges.VERSION` when it changes."""

# What the server says when it will say something else later.
_PASSING = ("starting up", "shutting down", "too many", "recovery mode", "remaining connection")
# What nobody but the one who wrote the connection string can mend.
_LASTING = ("FATAL", "no password", "invalid ", "certificate", "does not support")


class Snapshot:
    """A transaction on the source, opened with the first read and closed with the run."""

    def __init__(
        self, dsn: str, *, variable: str, statement_timeout: dt.timedelta, outage: dt.timedelta
    ) -> None:
        self._dsn = dsn
        self._variable = variable
        self._statement_timeout = statement_timeout
        self._outage = outage
        self._connection: psycopg.Connection[Any] | None = None
        self._lost = False

    def close(self) -> None:
        """End the transaction; the next read takes a new snapshot."""
        if self._connection:
            self._connection.close()
        self._connection, self._lost = None, False

    @contextmanager
    def reading(self, what: str) -> Iterator[psycopg.Connection[Any]]:
        """The connection for one read; what goes wrong in it leaves the snapshot to the others.

        Raises:
            SourceUnavailable: the source is away, or went away and took the snapshot with it.
            SourceRefused: a permission or an object is missing.
            SourceBroken: the source cannot answer for a lasting reason.
        """
        connection = self._opened()
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
            what_happened = (
                f"the source went away while it was read: {one_line(error)}. Nothing of it was written; run"
                " it again."
                if self._lost
                else f"the source gave up on it: {one_line(error)}. Nothing of it was written; run it again,"
                " and if the source is only slow, raise SYNC_STATEMENT_TIMEOUT."
            )
            raise SourceUnavailable(f"{what}: {what_happened}") from error
        except psycopg.Error as error:
            raise SourceBroken(
                f"{what}: the source cannot answer: {one_line(error)}. Nothing of it was written."
            ) from error

    def _opened(self) -> psycopg.Connection[Any]:
        if self._lost:
            raise SourceUnavailable(
                f"{self._variable}: the connection of this run was lost, and with it the moment at which all"
                " tables are read. Nothing more is read; run it again."
            )
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> psycopg.Connection[Any]:
        try:
            for attempt in stamina.retry_context(
                on=_is_passing, attempts=None, timeout=self._outage, wait_initial=0.2, wait_max=5.0
            ):
                with attempt:
                    connection = connect(
                        self._dsn,
                        variable=self._variable,
                        statement_timeout=self._statement_timeout,
                        # A slow target may let the snapshot wait between two tables.
                        idle_in_transaction_timeout=dt.timedelta(0),
                    )
                    return _begun(connection)
        except TargetUnavailable as error:
            raise SourceUnavailable(str(error)) from error
        raise AssertionError("unreachable: the last attempt returns or raises")


def _begun(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
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


def _is_passing(error: Exception) -> bool:
    said = str(error)
    lasting = any(word in said for word in _LASTING)
    return isinstance(error, TargetUnavailable) and (
        not lasting or any(word in said for word in _PASSING)
    )
