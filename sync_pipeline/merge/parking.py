"""Records that did not land: rejected ones with their reason, parked ones with the parent they wait for.

Neither is ever dropped. A good record of the same key clears a rejection; a parked record is staged again
by the first run that finds its parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.merge.convert import Rejection, payload, record_fingerprint
from sync_pipeline.merge.plan import parent_columns
from sync_pipeline.merge.relations import Relations, ident
from sync_pipeline.merge.stage import Connection
from sync_pipeline.model.entity import Entity


def reject(
    connection: Connection, rel: Relations, run_id: UUID, rejections: Sequence[Rejection]
) -> None:
    """Keep rejected records with their reasons; the same record again is the same entry."""
    statement = sql.SQL(
        'insert into sync.rejected as x (system, entity, key, fingerprint, reason, "constraint", payload,'
        " run_id) values (%(system)s, %(entity)s, (select {} from {} s where s._seq = %(seq)s),"
        " coalesce((select ({})::text from {} s where s._seq = %(seq)s), %(fingerprint)s), %(reason)s,"
        " %(constraint)s, %(payload)s, %(run)s)"
        " on conflict (system, entity, fingerprint) do update set reason = excluded.reason,"
        ' "constraint" = excluded."constraint", payload = excluded.payload, run_id = excluded.run_id,'
        " last_seen = now()"
    ).format(rel.key_json("s"), rel.seen, rel.key_json("s"), rel.seen)
    with connection.cursor() as cursor:
        cursor.executemany(
            statement,
            [
                {
                    "system": rel.entity.system,
                    "entity": rel.entity.name,
                    "seq": rejection.seq,
                    "fingerprint": record_fingerprint(rejection.record),
                    "reason": rejection.reason,
                    "constraint": rejection.constraint,
                    "payload": Jsonb(payload(rejection.record)),
                    "run": run_id,
                }
                for rejection in rejections
            ],
        )


def clear(connection: Connection, rel: Relations) -> None:
    """Forget rejections and parkings of records that have now been merged."""
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
                "delete from {} x using {} s where x.system = %s and x.entity = %s and s._state is null"
                " and x.key = {} and not exists"
                " (select from {} p where p._seq = s._seq and p._state = 'parked')"
            ).format(table, rel.seen, rel.key_json("s"), rel.plan),
            place,
        )


def park(connection: Connection, rel: Relations, run_id: UUID) -> list[str]:
    """Hold back the plan's parked rows, raw, with the parent that each waits for.

    Returns:
        A few of them in words, for the run's metadata.
    """
    links = {f.column: (f, link) for f, link in rel.entity.links if link.required}
    for column, (f, link) in links.items():
        alias = "p" if column in rel.entity.key else "r"
        connection.execute(
            sql.SQL(
                "insert into sync.parked as x (system, entity, key, parent, parent_column, parent_key,"
                " record, run_id) select {system}, {entity}, {key}, {parent}, {column}, {value}::text,"
                " r._raw, {run} from {plan} p join {rows} r on r._seq = p._seq where p._parked_on = {column}"
                " on conflict (system, entity, key) do update set parent = excluded.parent,"
                " parent_column = excluded.parent_column, parent_key = excluded.parent_key,"
                " record = excluded.record, run_id = excluded.run_id"
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
    for f, link in rel.entity.links:
        if not link.required:
            continue
        arrived = sql.SQL(" or ").join(
            sql.SQL("exists (select from {} pt where pt.{}::text = any({}))").format(
                Relations(parents[name]).target,
                ident(column),
                sql.SQL("x.parent_key::text[]" if f.type.is_list else "array[x.parent_key]"),
            )
            for name in link.parents
            for column in parent_columns(link, parents[name])
        )
        query = sql.SQL(
            "select x.record from sync.parked x where x.system = %s and x.entity = %s"
            " and x.parent_column = %s and ({}) order by x.id"
        ).format(arrived)
        place = [rel.entity.system, rel.entity.name, f.column]
        for (record,) in connection.execute(query, place).fetchall():
            yield record
