"""Run requests: partial resyncs queued in `sync.request` by apps, people and sensors.

A request stays open until a run succeeds; a failed run is retried a few times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sync_pipeline.postgres.connect import Connection, scalar

MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Request:
    """One queued request."""

    id: int
    system: str
    entity: str
    keys: list[str]
    reason: str
    force: bool
    attempts: int


def queue(
    connection: Connection, system: str, entity: str, keys: Sequence[str], reason: str
) -> int:
    """Queue a partial resync; returns the request's number."""
    insert = "insert into sync.request (system, entity, keys, reason) values (%s, %s, %s, %s) returning id"
    return scalar(connection, insert, [system, entity, list(keys), reason])


def waiting(connection: Connection, limit: int) -> list[Request]:
    """The oldest open requests."""
    rows = connection.execute(
        """
        select id, system, entity, keys, reason, force, attempts
        from sync.request
        where finished_at is null
        order by requested_at, id
        limit %s
        """,
        [limit],
    )
    return [Request(*row) for row in rows]


def refuse(connection: Connection, request_id: int, why: str) -> None:
    """Close a request that no run can do."""
    connection.execute(
        "update sync.request set finished_at = now(), error = %s where id = %s", [why, request_id]
    )


def finish(connection: Connection, request_id: int, run_id: UUID, *, error: str | None) -> None:
    """Close a request after its run; after a failure leave it open for a retry, up to `MAX_ATTEMPTS`.

    A run counts as one attempt, however often its end is reported.
    """
    connection.execute(
        """
        update sync.request set
            run_id = %(run)s,
            error = %(error)s,
            attempts = attempts + 1,
            finished_at = case
                when %(error)s::text is null or attempts + 1 >= %(max)s then now()
            end
        where id = %(id)s and finished_at is null and run_id is distinct from %(run)s
        """,
        {"id": request_id, "run": run_id, "error": error, "max": MAX_ATTEMPTS},
    )
