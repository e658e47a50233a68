"""Records that were not merged: rejected ones with their reason, parked ones with the parent they wait for.

Neither is ever dropped. A record of the same key that is merged clears a rejection; a parked record is staged
again by the first run that finds its parent.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.merge.convert import Rejection, payload, record_fingerprint
from sync_pipeline.merge.plan import lacks_parent
from sync_pipeline.merge.relations import Relations, ident
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.catalog import ColumnType
from sync_pipeline.postgres.connect import Connection


def reject(
    connection: Connection, rel: Relations, run_id: UUID, rejections: Sequence[Rejection]
) -> None:
    """Keep rejected records with their reasons; the same record again updates its entry."""
    if not rejections:
        return
    statement = rel.bind(run=run_id).compose("""
        insert into sync.rejected as x
            (system, entity, key, fingerprint, reason, "constraint", payload, modified, run_id)
        -- ON CONFLICT may touch an entry only once: of several records of one key, keep the newest.
        select distinct on (print)
            {system}, {entity}, found.key, print, reason, broken, record, moment, {run}
        from (
            select
                u.*, s._modified as moment, s._seq,
                case when s._seq is not null then {key_json(s)} end as key,
                -- A record without a usable key is identified by its content.
                case when s._seq is not null then md5(({key_json(s)})::text) else u.own end as print
            from unnest(
                %(seq)s::bigint[], %(own)s::text[], %(reason)s::text[], %(broken)s::text[],
                %(record)s::jsonb[]
            ) as u(seq, own, reason, broken, record)
            left join {seen} s on s._seq = u.seq
        ) found
        order by print, moment desc nulls last, _seq desc
        on conflict (system, entity, fingerprint) do update set
            reason = excluded.reason, "constraint" = excluded."constraint", payload = excluded.payload,
            run_id = excluded.run_id, modified = excluded.modified, last_seen = now()
        -- Records may arrive in any order: an older version neither replaces nor clears a newer one's entry.
        where coalesce(excluded.modified >= x.modified, true)
    """)
    parameters = {
        "seq": [r.seq for r in rejections],
        "own": [record_fingerprint(r.record) for r in rejections],
        "reason": [r.reason for r in rejections],
        "broken": [r.constraint for r in rejections],
        "record": [Jsonb(payload(r.record)) for r in rejections],
    }
    connection.execute(statement, parameters)


def clear(connection: Connection, rel: Relations) -> None:
    """Delete entries of rejected and parked records whose key has now been merged."""
    # A row that was staged again because of a lookup is no record of the source.
    delivered = sql.SQL("true")
    if any(rel.entity.lookups):
        delivered = rel.compose("not exists (select from {moved} m where m._next = s._seq)")
    for table in ("rejected", "parked"):
        rel = rel.bind(table=ident("sync", table), delivered=delivered)
        any_entry = rel.compose(
            "select from {table} where system = {system} and entity = {entity} limit 1"
        )
        if not connection.execute(any_entry).fetchall():
            continue
        connection.execute(
            rel.compose("""
                delete from {table} x
                using {seen} s
                where x.system = {system} and x.entity = {entity} and x.key = {key_json(s)}
                    and s._state is null
                    and coalesce(s._modified >= x.modified, true)
                    and {delivered}
                    and not exists (
                        select from {plan} p where p._seq = s._seq and p._state = 'parked'
                    )
                    -- A newer record of the key was rejected in this very run: the entry is its own.
                    and not exists (
                        select from {seen} r
                        where r._state = 'rejected' and {same_key(r, s)}
                            and case
                                when r._modified <> s._modified then r._modified > s._modified
                                else r._seq > s._seq
                            end
                    )
            """)
        )


def exclude_undelivered(
    connection: Connection, rel: Relations, released: int, partitions: Collection[str] | None = None
) -> int:
    """Exclude parked records that a complete scan of the source, or of partitions, no longer found.

    Call before repeated keys are resolved; the first `released` records are parked ones. Returns how many
    were excluded.
    """
    if not released:
        return 0
    statement = rel.bind(released=released, within=rel.within(partitions, "s")).compose("""
        update {seen} s
        set _state = 'undelivered'
        where s._seq < {released} and s._state is null and {within}
            and not exists (select from {seen} x where x._seq >= {released} and {same_key(x, s)})
    """)
    return connection.execute(statement).rowcount


def delete_undelivered(
    connection: Connection, rel: Relations, released: int, partitions: Collection[str] | None = None
) -> None:
    """Delete parked records that a complete scan of the source no longer found; see `exclude_undelivered`."""
    within = sql.SQL("true")
    if partitions is not None:
        within = sql.SQL("x.key ->> {} = any({}::text[])").format(
            sql.Literal(rel.entity.partition_by), sql.Literal(sorted(partitions))
        )
    connection.execute(
        rel.bind(within=within, released=released).compose("""
            delete from sync.parked x
            where x.system = {system} and x.entity = {entity} and {within}
                and not exists (
                    select from {seen} s where s._seq >= {released} and {key_json(s)} = x.key
                )
        """)
    )


def park(connection: Connection, rel: Relations, run_id: UUID) -> list[str]:
    """Keep the plan's parked rows, raw, with the parent of each; returns a few as text, for metadata."""
    partial = rel.entity.absent == "unknown"
    for column, link in ((f.column, link) for f, link in rel.entity.links if link.required):
        connection.execute(
            rel.bind(
                run=run_id,
                parent=" or ".join(link.parents),
                column=column,
                value=ident("p" if column in rel.entity.key else "r", column),
                record=sql.SQL("x.record || excluded.record" if partial else "excluded.record"),
            ).compose("""
                insert into sync.parked as x
                    (system, entity, key, fingerprint, parent, parent_column, parent_key,
                    record, modified, run_id)
                select
                    {system}, {entity}, {key_json(p)}, md5(({key_json(p)})::text), {parent}, {column},
                    {value}::text, r._raw, p._modified, {run}
                from {plan} p
                join {rows} r on r._seq = p._seq
                where p._parked_on = {column}
                on conflict (system, entity, fingerprint) do update set
                    parent = excluded.parent, parent_column = excluded.parent_column,
                    parent_key = excluded.parent_key, modified = excluded.modified, run_id = excluded.run_id,
                    -- A partial record adds to the one that waits; a complete one replaces it.
                    record = {record}
                where coalesce(excluded.modified >= x.modified, true)
            """)
        )
    found = rel.bind(run=run_id).compose("""
        select format('%s waits for %s %s', key, parent, parent_key)
        from sync.parked
        where system = {system} and entity = {entity} and run_id = {run}
        limit 5
    """)
    return [text for (text,) in connection.execute(found)]


def released(
    connection: Connection,
    rel: Relations,
    parents: Mapping[str, Entity],
    types: Mapping[str, ColumnType],
) -> Iterator[Mapping[str, Any]]:
    """Parked records whose parent has arrived; the run stages them again before the source's own.

    `types` are those of the target's columns.
    """
    required = [(f, link) for f, link in rel.entity.links if link.required]
    place = [rel.entity.system, rel.entity.name]
    parked = sql.SQL("""
        select x.record
        from sync.parked x
        where x.system = %s and x.entity = %s and {}
        order by x.id
    """)
    # Parked because of a link that is no longer declared, or no longer required: nothing to wait for.
    obsolete = parked.format(sql.SQL("x.parent_column <> all(%s)"))
    columns = [f.column for f, _ in required]
    for (record,) in connection.execute(obsolete, [*place, columns]).fetchall():
        yield record
    for f, link in required:
        # The text is cast to the link's own type: '1' and '1.0' are the same number.
        value = sql.SQL("x.parent_key::{}").format(sql.SQL(types[f.column].full))
        arrived = sql.SQL("x.parent_column = %s and not ({})").format(
            lacks_parent(value, (f, link), parents)
        )
        for (record,) in connection.execute(parked.format(arrived), [*place, f.column]).fetchall():
            yield record
