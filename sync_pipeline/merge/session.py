"""The target's session for one merge: advisory locks, retries after contention, reconnection.

The locks are taken before the first record is read and belong to the session, so two runs of one entity
never interleave; they block nobody but another run of the same entity. Losing the connection loses the
temporary tables too: they are filled again from the stage's spool, never by asking the source twice.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import psycopg
import stamina
from psycopg import errors, sql

from sync_pipeline.errors import TargetRefused, TargetUnavailable
from sync_pipeline.merge import plan
from sync_pipeline.merge.advisory_locks import (
    entities_locked,
    in_lock_order,
    lock_entity,
    milliseconds,
)
from sync_pipeline.merge.relations import Relations, listed
from sync_pipeline.merge.stage import Stage, with_reconnect
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail, one_line

# stamina finds structlog beside Dagster and would print every retry on stdout, where results go.
stamina.instrumentation.set_on_retry_hooks([])

log = logging.getLogger(__name__)
T = TypeVar("T")

CONTENTION = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)
"""Another session wrote the same rows at the same time: plan again."""

MAX_OUTAGES = 5  # in one merge; more means that the merge itself brings the server down


@dataclass(frozen=True)
class Target:
    """How to connect to the target, and its timeouts."""

    connect: Callable[[str], Connection]  # in autocommit; takes the application's name
    lock_wait: dt.timedelta = dt.timedelta(minutes=2)  # for another run of the same entity
    outage: dt.timedelta = dt.timedelta(minutes=2)  # longest that the run waits for the target
    statement_timeout: dt.timedelta = dt.timedelta(minutes=10)  # of each statement of a merge
    lock_timeout: dt.timedelta = dt.timedelta(seconds=20)  # for a row or table that an app holds
    work_memory: str = "128MB"  # of the merge's transaction, as Postgres spells it


class Session:
    """A connection that holds the entities' locks and reconnects after an outage."""

    def __init__(self, target: Target, entities: Sequence[Entity], name: str) -> None:
        self._target = target
        self._entities = in_lock_order(entities)
        self._name = name
        self.stages: list[Stage] = []
        self.restaged = False
        self._outages = 0
        self.connection = self._open()

    def close(self) -> None:
        """Close the connection; its locks and temporary tables go with it."""
        for stage in self.stages:
            stage.close()
        self.connection.close()

    def _open(self) -> Connection:
        connection = self._target.connect(self._name)
        try:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            for entity in self._entities:
                lock_entity(connection, entity, self._target.lock_wait)
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _configure(self, connection: Connection) -> None:
        settings = {
            "statement_timeout": milliseconds(self._target.statement_timeout),
            "lock_timeout": milliseconds(self._target.lock_timeout),
            "work_mem": self._target.work_memory,
            "idle_session_timeout": "0",  # a slow source may leave the session idle between two pages
            "temp_buffers": "64MB",
            # Rows hidden by row-level security would look deleted; off, Postgres raises an error instead.
            "row_security": "off",
            "jit": "off",  # compiling the plan's expressions takes longer than running them
        }
        for name, value in settings.items():
            connection.execute("select set_config(%s, %s, false)", [name, value])
        # A killed run's session, and its locks, end in the middle of a statement too. Not every operating
        # system of a server supports it.
        with suppress(errors.InvalidParameterValue):
            connection.execute("set client_connection_check_interval = '1s'")

    def reconnect(self, error: psycopg.OperationalError) -> None:
        """Reconnect and stage again when the connection is lost; any other error is raised as it is.

        Raises:
            TargetUnavailable: it stayed unreachable, or the connection was lost again and again.
        """
        if not self.connection.closed:
            raise error
        self._outages += 1
        if self._outages > MAX_OUTAGES:
            raise TargetUnavailable(
                f"{self._name}: the connection was lost {self._outages} times: {one_line(error)}."
                " Nothing was written; the server's log says why."
            ) from error
        log.warning(
            "%s: connection to the target lost (%s); reconnecting", self._name, one_line(error)
        )
        for attempt in stamina.retry_context(
            on=(TargetUnavailable, psycopg.OperationalError),
            attempts=None,
            timeout=self._target.outage,
            wait_initial=0.2,
            wait_max=5.0,
        ):
            with attempt:
                self.connection.close()  # a session left by the previous attempt would hold the locks
                self.connection = self._open()
                for stage in self.stages:
                    stage.restage(self.connection)
        self.restaged = True

    def run_transaction(self, work: Callable[[Connection], T]) -> T:
        """Run work in one transaction, again from its beginning after contention or an outage.

        Raises:
            TargetUnavailable: contention did not end, or a statement took too long.
        """
        retry = stamina.RetryingCaller(attempts=8, timeout=self._target.outage)
        with self._explained():
            return retry(CONTENTION, with_reconnect, self.reconnect, lambda: self._attempt(work))

    def run_autocommit(self, work: Callable[[Connection], T]) -> T:
        """Run work outside of a transaction, again when the connection is lost.

        Raises:
            TargetUnavailable: it stayed unreachable, a lock was not free, or a statement took too long.
        """
        return with_reconnect(self.reconnect_stage, lambda: work(self.connection))

    def reconnect_stage(self, error: psycopg.OperationalError) -> None:
        """As `reconnect`, for work outside of a transaction; names contention and timeouts in the error."""
        with self._explained():
            self.reconnect(error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except CONTENTION as error:
            raise TargetUnavailable(
                f"{self._name}: other sessions kept writing the same rows: {one_line(error)}."
                " Nothing was written; run it again when they are done."
            ) from error
        except errors.QueryCanceled as error:
            raise TargetUnavailable(
                f"{self._name}: {one_line(error)}. Nothing was written; raise SYNC_STATEMENT_TIMEOUT or look"
                " at what blocks the table in pg_stat_activity."
            ) from error

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        with self.connection.transaction():
            lock_tables(self.connection, self._entities)
            # A deferred constraint would fail at commit, where the error names no row.
            self.connection.execute("set constraints all immediate")
            if self.restaged:
                self._refuse_moved_bases()
            return work(self.connection)

    def _refuse_moved_bases(self) -> None:
        """Fencing: the lock was lost with the connection, so another run may have moved the base."""
        for stage in self.stages:
            if plan.moved_bases(self.connection, stage.relations):
                raise TargetUnavailable(
                    f"{self._name}: another run merged {stage.relations.entity.name} while the target was"
                    " away. Nothing was written; run it again."
                )


def atomically(connection: Connection, entities: Sequence[Entity], work: Callable[[], T]) -> T:
    """Run work on entities in one transaction, holding their locks.

    The locks are taken before the snapshot, so that it includes what the last run wrote. If another session
    has changed a row since the snapshot, the transaction is rolled back and the work is run again.

    Raises:
        EntityBusy: a run held one of the locks for the session's whole lock timeout.
        TargetUnavailable: other sessions kept writing the same rows.
        TargetRefused: the target refuses for a lasting reason, such as a constraint.
    """

    def attempt() -> T:
        with connection.transaction():
            lock_tables(connection, entities)
            return work()

    before = connection.isolation_level
    with entities_locked(connection, entities):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            return stamina.RetryingCaller(attempts=8, timeout=60)(CONTENTION, attempt)
        except CONTENTION as error:
            raise TargetUnavailable(
                f"other sessions kept writing the same rows: {one_line(error)}. Nothing was written; try"
                " again when they are done."
            ) from error
        except psycopg.OperationalError as error:
            raise TargetUnavailable(
                f"{one_line(error)}. Nothing was written; try again."
            ) from error
        except psycopg.DatabaseError as error:
            raise TargetRefused(
                f"the target refused: {message_with_detail(error)}. Nothing was written."
            ) from error
        finally:
            if not connection.closed:
                connection.isolation_level = before


def lock_tables(connection: Connection, entities: Sequence[Entity]) -> None:
    """Lock tables without a unique index on the key against other writers until the transaction ends.

    Call before the transaction has a snapshot, which would miss what is committed while this waits.
    """
    tables = [Relations(e).target for e in entities if not e.unique_key]
    if tables:
        lock = sql.SQL("lock table {} in share row exclusive mode")
        connection.execute(lock.format(listed(tables)))
