"""Plans that were not applied: of dry runs, and of runs that the guard stopped."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.preview import FieldChange
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection

Verdict = Literal["planned", "stopped"]


def keep(
    connection: Connection,
    run_id: UUID,
    entity: Entity,
    partition: str,
    *,
    digest: str,
    verdict: Verdict,
    counts: Counts,
    changes: Iterable[FieldChange],
) -> None:
    """Keep a plan for a person to read and approve; a later one of the same run replaces it."""
    rows = [[c.key, c.state, c.column, c.old, c.new] for c in changes]
    connection.execute(
        """
        insert into sync.plan (digest, run_id, system, entity, part, verdict, counts, rows)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (run_id, entity, part) do update set
            digest = excluded.digest,
            verdict = excluded.verdict,
            counts = excluded.counts,
            rows = excluded.rows,
            created_at = now()
        """,
        [
            digest,
            run_id,
            entity.system,
            entity.name,
            partition,
            verdict,
            Jsonb(counts.as_dict()),
            Jsonb(rows),
        ],
    )


def changes(connection: Connection, run_id: UUID) -> dict[str, list[list[str]]]:
    """The field changes that a run planned, by entity or by entity and partition."""
    rows = connection.execute(
        """
        select rtrim(entity || ' ' || part), rows
        from sync.plan
        where run_id = %s
        order by 1
        """,
        [run_id],
    )
    return dict(rows.fetchall())
