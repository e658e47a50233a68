"""Rows that a complete scan no longer found: marked in the base; kept, flagged or deleted on the target."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.merge.apply import is_row_error, set_column
from sync_pipeline.merge.relations import AND, Relations, ident
from sync_pipeline.model.entity import Local
from sync_pipeline.postgres.connect import Connection, scalar


def mark_missing(connection: Connection, rel: Relations, run_id: UUID) -> None:
    """Mark the plan's missing rows in the base, and flag or delete them as the entity declares."""
    rel = rel.bind(run=run_id)
    if rel.entity.missing == "flag":
        connection.execute(_flag(rel))
    elif rel.entity.missing == "delete":
        last = scalar(connection, sql.SQL("select max(_seq) from {}").format(rel.missing))
        _delete_range(connection, _delete(rel), 1, last)
        connection.execute(_conflict_kept(rel))
    connection.execute(
        rel.compose("""
            update {base} b
            set _missing_since = now(), _run = {run}
            from {missing} m
            where {same_key(b, m)}
        """)
    )


def _flag(rel: Relations) -> sql.Composed:
    assert rel.entity.missing_flag
    chosen = rel.bind(flag=ident(rel.entity.missing_flag)).compose("""
        select {row(t)}, t.{flag} as before, true as after
        from {target} t
        join {missing} m on {same_key(t, m)}
        where {ours(t)} and t.{flag} is distinct from true
    """)
    return set_column(rel, rel.entity.missing_flag, chosen)


def clear_returned(connection: Connection, rel: Relations, run_id: UUID) -> None:
    """Clear the missing mark of rows that reappeared. Call before the base is updated."""
    if rel.entity.missing == "delete":
        connection.execute(_resolve_returned(rel))
    if rel.entity.missing == "flag":
        connection.execute(_unflag(rel.bind(run=run_id)))


def _unflag(rel: Relations) -> sql.Composed:
    assert rel.entity.missing_flag
    chosen = rel.bind(flag=ident(rel.entity.missing_flag)).compose("""
        select {row(t)}, true as before, false as after
        from {target} t
        join {seen} s on {same_key(t, s)}
        join {base} b on {same_key(b, s)}
        where s._state is null and b._missing_since is not null and {ours(t)} and t.{flag}
    """)
    return set_column(rel, rel.entity.missing_flag, chosen)


def _resolve_returned(rel: Relations) -> sql.Composed:
    """Close missing conflicts of rows that the source has again."""
    return rel.compose("""
        update sync.conflict c
        set resolved_at = now(), resolution = 'overtaken'
        from {seen} s
        join {base} b on {same_key(b, s)}
        where s._state is null and b._missing_since is not null
            and c.resolved_at is null and c.kind = 'missing'
            and c.system = {system} and c.entity = {entity} and c.key = {key_json(s)}
    """)


def is_unedited(rel: Relations) -> sql.Composed:
    """Whether a row has no local edits: mapped fields as delivered, local ones null or at their defaults."""
    mapped = [
        sql.SQL("t.{c} is not distinct from b.{c}").format(c=ident(c)) for c in rel.value_columns
    ]
    ours = {rel.entity.missing_flag, rel.entity.owner.column if rel.entity.owner else None}
    locals_ = [c for c in rel.entity.columns if isinstance(c, Local) and c.column not in ours]
    # A default such as now() cannot be computed again. All columns that have one got the same value when the
    # row was inserted, and an edit changes at most one of them: compare them with each other.
    volatile = [c.column for c in locals_ if c.default and c.default.endswith(")")]
    own = [
        sql.SQL("(t.{c} is null or t.{c} is not distinct from {d})").format(
            c=ident(c.column),
            d=ident("t", volatile[0])
            if c.column in volatile
            else sql.SQL(c.default)  # pyright: ignore[reportArgumentType]
            if c.default
            else sql.SQL("null"),
        )
        for c in locals_
    ]
    # The default of a column that the entity does not declare is unknown: any value counts as an edit.
    undeclared = sql.SQL(
        "not exists (select from jsonb_each(to_jsonb(t.*) - {}::text[]) x where x.value <> 'null')"
    ).format(sql.Literal([c.column for c in rel.entity.columns]))
    return AND.join([*mapped, *own, undeclared])


def _delete_range(connection: Connection, statement: sql.Composed, low: int, high: int) -> None:
    """Delete a range of the missing rows; on a row's error halve it, and keep the rows that still fail."""
    try:
        with connection.transaction():
            connection.execute(statement, {"low": low, "high": high})
            return
    except psycopg.DatabaseError as error:
        if not is_row_error(error):
            raise
    if low < high:
        middle = (low + high) // 2
        _delete_range(connection, statement, low, middle)
        _delete_range(connection, statement, middle + 1, high)


def _delete(rel: Relations) -> sql.Composed:
    """Delete rows without local edits, keeping the whole row as its before-image."""
    return rel.bind(unedited=is_unedited(rel)).compose("""
        with written as (
            delete from {target} t
            using {missing} m, {base} b
            where {same_key(t, m)} and {same_key(b, m)} and {ours(t)} and {unedited}
                and m._seq between %(low)s and %(high)s
            returning {key_json(t)} as key, to_jsonb(t.*) as before, '{{}}'::jsonb as after
        ),
        -- With its base: should the source deliver the key again, the row is inserted, not deleted_locally.
        forgotten as (
            delete from {base} b using written where {key_json(b)} = written.key
        )
        {record(delete)}
    """)


def _conflict_kept(rel: Relations) -> sql.Composed:
    """Conflicts for the missing rows that were not deleted: edited here, or referenced by other rows."""
    return rel.compose("""
        insert into sync.conflict (system, entity, key, kind, base, local, kept, run_id)
        select {system}, {entity}, {key_json(t)}, 'missing', to_jsonb(b.*), to_jsonb(t.*), 'local', {run}
        from {missing} m
        join {target} t on {same_key(t, m)}
        join {base} b on {same_key(b, m)}
        where {ours(t)}
    """)


def leftovers(
    connection: Connection, rel: Relations, partitions: Collection[str] | None
) -> dict[str, int]:
    """Count what a complete read neither confirmed nor proved missing, to reconcile source and table counts.

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
