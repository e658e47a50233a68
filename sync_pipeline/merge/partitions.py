"""Entities that are read in parts: what a read of some parts may conclude, and how failed ones are told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from psycopg import sql

from sync_pipeline.merge.relations import AND, Relations, columns, ident, listed
from sync_pipeline.postgres.connect import Connection


def non_empty(
    connection: Connection, rel: Relations, parts: Collection[str], released: int
) -> list[str]:
    """Of the parts that were read to their end, those that held anything.

    An empty listing is more often a fault than a fact.

    Args:
        connection: the one that staged.
        rel: the entity's tables.
        parts: values of the entity's `part`.
        released: how many records were staged before those of the source.
    """
    query = sql.SQL("select distinct s.{}::text from {} s where s._seq >= {} and {}").format(
        ident(rel.entity.partition_by),
        rel.seen,
        sql.Literal(released),
        rel.within(parts, "s"),
    )
    return [part for (part,) in connection.execute(query)]


def write_errors(
    connection: Connection,
    rel: Relations,
    run_id: UUID,
    errors: Mapping[str, str],
    read: Collection[str],
) -> dict[str, int]:
    """Tell each row of a part that failed why, and clear what earlier runs said of the others.

    Rows of others, without a whole key, are left alone. A row that says it already is not written.

    Args:
        connection: in the run's transaction, after the plan was applied.
        rel: the entity's tables.
        run_id: named in the before-images.
        errors: why parts failed, by part.
        read: parts that were read to their end; also rows that are no longer in them have nothing to tell.

    Returns:
        How many rows were told, and how many were cleared.
    """
    if not rel.entity.partition_error:
        return {}
    cleared = connection.execute(_clear(rel, run_id, errors)).rowcount
    if read:
        cleared += connection.execute(_clear_rest(rel, run_id, read)).rowcount
    told = connection.execute(_set(rel, run_id, errors)).rowcount if errors else 0
    return {"errors_set": told, "errors_cleared": cleared}


def _set(rel: Relations, run_id: UUID, errors: Mapping[str, str]) -> sql.Composed:
    part = rel.entity.field(rel.entity.partition_by)
    pairs = listed(
        sql.SQL("({}::{}, {})").format(
            sql.Literal(value),
            sql.SQL(part.type.name),  # pyright: ignore[reportArgumentType]
            sql.Literal(text),
        )
        for value, text in sorted(errors.items())
    )
    return _kept(
        rel,
        run_id,
        sql.SQL(
            "select {key}, t.{error} as before, e.said as after from {target} t"
            " join (values {pairs}) e(part, said) on t.{part} = e.part"
            " where {whole} and {ours} and t.{error} is distinct from e.said for update of t"
        ).format(
            key=columns(rel.entity.key, "t"),
            error=ident(rel.entity.partition_error),
            target=rel.target,
            pairs=pairs,
            part=ident(part.column),
            whole=_whole(rel),
            ours=rel.ours("t"),
        ),
        stamps=False,
    )


def _clear(rel: Relations, run_id: UUID, errors: Mapping[str, str]) -> sql.Composed:
    return _kept(
        rel,
        run_id,
        sql.SQL(
            "select {key}, t.{error} as before, null as after from {target} t join {seen} s on {same}"
            " where s._state is null and {ours} and t.{error} is not null and not {failed} for update of t"
        ).format(
            key=columns(rel.entity.key, "t"),
            error=ident(rel.entity.partition_error),
            target=rel.target,
            seen=rel.seen,
            same=rel.same_key("t", "s"),
            ours=rel.ours("t"),
            failed=rel.within(errors, "t"),
        ),
        stamps=True,
    )


def _clear_rest(rel: Relations, run_id: UUID, read: Collection[str]) -> sql.Composed:
    return _kept(
        rel,
        run_id,
        sql.SQL(
            "select {key}, t.{error} as before, null as after from {target} t"
            " where {within} and {whole} and {ours} and t.{error} is not null for update of t"
        ).format(
            key=columns(rel.entity.key, "t"),
            error=ident(rel.entity.partition_error),
            target=rel.target,
            within=rel.within(read, "t"),
            whole=_whole(rel),
            ours=rel.ours("t"),
        ),
        stamps=False,
    )


def _whole(rel: Relations) -> sql.Composed:
    """The condition that a row has a whole key."""
    return AND.join(sql.SQL("t.{} is not null").format(ident(c)) for c in rel.entity.key)


def _kept(rel: Relations, run_id: UUID, chosen: sql.Composed, *, stamps: bool) -> sql.Composed:
    """Write the error of chosen rows, with before-images. A failed read is no sync: it stamps nothing."""
    sets = [sql.SQL("{} = c.after").format(ident(rel.entity.partition_error))]
    if stamps:
        sets += [
            sql.SQL("{} = now()").format(ident(s.column))
            for s in rel.entity.stamps
            if s.value is None and not s.insert_only
        ]
    name = sql.Literal(rel.entity.partition_error)
    return sql.SQL(
        "with c as materialized ({chosen}),"
        " written as (update {target} t set {sets} from c where {same}"
        " returning {key} as key, c.before, c.after)"
        " insert into sync.change (run_id, system, entity, key, action, before, after)"
        " select {run}, {system}, {entity}, key, 'update', jsonb_build_object({name}, before),"
        " jsonb_build_object({name}, after) from written"
    ).format(
        chosen=chosen,
        target=rel.target,
        sets=listed(sets),
        same=rel.same_key("t", "c"),
        key=rel.key_json("t"),
        run=sql.Literal(run_id),
        system=sql.Literal(rel.entity.system),
        entity=sql.Literal(rel.entity.name),
        name=name,
    )
