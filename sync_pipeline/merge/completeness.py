"""Base rows that a full scan neither delivered nor proved missing: they reconcile source and table counts."""

from collections.abc import Collection
from typing import Any

from sync_pipeline.merge.relations import Relations
from sync_pipeline.postgres.connect import Connection


def leftovers(
    connection: Connection, rel: Relations, partitions: Collection[str] | None = None
) -> dict[str, int]:
    """Count base rows that no record of a complete read has confirmed.

    Args:
        connection: in the transaction of the merge.
        rel: the entity's tables.
        partitions: those that were read; None: all.

    Returns:
        `not_accepted`: records that were rejected, parked, another owner's, or of a repeated key;
        `held_back`: keys of which all records were so, while an earlier one had been merged;
        `undelivered`: no record had their key, and yet they are not marked missing.
    """
    # Set operations compare nulls as equal, which a key column may hold; a join would need more.
    query = rel.bind(within=rel.within(partitions, "b")).compose("""
        with live as (
            select {keys} from {base} b where _missing_since is null and {within}
        ),
        delivered as (
            select
                {keys(s)},
                s._state = 'rejected'
                    or p._state in ('parked', 'owned_elsewhere')
                    or (p._state = 'conflicted' and p._d is null) as held_back
            from {seen} s
            left join {plan} p using (_seq)
        )
        select
            (select count(*) from delivered where held_back),
            (
                select count(*)
                from (
                    select {keys} from live
                    intersect
                    select {keys} from delivered where held_back
                    except
                    select {keys} from delivered where held_back is not true
                ) x
            ),
            (select count(*) from (select {keys} from live except select {keys} from delivered) x)
    """)
    row: Any = connection.execute(query).fetchone()
    return {"not_accepted": row[0], "held_back": row[1], "undelivered": row[2]}
