"""Partitioned entities: which partitions a read has proven complete, and the error column of failed ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from psycopg import sql

from sync_pipeline.merge.relations import AND, Relations, columns, ident, listed
from sync_pipeline.postgres.connect import Connection


def non_empty(
    connection: Connection, rel: Relations, partitions: Collection[str], released: int
) -> list[str]:
    """Of the partitions that were read to their end, those with at least one record.

    An empty listing is more often a fault than a fact, so it proves nothing missing.

    Args:
        connection: the one that staged.
        rel: the entity's tables.
        partitions: values of the entity's `partition_by`.
        released: how many records were staged before those of the source.
    """
    query = sql.SQL("select distinct s.{}::text from {} s where s._seq >= {} and {}").format(
        ident(rel.entity.partition_by),
        rel.seen,
        sql.Literal(released),
        rel.within(partitions, "s"),
    )
    return [partition for (partition,) in connection.execute(query)]


def write_errors(
    connection: Connection,
    rel: Relations,
    run_id: UUID,
    errors: Mapping[str, str],
    read: Collection[str],
) -> dict[str, int]:
    """Write each failed partition's error into its rows; clear errors that earlier runs left in the others.

    Rows of other owners or without a whole key are left alone. A row that holds the error already is not
    written.

    Args:
        connection: in the run's transaction, after the plan was applied.
        rel: the entity's tables.
        run_id: recorded with the before-images.
        errors: by partition that failed.
        read: partitions that were read to their end; rows that are no longer in them are cleared too.

    Returns:
        In how many rows an error was set, and in how many cleared.
    """
    if not rel.entity.partition_error:
        return {}
    cleared = connection.execute(_clear(rel, run_id, errors)).rowcount
    if read:
        cleared += connection.execute(_clear_rest(rel, run_id, read)).rowcount
    written = connection.execute(_set(rel, run_id, errors)).rowcount if errors else 0
    return {"errors_set": written, "errors_cleared": cleared}


def _set(rel: Relations, run_id: UUID, errors: Mapping[str, str]) -> sql.Composed:
    partition = rel.entity.field(rel.entity.partition_by)
    pairs = listed(
        sql.SQL("({}::{}, {})").format(
            sql.Literal(value),
            sql.SQL(partition.type.name),  # pyright: ignore[reportArgumentType]
            sql.Literal(text),
        )
        for value, text in sorted(errors.items())
    )
    chosen = sql.SQL(
        """
        select {key}, t.{error} as before, e.message as after
        from {target} t
        join (values {pairs}) e(partition, message) on t.{partition} = e.partition
        where {whole} and {ours} and t.{error} is distinct from e.message
        for update of t
        """
    ).format(
        key=columns(rel.entity.key, "t"),
        error=ident(rel.entity.partition_error),
        target=rel.target,
        pairs=pairs,
        partition=ident(partition.column),
        whole=_whole(rel),
        ours=rel.ours("t"),
    )
    return _write(rel, run_id, chosen, stamps=False)


def _clear(rel: Relations, run_id: UUID, errors: Mapping[str, str]) -> sql.Composed:
    chosen = sql.SQL(
        """
        select {key}, t.{error} as before, null as after
        from {target} t
        join {seen} s on {same}
        where s._state is null and {ours} and t.{error} is not null and not {failed}
        for update of t
        """
    ).format(
        key=columns(rel.entity.key, "t"),
        error=ident(rel.entity.partition_error),
        target=rel.target,
        seen=rel.seen,
        same=rel.same_key("t", "s"),
        ours=rel.ours("t"),
        failed=rel.within(errors, "t"),
    )
    return _write(rel, run_id, chosen, stamps=True)


def _clear_rest(rel: Relations, run_id: UUID, read: Collection[str]) -> sql.Composed:
    chosen = sql.SQL(
        """
        select {key}, t.{error} as before, null as after
        from {target} t
        where {within} and {whole} and {ours} and t.{error} is not null
        for update of t
        """
    ).format(
        key=columns(rel.entity.key, "t"),
        error=ident(rel.entity.partition_error),
        target=rel.target,
        within=rel.within(read, "t"),
        whole=_whole(rel),
        ours=rel.ours("t"),
    )
    return _write(rel, run_id, chosen, stamps=False)


def _whole(rel: Relations) -> sql.Composed:
    """The condition that a row has a whole key."""
    return AND.join(sql.SQL("t.{} is not null").format(ident(c)) for c in rel.entity.key)


def _write(rel: Relations, run_id: UUID, chosen: sql.Composed, *, stamps: bool) -> sql.Composed:
    """Write the error column of chosen rows, with before-images. A failed read is no sync: no stamps."""
    sets = [sql.SQL("{} = c.after").format(ident(rel.entity.partition_error))]
    if stamps:
        sets += [
            sql.SQL("{} = now()").format(ident(s.column))
            for s in rel.entity.stamps
            if s.value is None and not s.insert_only
        ]
    return sql.SQL(
        """
        -- materialized: rows are locked and read once, before any of them is written.
        with c as materialized ({chosen}),
        written as (
            update {target} t
            set {sets}
            from c
            where {same}
            returning {key} as key, c.before, c.after
        )
        insert into sync.change (run_id, system, entity, key, action, before, after)
        select
            {run}, {system}, {entity}, key, 'update',
            jsonb_build_object({name}, before),
            jsonb_build_object({name}, after)
        from written
        """
    ).format(
        chosen=chosen,
        target=rel.target,
        sets=listed(sets),
        same=rel.same_key("t", "c"),
        key=rel.key_json("t"),
        run=sql.Literal(run_id),
        system=sql.Literal(rel.entity.system),
        entity=sql.Literal(rel.entity.name),
        name=sql.Literal(rel.entity.partition_error),
    )
