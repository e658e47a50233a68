"""The account that the sync keeps of itself: runs, their steps, and the watermark of each table.

Steps and watermarks are written in the transaction of the rows that they speak of, so neither can be
ahead of the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.convert import payload_text
from sync_pipeline.merge.relations import Relations, columns
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection

StepStatus = Literal["completed", "planned", "stopped", "failed"]
RunStatus = Literal["completed", "partial_success", "failed"]
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass
class Step:
    """One action of a run: a merge, a patch, a fetch that failed.

    Attributes:
        counts: terms of the accounting identity; None for actions that merge nothing.
        facts: calls, bytes, watermark and whatever else the action reports.
        part: the part of the entity that it concerns, where it was read in parts.
    """

    system: str
    entity: str
    action: str
    status: StepStatus
    started_at: dt.datetime
    error: str | None = None
    counts: Counts | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    partition: str = ""


def open_run(connection: Connection, run_id: UUID, sync_type: str, **facts: Any) -> None:
    """Enter a run into the history; the second call for the same run does nothing."""
    connection.execute(
        "insert into sync_history (id, sync_type, status, metadata) values (%s, %s, 'running', %s)"
        " on conflict (id) do nothing",
        [run_id, sync_type, Jsonb(facts, dumps=payload_text)],
    )


def add_step(connection: Connection, run_id: UUID, step: Step) -> None:
    """Enter one step of a run; in the transaction of what it speaks of."""
    connection.execute(
        "insert into sync.step (run_id, system, entity, action, status, error, counts, facts, started_at,"
        " part, finished_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())",
        [
            run_id,
            step.system,
            step.entity,
            step.action,
            step.status,
            _told(step.error),
            Jsonb(step.counts.as_dict()) if step.counts else None,
            Jsonb(step.facts, dumps=payload_text),
            step.started_at,
            step.partition,
        ],
    )


def _told(error: str | None) -> str | None:
    """An error as a text column can hold it: it may quote anything that a source has answered."""
    return error and error.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def has_step(connection: Connection, run_id: UUID, entity: Entity, started_at: dt.datetime) -> bool:
    """Whether one merge of an entity was committed; asked after a connection broke in its commit.

    A run may merge an entity again, as a retried step does; the start tells them apart.
    """
    row = connection.execute(
        "select exists (select from sync.step where run_id = %s and system = %s and entity = %s"
        " and action = 'merge' and status = 'completed' and started_at = %s)",
        [run_id, entity.system, entity.name, started_at],
    ).fetchone()
    return bool(row and row[0])


def close_run(connection: Connection, run_id: UUID, *, failed: bool = False) -> RunStatus | None:
    """Sum up a run from its steps and close it; closing it again changes nothing but a failure.

    Args:
        connection: to the target.
        run_id: the run.
        failed: the run as a whole ended in failure, whatever its steps say.

    Returns:
        The status, or None when the run has no history.
    """
    row = connection.execute(_CLOSE, {"run": run_id, "failed": failed}).fetchone()
    return row[0] if row else None


_CLOSE = """
with steps as (
    select count(*) filter (where status in ('failed', 'stopped')) as failed,
        count(*) filter (where status in ('completed', 'planned')) as landed,
        count(*) filter (where jsonb_array_length(coalesce(facts -> 'problems', '[]')) > 0) as problems,
        coalesce(sum((counts ->> 'read')::int), 0) as read,
        coalesce(sum((counts ->> 'inserted')::int) filter (where status = 'completed'), 0) as inserted,
        coalesce(sum((counts ->> 'updated')::int) filter (where status = 'completed'), 0) as updated,
        coalesce(sum((counts ->> 'rejected')::int + (counts ->> 'parked')::int), 0) as troubled,
        coalesce(sum((facts ->> 'api_calls')::int), 0) as calls
    from sync.step where run_id = %(run)s
)
update sync_history h set
    status = case
        when steps.landed = 0 and (%(failed)s or steps.failed > 0) then 'failed'
        when %(failed)s or steps.failed > 0 or steps.problems > 0 or steps.troubled > 0 then 'partial_success'
        else 'completed' end,
    items_processed = steps.read,
    items_created = steps.inserted,
    items_updated = steps.updated,
    items_failed = steps.troubled,
    duration_ms = coalesce(h.duration_ms,
        (extract(epoch from clock_timestamp() - h.created_at) * 1000)::int),
    metadata = h.metadata || jsonb_build_object('api_calls', steps.calls)
from steps where h.id = %(run)s
returning h.status
"""


def watermark(connection: Connection, entity: Entity) -> dt.datetime | None:
    """The highest source modification time that is known to be merged; None before the first run."""
    row = connection.execute(
        "select last_sync_timestamp from _sync_metadata where table_name = %s", [entity.table]
    ).fetchone()
    return row[0] if row and row[0] > EPOCH else None


def progress(connection: Connection, entity: Entity, part: str = "") -> Progress:
    """How far an entity, or one part of it, was read by the runs that landed."""
    row = connection.execute(
        "select state from sync.cursor where system = %s and entity = %s and part = %s",
        [entity.system, entity.name, part],
    ).fetchone()
    return Progress(watermark(connection, entity), row[0] if row else None)


def keep_cursor(connection: Connection, entity: Entity, state: Any, part: str = "") -> None:
    """Keep how far the source was read; in the transaction of the rows. The same again writes nothing."""
    connection.execute(
        "insert into sync.cursor as c (system, entity, state, part) values (%s, %s, %s, %s)"
        " on conflict (system, entity, part) do update set state = excluded.state, updated_at = now()"
        " where c.state <> excluded.state",
        [entity.system, entity.name, Jsonb(state), part],
    )


def mark(
    connection: Connection, entity: Entity, *, moment: dt.datetime | None, counts: Counts
) -> dt.datetime | None:
    """Record a successful merge and move the watermark forward, never back.

    Returns:
        The watermark as it now stands.
    """
    row = connection.execute(
        "insert into _sync_metadata as m (table_name, last_sync_timestamp, records_synced, sync_status)"
        " values (%s, coalesce(%s::timestamptz, '1970-01-01 00:00:00+00'), %s, 'success')"
        " on conflict (table_name) do update set"
        " last_sync_timestamp = greatest(m.last_sync_timestamp, excluded.last_sync_timestamp),"
        " records_synced = excluded.records_synced, sync_status = 'success', error_message = null,"
        " updated_at = now() returning last_sync_timestamp",
        [entity.table, moment, counts.read],
    ).fetchone()
    return row[0] if row and row[0] > EPOCH else None


def mark_failed(connection: Connection, entity: Entity, error: str) -> None:
    """Record a failed run of a table; its watermark stays where it was."""
    connection.execute(
        "insert into _sync_metadata as m (table_name, sync_status, error_message) values (%s, 'failed', %s)"
        " on conflict (table_name) do update set sync_status = 'failed',"
        " error_message = excluded.error_message, updated_at = now()",
        [entity.table, _told(error)],
    )


def purge(connection: psycopg.Connection[Any], *, keep: dt.timedelta) -> dict[str, int]:
    """Remove bookkeeping older than `keep`; unresolved conflicts, rejections and parkings stay.

    Returns:
        Rows removed, by table.
    """
    return {
        name: connection.execute(statement, {"keep": keep}).rowcount
        for name, statement in _PURGE.items()
    }


_PURGE: dict[str, LiteralString] = {
    "sync.change": "delete from sync.change where changed_at < now() - %(keep)s::interval",
    "sync.plan": "delete from sync.plan where created_at < now() - %(keep)s::interval",
    "sync.step": "delete from sync.step where started_at < now() - %(keep)s::interval",
    "sync.request": "delete from sync.request where finished_at < now() - %(keep)s::interval",
    "sync.conflict": "delete from sync.conflict where resolved_at < now() - %(keep)s::interval",
    "sync_history": "delete from sync_history where created_at < now() - %(keep)s::interval",
}


def merged_entities(connection: Connection, run_id: UUID) -> set[str]:
    """Names of the entities that a run has merged so far."""
    rows = connection.execute(
        "select entity from sync.step where run_id = %s and action = 'merge' and status = 'completed'",
        [run_id],
    )
    return {name for (name,) in rows}


def annotate(connection: Connection, run_id: UUID, facts: Mapping[str, Any]) -> None:
    """Add facts to a run's history row."""
    connection.execute(
        "update sync_history set metadata = metadata || %s where id = %s",
        [Jsonb(facts, dumps=payload_text), run_id],
    )


def moved_keys(
    connection: Connection, system: System, run_id: UUID
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Keys of the rows that a run moved, and of the records that it rejected, by entity.

    Keys of several columns are joined by a comma.
    """
    moved: dict[str, set[str]] = {}
    for entity in system.entities:
        rel = Relations(entity)
        query = sql.SQL("select concat_ws(',', {}) from {} where _run = %s").format(
            columns(entity.key), rel.base
        )
        moved[entity.name] = {key for (key,) in connection.execute(query, [run_id])}
    rejected: dict[str, set[str]] = {}
    rows = connection.execute(
        "select entity, (select string_agg(value, ',') from jsonb_each_text(key)) from sync.rejected"
        " where system = %s and run_id = %s and key is not null",
        [system.name, run_id],
    )
    for name, key in rows:
        rejected.setdefault(name, set()).add(key)
    return moved, rejected
