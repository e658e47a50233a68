"""Whether a run's process lives: it holds a lock named after the run, which ends with it however it ends.

The lock is shared and on nothing else, so it blocks nobody; a run may hold it several times over.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import psycopg

from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline.postgres.connect import Connection

_HOLD = "select pg_advisory_lock_shared(hashtextextended('sync_pipeline run ' || %s, 0))"

# A run that lost its connection to a restart of the target is seen by the sessions it opened since.
_ABANDONED = """
with going as materialized (
    select id from sync_history where status = 'running' and metadata ? 'held'
)
select id from going
where not exists (
        select from pg_locks l where l.locktype = 'advisory'
            and l.database = (select oid from pg_database where datname = current_database())
            and ((l.classid::bigint << 32) | l.objid::bigint)
                = hashtextextended('sync_pipeline run ' || id, 0)
    )
    and not exists (
        select from pg_stat_activity where application_name like '% run ' || left(id::text, 8)
    )
"""


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
        """Enter the run into the history, and hold its lock; again after the connection was lost."""
        if self._connection is None or not self._holds(run_id):
            self.release()
            self._connection = self._connect()
            self._connection.execute(_HOLD, [str(run_id)])
        runs.open_run(self._connection, run_id, sync_type, held=True, **facts)

    def release(self) -> None:
        """Let go; harmless when there is nothing to let go of."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _holds(self, run_id: UUID) -> bool:
        with suppress(psycopg.OperationalError):
            assert self._connection
            self._connection.execute(_HOLD, [str(run_id)])
            return True
        return False


_CLOSE = """
update sync_history h set metadata = metadata || jsonb_build_object('error', %(why)s::text),
    duration_ms = extract(epoch from coalesce(
        (select max(finished_at) from sync.step where run_id = h.id), h.created_at) - h.created_at) * 1000
where id = %(run)s
"""


def orphaned(connection: Connection) -> list[UUID]:
    """Runs that are entered as running although their process is gone."""
    return [run_id for (run_id,) in connection.execute(_ABANDONED)]


def close(connection: Connection, run_id: UUID, why: str) -> None:
    """Close the history row of an abandoned run; as far as anybody knows it ended with its last step."""
    connection.execute(_CLOSE, {"run": run_id, "why": why})
    runs.close_run(connection, run_id, failed=True)
