"""Runs and their steps: `sync_history` has a row per run, `sync.step` one per action of a run.

A step is written in the transaction of the rows that it counts, so neither can be ahead of the other.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.convert import payload_text
from sync_pipeline.merge.relations import Relations, columns
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection, scalar

StepStatus = Literal["completed", "planned", "stopped", "failed"]
RunStatus = Literal["completed", "partial_success", "failed"]


@dataclass
class Step:
    """One action of a run: a merge, a patch, a fetch that failed."""

    system: str
    entity: str
    action: str
    status: StepStatus
    started_at: dt.datetime
    error: str | None = None
    counts: Counts | None = None  # None for actions that merge nothing
    facts: Mapping[str, Any] = field(default_factory=dict)  # calls, bytes, watermark, …
    partition: str = ""  # the one that was read; empty where the entity has none


@dataclass(frozen=True)
class HistoryRow:
    """A run's row in the history."""

    status: RunStatus
    duration_ms: int
    metadata: dict[str, Any]


def has_bookkeeping(connection: Connection) -> bool:
    """Whether a database has the bookkeeping tables."""
    return scalar(connection, "select to_regclass('sync.step') is not null")


def open_run(connection: Connection, run_id: UUID, sync_type: str, **facts: Any) -> None:
    """Enter a run into the history; the second call for the same run does nothing."""
    connection.execute(
        """
        insert into sync_history (id, sync_type, status, metadata)
        values (%s, %s, 'running', %s)
        on conflict (id) do nothing
        """,
        [run_id, sync_type, Jsonb(facts, dumps=payload_text)],
    )


def add_step(connection: Connection, run_id: UUID, step: Step) -> None:
    """Enter one step of a run, in the transaction of its rows."""
    connection.execute(
        """
        insert into sync.step (run_id, system, entity, action, status, error, counts, facts,
            started_at, part, finished_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp())
        """,
        [
            run_id,
            step.system,
            step.entity,
            step.action,
            step.status,
            step.error and storable_text(step.error),
            Jsonb(step.counts.as_dict()) if step.counts else None,
            Jsonb(step.facts, dumps=payload_text),
            step.started_at,
            step.partition,
        ],
    )


def storable_text(error: str) -> str:
    """An error without what a text column refuses; it may quote any bytes of a source's response."""
    return error.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def has_step(connection: Connection, run_id: UUID, entity: Entity, started_at: dt.datetime) -> bool:
    """Whether a merge of an entity was committed; asked after the connection broke during its commit.

    A run may merge an entity twice, as a retried step does; the start tells them apart.
    """
    query = """
        select exists (
            select from sync.step
            where run_id = %s and system = %s and entity = %s
                and action = 'merge' and status = 'completed' and started_at = %s
        )
    """
    return scalar(connection, query, [run_id, entity.system, entity.name, started_at])


def close_run(connection: Connection, run_id: UUID, *, failed: bool = False) -> RunStatus | None:
    """Sum up a run from its steps and close it; closing it again changes nothing but a failure.

    A run may have failed as a whole, whatever its steps say. Returns None when it has no history.
    """
    return scalar(connection, _CLOSE, {"run": run_id, "failed": failed})


# A run without a landed step failed; one with any failure, problem or record held back is partial.
_CLOSE = """
with steps as (
    select
        count(*) filter (where status in ('failed', 'stopped')) as failed,
        count(*) filter (where status in ('completed', 'planned')) as landed,
        count(*) filter (where jsonb_array_length(coalesce(facts -> 'problems', '[]')) > 0) as problems,
        coalesce(sum((counts ->> 'read')::int), 0) as read,
        coalesce(sum((counts ->> 'inserted')::int) filter (where status = 'completed'), 0) as inserted,
        coalesce(sum((counts ->> 'updated')::int) filter (where status = 'completed'), 0) as updated,
        coalesce(sum((counts ->> 'rejected')::int + (counts ->> 'parked')::int), 0) as held_back,
        coalesce(sum((facts ->> 'api_calls')::int), 0) as calls
    from sync.step
    where run_id = %(run)s
)
update sync_history h set
    status = case
        when steps.landed = 0 and (%(failed)s or steps.failed > 0) then 'failed'
        when %(failed)s or steps.failed > 0 or steps.problems > 0 or steps.held_back > 0
            then 'partial_success'
        else 'completed'
    end,
    items_processed = steps.read,
    items_created = steps.inserted,
    items_updated = steps.updated,
    items_failed = steps.held_back,
    duration_ms = coalesce(
        h.duration_ms, (extract(epoch from clock_timestamp() - h.created_at) * 1000)::int
    ),
    metadata = h.metadata || jsonb_build_object('api_calls', steps.calls)
from steps
where h.id = %(run)s
returning h.status
"""


def annotate(connection: Connection, run_id: UUID, facts: Mapping[str, Any]) -> None:
    """Add facts to the metadata of a run's history row."""
    connection.execute(
        "update sync_history set metadata = metadata || %s where id = %s",
        [Jsonb(facts, dumps=payload_text), run_id],
    )


def annotate_nested(
    connection: Connection, run_id: UUID, name: str, facts: Mapping[str, Any]
) -> None:
    """Add facts to one object within the metadata, in which other steps of the run add theirs."""
    connection.execute(
        """
        update sync_history
        set metadata = jsonb_set(
            metadata, array[%(name)s::text], coalesce(metadata -> %(name)s::text, '{}') || %(facts)s
        )
        where id = %(run)s
        """,
        {"name": name, "facts": Jsonb(facts), "run": run_id},
    )


def history_row(connection: Connection, run_id: UUID) -> HistoryRow | None:
    """A run's row in the history; None when it was never entered."""
    row = connection.execute(
        "select status, coalesce(duration_ms, 0), metadata from sync_history where id = %s",
        [run_id],
    ).fetchone()
    return HistoryRow(*row) if row else None


def find(connection: Connection, prefix: str) -> list[UUID]:
    """Runs whose id begins with a prefix; at most two, which is enough to see that it is ambiguous."""
    rows = connection.execute(
        "select id from sync_history where starts_with(id::text, %s) limit 2", [prefix]
    )
    return [run_id for (run_id,) in rows]


def count(connection: Connection) -> int:
    """How many runs the history has."""
    return scalar(connection, "select count(*) from sync_history")


def systems(connection: Connection, run_id: UUID) -> set[str]:
    """Names of the systems that a run worked on."""
    rows = connection.execute(
        """
        select system from sync.step where run_id = %(run)s
        union
        select system from sync.change where run_id = %(run)s
        """,
        {"run": run_id},
    )
    return {name for (name,) in rows}


def merged_entities(connection: Connection, run_id: UUID) -> set[str]:
    """Names of the entities that a run has merged so far."""
    rows = connection.execute(
        """
        select entity
        from sync.step
        where run_id = %s and action = 'merge' and status = 'completed'
        """,
        [run_id],
    )
    return {name for (name,) in rows}


def moved_keys(
    connection: Connection, system: System, run_id: UUID
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Keys of the base rows that a run moved, and of the records that it rejected, by entity.

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
        """
        select entity, (select string_agg(value, ',') from jsonb_each_text(key))
        from sync.rejected
        where system = %s and run_id = %s and key is not null
        """,
        [system.name, run_id],
    )
    for name, key in rows:
        rejected.setdefault(name, set()).add(key)
    return moved, rejected
