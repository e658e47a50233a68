"""Liveness of runs: each run's process holds an advisory lock named after it. No lock: the process is dead.

The lock is shared, so a run may hold it several times over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.merge import advisory_locks
from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline.postgres.connect import Connection


class RunLock:
    """A run's lock, held from the first `acquire` to `release` or the end of the block."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, run_id: UUID, sync_type: str, **facts: str) -> None:
        """Enter the run into the history and take its lock; again after the connection was lost."""
        if self._connection is None or not self._reacquire(run_id):
            self.release()
            self._connection = self._connect()
            advisory_locks.acquire(self._connection, advisory_locks.run_lock(run_id), "shared")
        runs.open_run(self._connection, run_id, sync_type, held=True, **facts)

    def release(self) -> None:
        """Close the lock's session; does nothing when there is none."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _reacquire(self, run_id: UUID) -> bool:
        """Take the lock once more; False when its session was lost, and the lock with it."""
        with suppress(psycopg.OperationalError):
            assert self._connection
            advisory_locks.acquire(self._connection, advisory_locks.run_lock(run_id), "shared")
            return True
        return False


def orphaned(connection: Connection) -> list[UUID]:
    """Runs that the history holds as running although their process is dead."""
    is_held = sql.SQL(advisory_locks.IS_HELD).format(
        name=sql.SQL("{} || running.id").format(advisory_locks.RUN_PREFIX)
    )
    query = sql.SQL("""
        with running as materialized (
            select id from sync_history where status = 'running' and metadata ? 'held'
        )
        select id
        from running
        where not exists (select from pg_locks l where {is_held})
            -- A run whose lock was lost with a restart of the target has opened other sessions since.
            and not exists (
                select from pg_stat_activity
                where application_name like '% run ' || left(running.id::text, 8)
            )
    """).format(is_held=is_held)
    return [run_id for (run_id,) in connection.execute(query)]


def close(connection: Connection, run_id: UUID, error: str) -> None:
    """Close the history row of an orphaned run; its end is taken to be that of its last step."""
    connection.execute(
        """
        update sync_history h set
            metadata = metadata || jsonb_build_object('error', %(error)s::text),
            duration_ms = 1000 * extract(epoch from coalesce(
                (select max(finished_at) from sync.step where run_id = h.id), h.created_at
            ) - h.created_at)
        where id = %(run)s
        """,
        {"run": run_id, "error": error},
    )
    runs.close_run(connection, run_id, failed=True)
