"""Lists of runs, steps and of what waits for people: conflicts, rejected and parked records."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection, dicts, scalar

Row = dict[str, Any]
Waiting = Literal["conflicts", "rejected", "parked"]


def runs(connection: Connection, limit: int) -> list[Row]:
    """Recent runs, newest first."""
    query = """
        select id as run_id, sync_type, status, items_processed, items_created, items_updated,
            items_failed, duration_ms, metadata, created_at
        from sync_history
        order by created_at desc, id
        limit %s
    """
    return dicts(connection, query, [limit])


def steps(connection: Connection, run_id: UUID) -> list[Row]:
    """Steps of a run, in order."""
    query = """
        select system, entity, part, action, status, error, counts, facts, started_at, finished_at
        from sync.step
        where run_id = %s
        order by id
    """
    return dicts(connection, query, [run_id])


def waiting(
    connection: Connection,
    kind: Waiting,
    limit: int,
    entity: str | None = None,
    system: str | None = None,
) -> list[Row]:
    """What waits for people: conflicts and rejected records newest first, parked records oldest first."""
    names, condition, order = _WAITING[kind]
    query = sql.SQL("""
        select id, system, entity, key, {names}
        from {table}
        where {condition}
            and (%(entity)s::text is null or entity = %(entity)s)
            and (%(system)s::text is null or system = %(system)s)
        order by {order}
        limit %(limit)s
    """).format(
        names=sql.SQL(names),
        table=sql.Identifier("sync", "conflict" if kind == "conflicts" else kind),
        condition=sql.SQL(condition),
        order=sql.SQL(order),
    )
    return dicts(connection, query, {"entity": entity, "system": system, "limit": limit})


_WAITING: dict[Waiting, tuple[LiteralString, LiteralString, LiteralString]] = {
    "conflicts": (
        "kind, field, base, local, source, kept, run_id, created_at",
        "resolved_at is null",
        "id desc",
    ),
    "rejected": (
        'reason, "constraint", payload, run_id, first_seen, last_seen',
        "true",
        "last_seen desc, id",
    ),
    "parked": ("parent, parent_column, parent_key, run_id, parked_at", "true", "parked_at, id"),
}
"""Of each kind the columns, the condition and the order."""


# -- one row


def conflicts_of_row(connection: Connection, entity: Entity, key: Jsonb) -> list[Row]:
    """Unresolved conflicts of one row, oldest first."""
    query = """
        select id, kind, field, base, local, source, kept, run_id, created_at
        from sync.conflict
        where system = %s and entity = %s and key = %s and resolved_at is null
        order by id
    """
    return dicts(connection, query, [entity.system, entity.name, key])


def rejection_of_row(connection: Connection, entity: Entity, key: Jsonb) -> str | None:
    """Why the row's last record was rejected; None when it was not."""
    query = "select reason from sync.rejected where system = %s and entity = %s and key = %s"
    return scalar(connection, query, [entity.system, entity.name, key])


def writers_of_row(connection: Connection, entity: Entity, key: Jsonb) -> dict[str, str]:
    """The run that last wrote each field of a row, by column; without the insert, which has no image."""
    rows = connection.execute(
        """
        select distinct on (f.name) f.name, x.run_id::text
        from sync.change x, jsonb_object_keys(x.after) as f(name)
        where x.system = %s and x.entity = %s and x.key = %s
        order by f.name, x.id desc
        """,
        [entity.system, entity.name, key],
    )
    return dict(rows.fetchall())


# -- for checks


@dataclass(frozen=True)
class LastMerge:
    """The last merge of an entity that was entered into the history."""

    status: str
    counts: dict[str, int]
    finished_at: dt.datetime
    error: str | None
    run_began: dt.datetime

    @property
    def duration(self) -> dt.timedelta:
        """From the start of its run to its commit."""
        return self.finished_at - self.run_began


def last_merge(connection: Connection, entity: Entity) -> LastMerge | None:
    """The entity's last merge, whatever became of it; None before the first."""
    row = connection.execute(
        """
        select s.status, coalesce(s.counts, '{}'), s.finished_at, s.error,
            (select min(r.started_at) from sync.step r where r.run_id = s.run_id)
        from sync.step s
        where s.system = %s and s.entity = %s and s.action = 'merge'
        order by s.id desc
        limit 1
        """,
        [entity.system, entity.name],
    ).fetchone()
    return LastMerge(*row) if row else None


def open_conflicts(connection: Connection, entity: Entity, kind: str) -> tuple[int, list[str]]:
    """The number of unresolved conflicts of a kind, and the keys of some of them."""
    row: Any = connection.execute(
        """
        select count(*),
            (array_agg((select string_agg(value, ', ') from jsonb_each_text(key)) order by id))[:5]
        from sync.conflict
        where system = %s and entity = %s and kind = %s and resolved_at is null
        """,
        [entity.system, entity.name, kind],
    ).fetchone()
    return row[0], row[1] or []


def has_constraint_rejection(connection: Connection, system: str, column: str, value: str) -> bool:
    """Whether a constraint of the target rejected a record whose key has this value."""
    query = """
        select exists (
            select from sync.rejected
            where system = %s and "constraint" is not null and key ->> %s = %s
        )
    """
    return scalar(connection, query, [system, column, value])


@dataclass(frozen=True)
class LastCounts:
    """What the last completed merges counted, for the difference between source and table.

    Attributes:
        at_source: records, when they were last counted; None where the source reports no count.
        complete: whether that was in a read of everything.
        released: records that had been parked and were staged again beside the source's.
        duplicates: records that lost to another of the same key.
        held_back: records that were not accepted (parked, rejected, another owner's), while no other of
            their key has ever landed.
        undelivered: accepted records that were not delivered, which did not prove them missing.
    """

    at_source: int | None = None
    complete: bool = False
    released: int = 0
    duplicates: int = 0
    held_back: int = 0
    undelivered: int = 0


def last_counts(connection: Connection, entity: Entity) -> LastCounts:
    """Counts of the entity's last completed merge, and of its last one that read everything."""
    rows = connection.execute(_LAST_COUNTS, {"system": entity.system, "entity": entity.name})
    row = rows.fetchone()
    return LastCounts(*row) if row else LastCounts()


_LAST_COUNTS = """
with merge as not materialized (
    select *, coalesce((facts ->> 'complete_scan')::boolean, false) as complete
    from sync.step
    where system = %(system)s and entity = %(entity)s and action = 'merge' and status = 'completed'
),
last as (
    select * from merge order by id desc limit 1
),
last_complete as (
    select * from merge where complete order by id desc limit 1
)
select
    (last.facts ->> 'source_rows')::int,
    last.complete,
    coalesce((c.facts ->> 'released')::int, 0),
    coalesce((c.counts ->> 'duplicates')::int, 0),
    coalesce((c.facts ->> 'not_accepted')::int, 0) - coalesce((c.facts ->> 'held_back')::int, 0),
    coalesce((c.facts ->> 'undelivered')::int, 0)
from last
left join last_complete c on true
"""
