"""Partitioned entities: which partitions a read has proven complete, and the error column of failed ones."""

from collections.abc import Collection, Mapping
from uuid import UUID

from psycopg import sql

from sync_pipeline.merge.apply import set_column
from sync_pipeline.merge.relations import AND, Relations, ident, listed
from sync_pipeline.postgres.connect import Connection


def non_empty(
    connection: Connection, rel: Relations, partitions: Collection[str], released: int
) -> list[str]:
    """Of the partitions that were read to their end, those with at least one record.

    An empty listing is more often a fault than a fact, so it proves nothing missing. The first `released`
    records are not the source's.
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

    Call after the plan was applied. In partitions that were read to their end, rows that are no longer at the
    source are cleared too. Rows of other owners or without a whole key are left alone.

    Returns:
        In how many rows an error was set, and in how many cleared.
    """
    if not rel.entity.partition_error:
        return {}
    whole = AND.join(sql.SQL("t.{} is not null").format(ident(c)) for c in rel.entity.key)
    rel = rel.bind(run=run_id, error=ident(rel.entity.partition_error), whole=whole)
    cleared = connection.execute(_clear(rel, errors)).rowcount
    if read:
        cleared += connection.execute(_clear_rest(rel, read)).rowcount
    written = connection.execute(_set(rel, errors)).rowcount if errors else 0
    return {"errors_set": written, "errors_cleared": cleared}


def _set(rel: Relations, errors: Mapping[str, str]) -> sql.Composed:
    partition = rel.entity.field(rel.entity.partition_by)
    pairs = listed(
        sql.SQL("({}::{}, {})").format(
            sql.Literal(value),
            sql.SQL(partition.type.name),  # pyright: ignore[reportArgumentType]
            sql.Literal(text),
        )
        for value, text in sorted(errors.items())
    )
    chosen = rel.bind(pairs=pairs, partition=ident(partition.column)).compose("""
        select {row(t)}, t.{error} as before, e.message as after
        from {target} t
        join (values {pairs}) e(partition, message) on t.{partition} = e.partition
        where {whole} and {ours(t)} and t.{error} is distinct from e.message
    """)
    return set_column(rel, rel.entity.partition_error, chosen)


def _clear(rel: Relations, errors: Mapping[str, str]) -> sql.Composed:
    chosen = rel.bind(failed=rel.within(errors, "t")).compose("""
        select {row(t)}, t.{error} as before, null as after
        from {target} t
        join {seen} s on {same_key(t, s)}
        where s._state is null and {ours(t)} and t.{error} is not null and not {failed}
    """)
    # Rows that the run read are synced; a failed read is no sync, and sets no stamps.
    stamps = [
        sql.SQL("{} = now()").format(ident(s.column))
        for s in rel.entity.stamps
        if s.value is None and not s.insert_only
    ]
    return set_column(rel, rel.entity.partition_error, chosen, stamps)


def _clear_rest(rel: Relations, read: Collection[str]) -> sql.Composed:
    chosen = rel.bind(within=rel.within(read, "t")).compose("""
        select {row(t)}, t.{error} as before, null as after
        from {target} t
        where {within} and {whole} and {ours(t)} and t.{error} is not null
    """)
    return set_column(rel, rel.entity.partition_error, chosen)
