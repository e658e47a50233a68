"""Records that did not land: rejected ones with their reason, parked ones with the parent they wait for.

Neither is ever dropped. A good record of the same key clears a rejection; a parked record is staged again
by the first run that finds its parent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.merge.convert import Rejection, payload, record_fingerprint
from sync_pipeline.merge.plan import parent_columns
from sync_pipeline.merge.relations import Relations, ident
from sync_pipeline.merge.stage import column_types
from sync_pipeline.model.entity import Entity, Field, Link
from sync_pipeline.postgres.connect import Connection


def reject(
    connection: Connection, rel: Relations, run_id: UUID, rejections: Sequence[Rejection]
) -> None:
    """Keep rejected records with their reasons; the same record again is the same entry."""
    if not rejections:
        return
    statement = sql.SQL(
        'insert into sync.rejected as x (system, entity, key, fingerprint, reason, "constraint", payload,'
        " modified, run_id) select distinct on (print) {system}, {entity}, found.key, print, reason, broken,"
        " record, moment, {run} from (select u.*, s._modified as moment, s._seq,"
        " case when s._seq is not null then {key} end as key,"
        " case when s._seq is not null then md5(({key})::text) else u.own end as print"
        " from unnest(%(seq)s::bigint[], %(own)s::text[], %(reason)s::text[], %(broken)s::text[],"
        " %(record)s::jsonb[]) as u(seq, own, reason, broken, record)"
        " left join {seen} s on s._seq = u.seq) found order by print, moment desc nulls last, _seq desc"
        " on conflict (system, entity, fingerprint) do update set reason = excluded.reason,"
        ' "constraint" = excluded."constraint", payload = excluded.payload, run_id = excluded.run_id,'
        " modified = excluded.modified, last_seen = now() where {newer}"
    ).format(
        system=sql.Literal(rel.entity.system),
        entity=sql.Literal(rel.entity.name),
        run=sql.Literal(run_id),
        key=rel.key_json("s"),
        seen=rel.seen,
        newer=_NOT_OLDER.format(ident("excluded", "modified")),
    )
    parameters = {
        "seq": [r.seq for r in rejections],
        "own": [record_fingerprint(r.record) for r in rejections],
        "reason": [r.reason for r in rejections],
        "broken": [r.constraint for r in rejections],
        "record": [Jsonb(payload(r.record)) for r in rejections],
    }
    connection.execute(statement, parameters)


_NOT_OLDER = sql.SQL("coalesce({} >= x.modified, true)")
"""Records may arrive in any order: an older version neither replaces nor clears a newer one's entry."""


def clear(connection: Connection, rel: Relations) -> None:
    """Forget rejections and parkings of records that have now been merged.

    A row that was staged again for the sake of what is looked up says nothing of the source's record.
    """
    delivered = sql.SQL("true")
    if any(rel.entity.lookups):
        delivered = sql.SQL("not exists (select from {} m where m._next = s._seq)").format(
            rel.moved
        )
    for table in (sql.SQL("sync.rejected"), sql.SQL("sync.parked")):
        place = [rel.entity.system, rel.entity.name]
        held = sql.SQL("select exists (select from {} where system = %s and entity = %s)").format(
            table
        )
        row = connection.execute(held, place).fetchone()
        if not (row and row[0]):
            continue
        connection.execute(
            sql.SQL(
                "delete from {table} x using {seen} s where x.system = %s and x.entity = %s"
                " and s._state is null and x.key = {key} and {newer} and {delivered} and not exists"
                " (select from {plan} p where p._seq = s._seq and p._state = 'parked')"
                " and not exists (select from {seen} r where r._state = 'rejected' and {same} and"
                " case when r._modified <> s._modified then r._modified > s._modified"
                " else r._seq > s._seq end)"
            ).format(
                table=table,
                seen=rel.seen,
                key=rel.key_json("s"),
                newer=_NOT_OLDER.format(ident("s", "_modified")),
                delivered=delivered,
                plan=rel.plan,
                same=rel.same_key("r", "s"),
            ),
            place,
        )


def forget_undelivered(
    connection: Connection, rel: Relations, released: int, parts: Collection[str] | None = None
) -> None:
    """Forget parked records that a complete scan of the source no longer found.

    Args:
        connection: in the run's transaction.
        rel: the entity's tables.
        released: how many records were staged before those of the source.
        parts: those that were read, where it was not the whole.
    """
    of_these = sql.SQL("true")
    if parts is not None:
        of_these = sql.SQL("x.key ->> {} = any({}::text[])").format(
            sql.Literal(rel.entity.partition_by), sql.Literal(sorted(parts))
        )
    connection.execute(
        sql.SQL(
            "delete from sync.parked x where x.system = {} and x.entity = {} and {} and not exists"
            " (select from {} s where s._seq >= {} and {} = x.key)"
        ).format(
            sql.Literal(rel.entity.system),
            sql.Literal(rel.entity.name),
            of_these,
            rel.seen,
            sql.Literal(released),
            rel.key_json("s"),
        )
    )


def park(connection: Connection, rel: Relations, run_id: UUID) -> list[str]:
    """Hold back the plan's parked rows, raw, with the parent that each waits for.

    Returns:
        A few of them in words, for the run's metadata.
    """
    links = {f.column: (f, link) for f, link in rel.entity.links if link.required}
    partial = rel.entity.absent == "unknown"
    for column, (f, link) in links.items():
        alias = "p" if column in rel.entity.key else "r"
        connection.execute(
            sql.SQL(
                "insert into sync.parked as x (system, entity, key, fingerprint, parent, parent_column,"
                " parent_key, record, modified, run_id) select {system}, {entity}, {key}, md5(({key})::text),"
                " {parent}, {column}, {value}::text, r._raw, p._modified, {run} from {plan} p"
                " join {rows} r on r._seq = p._seq where p._parked_on = {column}"
                " on conflict (system, entity, fingerprint) do update set parent = excluded.parent,"
                " parent_column = excluded.parent_column, parent_key = excluded.parent_key,"
                " record = {record}, modified = excluded.modified, run_id = excluded.run_id"
                " where {newer}"
            ).format(
                system=sql.Literal(rel.entity.system),
                entity=sql.Literal(rel.entity.name),
                key=rel.key_json("p"),
                parent=sql.Literal(" or ".join(link.parents)),
                column=sql.Literal(f.column),
                value=ident(alias, column),
                run=sql.Literal(run_id),
                plan=rel.plan,
                rows=rel.rows,
                # A partial record adds to what waits already; a complete one takes its place.
                record=sql.SQL("x.record || excluded.record" if partial else "excluded.record"),
                newer=_NOT_OLDER.format(ident("excluded", "modified")),
            )
        )
    found = connection.execute(
        "select format('%%s waits for %%s %%s', key, parent, parent_key) from sync.parked"
        " where system = %s and entity = %s and run_id = %s limit 5",
        [rel.entity.system, rel.entity.name, run_id],
    )
    return [text for (text,) in found]


def released(
    connection: Connection, rel: Relations, parents: Mapping[str, Entity]
) -> Iterator[Mapping[str, Any]]:
    """Parked records whose parent has arrived; the run stages them again before the source's own."""
    types, _ = column_types(connection, rel)
    required = [(f, link) for f, link in rel.entity.links if link.required]
    place = [rel.entity.system, rel.entity.name]
    waiting = sql.SQL(
        "select x.record from sync.parked x where x.system = %s and x.entity = %s and {} order by x.id"
    )
    # A column that is no longer such a link holds nothing back.
    idle = waiting.format(sql.SQL("x.parent_column <> all(%s)"))
    for (record,) in connection.execute(idle, [*place, [f.column for f, _ in required]]).fetchall():
        yield record
    for f, link in required:
        here = sql.SQL("x.parent_column = %s and not ({})").format(
            _absent(f, link, parents, sql.SQL(types[f.column]))
        )
        for (record,) in connection.execute(waiting.format(here), [*place, f.column]).fetchall():
            yield record


def _absent(f: Field, link: Link, parents: Mapping[str, Entity], type_: sql.SQL) -> sql.Composed:
    """Whether one of the parents that a parked record names is still not there."""
    arrived = [
        sql.SQL("exists (select from {} pt where pt.{} = wanted.key)").format(
            Relations(parents[name]).target, ident(column)
        )
        for name in link.parents
        for column in parent_columns(link, parents[name])
    ]
    arrived += [
        sql.SQL("starts_with(wanted.key::text, {})").format(sql.Literal(start))
        for start in link.exempt
    ]
    # Back in the link's own type, or 1 would wait for ever for 1.0.
    given = sql.SQL("x.parent_key::{}").format(type_)
    each = sql.SQL("unnest({})" if f.type.is_list else "(select {})").format(given)
    return sql.SQL(
        "exists (select from {} as wanted(key) where wanted.key is not null and not ({}))"
    ).format(each, sql.SQL(" or ").join(arrived))
