"""Duplicates: of several records of one key, the one that is merged."""

from psycopg import sql

from sync_pipeline.merge.relations import Relations, columns, ident, listed
from sync_pipeline.postgres.connect import Connection


def deduplicate(connection: Connection, rel: Relations, released: int = 0) -> int:
    """Keep one record of each key, and gather statistics for the planner. Rejected records do not count.

    The first `released` records are parked ones. Returns how many lost to another one of the same key.
    """
    # Without statistics of _wide and _state the planner expects a few rows where most qualify, and joins
    # them by nested loops.
    seen, timed = ("_seq", *rel.entity.key, "_wide", "_state"), bool(rel.entity.modified)
    for relation, analyzed in ((rel.seen, seen), (rel.rows, ("_seq",))):
        connection.execute(sql.SQL("analyze {} ({})").format(relation, columns(analyzed)))
    statement = rel.bind(
        parked=sql.SQL("" if timed else "s._seq < {},").format(released),
        newest=sql.SQL("s._modified desc nulls last," if timed else ""),
    ).compose("""
        with repeated as (
            select {keys} from {seen} where _state is null group by {keys} having count(*) > 1
        ),
        ranked as (
            select
                s._seq,
                row_number() over (
                    partition by {keys(s)}
                    order by
                        -- Where no time decides, a record delivered now wins over a parked one.
                        {parked}
                        -- The source's own record over its copy of another owner's, which would hide it.
                        s._elsewhere,
                        -- The newest.
                        {newest}
                        -- The one that the base holds: the row must not alternate from run to run.
                        s._wide,
                        -- The last to arrive.
                        s._seq desc
                ) as _place
            from {seen} s
            join repeated a on {same_key(a, s)}
            where s._state is null
        )
        update {seen} s
        set _state = 'duplicate'
        from ranked x
        where s._seq = x._seq and _place > 1
    """)
    return connection.execute(statement).rowcount


def examples(connection: Connection, rel: Relations, limit: int) -> list[str]:
    """Keys of some of the records that lost to another one, with how often they were delivered."""
    query = rel.bind(
        shown=listed(
            sql.SQL("coalesce({}::text, '∅')").format(ident("s", c)) for c in rel.entity.key
        ),
        limit=limit,
    ).compose("""
        select format('%s (%s times)', concat_ws(', ', {shown}), count(*))
        from {seen} s
        where exists (select from {seen} d where d._state = 'duplicate' and {same_key(d, s)})
        group by {keys(s)}
        order by count(*) desc, 1
        limit {limit}
    """)
    return [text for (text,) in connection.execute(query)]
