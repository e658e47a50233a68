"""Conflicts by number, and what people decided of them."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from sync_pipeline.postgres.connect import Connection, dicts


def unresolved(connection: Connection, conflict_id: int) -> dict[str, Any] | None:
    """An unresolved conflict; None when there is none of this number, or it is resolved."""
    query = "select * from sync.conflict where id = %s and resolved_at is null"
    return next(iter(dicts(connection, query, [conflict_id])), None)


def mark_resolved(connection: Connection, conflict_id: int, side: str) -> None:
    """Record that a person resolved a conflict for one side."""
    connection.execute(
        "update sync.conflict set resolved_at = now(), resolution = %s where id = %s",
        [side, conflict_id],
    )


def reopen(connection: Connection, run_id: UUID) -> None:
    """Undoing a resolution reopens its conflict, unless the sync has recorded a newer one since."""
    connection.execute(
        """
        update sync.conflict c set
            resolved_at = null,
            resolution = null
        from sync_history h
        where h.id = %s and h.sync_type = 'resolve'
            and c.id = (h.metadata ->> 'conflict')::bigint
            and c.resolution in ('source', 'local')
            and not exists (
                select from sync.conflict newer
                where newer.id > c.id and newer.system = c.system and newer.entity = c.entity
                    and newer.key = c.key and newer.kind = c.kind
                    and newer.field is not distinct from c.field
            )
        """,
        [run_id],
    )


def accepted_rows(connection: Connection, run_id: UUID) -> dict[tuple[str, str], Jsonb]:
    """The key of another owner's row that a person let this run write, by system and entity.

    Nothing else writes such a row. Undoing the resolution, and undoing that undo, may write it again.
    """
    rows = connection.execute(
        """
        with recursive origin as (
            select id, metadata from sync_history where id = %s
            union
            select h.id, h.metadata
            from sync_history h, origin o
            where h.id::text = o.metadata ->> 'undoes'
        )
        select c.system, c.entity, c.key
        from origin o
        join sync.conflict c on c.id = (o.metadata ->> 'conflict')::bigint
        where c.kind = 'owner'
        """,
        [run_id],
    )
    return {(system, entity): Jsonb(key) for system, entity, key in rows}
