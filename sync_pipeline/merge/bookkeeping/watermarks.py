"""How far each source was read: the watermark of a table, and the cursor of its source.

Both are written in the transaction of the rows, so neither can be ahead of them.
"""

import datetime as dt
from typing import Any

from psycopg.types.json import Jsonb

from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.bookkeeping.runs import storable_text
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection, scalar

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""The column's default, which stands for no watermark."""


def current(connection: Connection, entity: Entity) -> dt.datetime | None:
    """The highest source modification time that is known to be merged; None before the first run."""
    query = "select last_sync_timestamp from _sync_metadata where table_name = %s"
    moment = scalar(connection, query, [entity.table])
    return moment if moment and moment > EPOCH else None


def progress(connection: Connection, entity: Entity, partition: str = "") -> Progress:
    """How far committed runs have read an entity, or one partition of it."""
    query = "select state from sync.cursor where system = %s and entity = %s and part = %s"
    cursor = scalar(connection, query, [entity.system, entity.name, partition])
    return Progress(current(connection, entity), cursor)


def save_cursor(connection: Connection, entity: Entity, state: Any, partition: str = "") -> None:
    """Save the source's cursor; an unchanged one writes nothing."""
    connection.execute(
        """
        insert into sync.cursor as c (system, entity, state, part)
        values (%s, %s, %s, %s)
        on conflict (system, entity, part) do update set
            state = excluded.state,
            updated_at = now()
        where c.state <> excluded.state
        """,
        [entity.system, entity.name, Jsonb(state), partition],
    )


def advance(
    connection: Connection, entity: Entity, *, moment: dt.datetime | None, counts: Counts
) -> dt.datetime | None:
    """Record a successful merge; move the watermark forward, never back, and return it as it now stands."""
    watermark = scalar(
        connection,
        """
        insert into _sync_metadata as m (table_name, last_sync_timestamp, records_synced, sync_status)
        values (%s, coalesce(%s::timestamptz, %s), %s, 'success')
        on conflict (table_name) do update set
            last_sync_timestamp = greatest(m.last_sync_timestamp, excluded.last_sync_timestamp),
            records_synced = excluded.records_synced,
            sync_status = 'success',
            error_message = null,
            updated_at = now()
        returning last_sync_timestamp
        """,
        [entity.table, moment, EPOCH, counts.read],
    )
    return watermark if watermark > EPOCH else None


def mark_failed(connection: Connection, entity: Entity, error: str) -> None:
    """Record a failed run of a table; its watermark stays where it was."""
    connection.execute(
        """
        insert into _sync_metadata as m (table_name, sync_status, error_message)
        values (%s, 'failed', %s)
        on conflict (table_name) do update set
            sync_status = 'failed',
            error_message = excluded.error_message,
            updated_at = now()
        """,
        [entity.table, storable_text(error)],
    )
