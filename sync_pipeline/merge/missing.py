"""Rows that a complete scan no longer found: marked in the base; kept, flagged or deleted on the target."""

from __future__ import annotations

from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.merge.apply import is_row_error
from sync_pipeline.merge.plan import missing_table
from sync_pipeline.merge.relations import AND, Relations, ident
from sync_pipeline.model.entity import Local
from sync_pipeline.postgres.connect import Connection


def mark_missing(connection: Connection, rel: Relations, run_id: UUID) -> None:
    """Mark the plan's missing rows in the base, and flag or delete them as the entity declares."""
    if rel.entity.missing == "flag":
        connection.execute(_flag(rel, run_id))
    elif rel.entity.missing == "delete":
        row = connection.execute(
            sql.SQL("select max(_seq) from {}").format(missing_table(rel))
        ).fetchone()
        _delete_range(connection, _delete(rel, run_id), 1, row[0] if row else 0)
        connection.execute(_conflict_kept(rel, run_id))
    connection.execute(
        sql.SQL("update {} b set _missing_since = now(), _run = {} from {} m where {}").format(
            rel.base, sql.Literal(run_id), missing_table(rel), rel.same_key("b", "m")
        )
    )


def _flag(rel: Relations, run_id: UUID) -> sql.Composed:
    flag = rel.entity.missing_flag
    assert flag
    return sql.SQL(
        """
        with written as (
            update {target} t
            set {flag} = true
            from {missing} m
            where {same} and {ours} and t.{flag} is distinct from true
            returning {key} as key
        )
        insert into sync.change (run_id, system, entity, key, action, before, after)
        select
            {run}, {system}, {entity}, w.key, 'update',
            -- The statement's snapshot: t is the row before the update.
            jsonb_build_object({name}, t.{flag}),
            jsonb_build_object({name}, true)
        from written w
        join {target} t on {key} = w.key
        """
    ).format(**_names(rel, run_id), flag=ident(flag), name=sql.Literal(flag))


def clear_returned(connection: Connection, rel: Relations, run_id: UUID) -> None:
    """Clear the missing mark of rows that reappeared. Call before the base is updated."""
    if rel.entity.missing == "delete":
        connection.execute(_resolve_returned(rel))
    if rel.entity.missing != "flag":
        return
    flag = rel.entity.missing_flag
    assert flag
    statement = sql.SQL(
        """
        with written as (
            update {target} t
            set {flag} = false
            from {seen} s
            join {base} b on {base_seen}
            where s._state is null
                and b._missing_since is not null
                and {same_seen}
                and {ours}
                and t.{flag}
            returning {key} as key
        )
        insert into sync.change (run_id, system, entity, key, action, before, after)
        select
            {run}, {system}, {entity}, key, 'update',
            jsonb_build_object({name}, true),
            jsonb_build_object({name}, false)
        from written
        """
    ).format(
        **_names(rel, run_id),
        flag=ident(flag),
        name=sql.Literal(flag),
        seen=rel.seen,
        base_seen=rel.same_key("b", "s"),
        same_seen=rel.same_key("t", "s"),
    )
    connection.execute(statement)


def _resolve_returned(rel: Relations) -> sql.Composed:
    """Close missing conflicts of rows that the source has again."""
    return sql.SQL(
        """
        update sync.conflict c
        set resolved_at = now(), resolution = 'overtaken'
        from {seen} s
        join {base} b on {same}
        where s._state is null
            and b._missing_since is not null
            and c.resolved_at is null
            and c.kind = 'missing'
            and c.system = {system}
            and c.entity = {entity}
            and c.key = {key}
        """
    ).format(
        seen=rel.seen,
        base=rel.base,
        same=rel.same_key("b", "s"),
        system=sql.Literal(rel.entity.system),
        entity=sql.Literal(rel.entity.name),
        key=rel.key_json("s"),
    )


def is_unedited(rel: Relations) -> sql.Composed:
    """Whether a row has no local edits: mapped fields as delivered, local ones null or at their defaults."""
    mapped = [
        sql.SQL("t.{c} is not distinct from b.{c}").format(c=ident(c)) for c in rel.value_columns
    ]
    ours = {rel.entity.missing_flag, rel.entity.owner.column if rel.entity.owner else None}
    locals_ = [c for c in rel.entity.columns if isinstance(c, Local) and c.column not in ours]
    # A default such as now() cannot be computed again. All columns that have one got the same value when the
    # row was inserted, and an edit changes at most one of them: compare them with each other.
    moments = [c.column for c in locals_ if c.default and c.default.endswith(")")]
    own = [
        sql.SQL("(t.{c} is null or t.{c} is not distinct from {d})").format(
            c=ident(c.column),
            d=ident("t", moments[0])
            if c.column in moments
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


def _delete(rel: Relations, run_id: UUID) -> sql.Composed:
    """Delete rows without local edits, keeping the whole row as its before-image."""
    return sql.SQL(
        """
        with deleted as (
            delete from {target} t
            using {missing} m, {base} b
            where {same}
                and {base_same}
                and {ours}
                and {unedited}
                and m._seq between %(low)s and %(high)s
            returning {key} as key, to_jsonb(t.*) as image
        ),
        -- With its base: should the source deliver the key again, the row is inserted, not deleted_locally.
        forgotten as (
            delete from {base} b using deleted where {base_key} = deleted.key
        )
        insert into sync.change (run_id, system, entity, key, action, before, after)
        select {run}, {system}, {entity}, key, 'delete', image, '{{}}'
        from deleted
        """
    ).format(**_names(rel, run_id), unedited=is_unedited(rel), base_key=rel.key_json("b"))


def _conflict_kept(rel: Relations, run_id: UUID) -> sql.Composed:
    """Conflicts for the missing rows that were not deleted: edited here, or referenced by other rows."""
    return sql.SQL(
        """
        insert into sync.conflict (system, entity, key, kind, base, local, kept, run_id)
        select {system}, {entity}, {key}, 'missing', to_jsonb(b.*), to_jsonb(t.*), 'local', {run}
        from {missing} m
        join {target} t on {same}
        join {base} b on {base_same}
        where {ours}
        """
    ).format(**_names(rel, run_id))


def _names(rel: Relations, run_id: UUID) -> dict[str, sql.Composable]:
    return {
        "target": rel.target,
        "base": rel.base,
        "missing": missing_table(rel),
        "same": rel.same_key("t", "m"),
        "base_same": rel.same_key("b", "m"),
        "ours": rel.ours("t"),
        "key": rel.key_json("t"),
        "run": sql.Literal(run_id),
        "system": sql.Literal(rel.entity.system),
        "entity": sql.Literal(rel.entity.name),
    }
