"""What a read of everything leaves in the base beside what it has delivered, to account for both counts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from psycopg import sql

from sync_pipeline.merge.relations import Relations, columns
from sync_pipeline.postgres.connect import Connection


def leftovers(
    connection: Connection, rel: Relations, parts: Collection[str] | None = None
) -> dict[str, int]:
    """Rows of the base that no record of a complete read has confirmed, in the transaction of its merge.

    Args:
        connection: in that transaction.
        rel: the entity's tables.
        parts: those that were read, where it was not the whole.

    Returns:
        `not_accepted`: records that were rejected, parked, another owner's, or of a repeated key;
        `held_back`: keys of which all records were so, while an earlier one had landed;
        `undelivered`: no record had their key, and yet they are not concluded to be missing.
    """
    # With set operations, to which null is a value like any other, as it may be in a key.
    query = sql.SQL(
        "with live as (select {keys} from {base} b where _missing_since is null and {within}),"
        " delivered as (select {of_seen}, s._state = 'rejected' or p._state in ('parked', 'owned_elsewhere')"
        " or (p._state = 'conflicted' and p._d is null) as back"
        " from {seen} s left join {plan} p using (_seq))"
        " select (select count(*) from delivered where back),"
        " (select count(*) from (select {keys} from live intersect select {keys} from delivered where back"
        " except select {keys} from delivered where back is not true) x),"
        " (select count(*) from (select {keys} from live except select {keys} from delivered) x)"
    ).format(
        keys=columns(rel.entity.key),
        base=rel.base,
        of_seen=columns(rel.entity.key, "s"),
        seen=rel.seen,
        plan=rel.plan,
        within=rel.within(parts, "b"),
    )
    row: Any = connection.execute(query).fetchone()
    return {"not_accepted": row[0], "held_back": row[1], "undelivered": row[2]}
