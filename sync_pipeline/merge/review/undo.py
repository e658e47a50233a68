"""Take a run back: only fields that still hold what that run wrote; the rest is reported, not touched.

The base still holds what the source delivered, so an undone value is a local edit to the merge: the next
sync keeps it until the source changes again, and `force` re-asserts the source. An undo is a run with
before-images of its own, so it can be undone too.
"""

import datetime as dt
from dataclasses import dataclass, field
from typing import LiteralString
from uuid import UUID

from psycopg import sql

from sync_pipeline.merge.bookkeeping import resolutions, runs
from sync_pipeline.merge.missing import is_unedited
from sync_pipeline.merge.relations import Relations, columns, ident, listed
from sync_pipeline.merge.session import atomically
from sync_pipeline.model.system import System
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.connect import Connection


@dataclass
class Undone:
    """What undoing did to one entity."""

    restored: int = 0  # rows of which at least one field was put back
    deleted: int = 0  # rows that the run had inserted and nobody has touched since
    reinserted: int = 0  # rows that the run had deleted
    kept: int = 0  # rows that were left, wholly or in part, because they hold something newer
    examples: list[str] = field(default_factory=list)  # some of the kept ones


def undo(
    connection: Connection, system: System, run_id: UUID, *, undo_id: UUID
) -> dict[str, Undone]:
    """Take a run back from a system's tables, all in one transaction; the undo is a run too.

    Returns:
        What was done, by entity; entities that the run did not write are left out.

    Raises:
        EntityBusy: another run is syncing one of the entities.
    """
    started_at = dt.datetime.now(dt.UTC)

    def work() -> dict[str, Undone]:
        runs.open_run(connection, undo_id, "undo", undoes=str(run_id), system=system.name)
        results: dict[str, Undone] = {}
        accepted = resolutions.accepted_rows(connection, run_id)
        for entity in reversed(system.in_order()):
            key = accepted.get((entity.system, entity.name))
            rel = Relations(entity).bind(run=undo_id, undone=run_id, accepted=key)
            result = _undo_entity(connection, rel)
            if result != Undone():
                results[entity.name] = result
                facts = {"undoes": str(run_id), **vars(result)}
                step = runs.Step(
                    system.name, entity.name, "undo", "completed", started_at, facts=facts
                )
                runs.add_step(connection, undo_id, step)
        resolutions.reopen(connection, run_id)
        return results

    results = atomically(connection, system.entities, work)
    runs.close_run(connection, undo_id)
    return results


def _undo_entity(connection: Connection, rel: Relations) -> Undone:
    connection.execute(rel.compose(_GATHER))
    result = Undone()
    # Insert first: a row may have been updated and then deleted by the run, and its fields come after it.
    result.reinserted = connection.execute(_reinsert(connection, rel)).rowcount
    result.restored = connection.execute(_restore(rel)).rowcount
    result.deleted = connection.execute(_delete(rel)).rowcount
    kept = connection.execute(_kept(rel)).fetchall()
    result.kept = len(kept)
    result.examples = [text for (text,) in kept[:5]]
    connection.execute("drop table pg_temp.image")
    return result


# Fold the run's images of each row into one: `before` its first write, `after` its last.
_GATHER: LiteralString = """
    create temporary table image on commit drop as
    select x.key,
        max(x.action) as action,
        -- Of a name that is repeated, jsonb keeps the last value.
        jsonb_object_agg(f.name, x.before -> f.name order by x.id desc) as before,
        jsonb_object_agg(f.name, coalesce(x.after -> f.name, 'null') order by x.id) as after
    from sync.change x, jsonb_object_keys(x.before) as f(name)
    where x.run_id = {undone} and x.system = {system} and x.entity = {entity}
    group by x.key, x.action = 'delete'
"""


def _restorable(column: str) -> sql.Composed:
    """Whether a field was written by the run and still holds what it wrote."""
    return sql.SQL("""
        coalesce(x.before ? {name} and coalesce(to_jsonb(t.{column}), 'null') = x.after -> {name}, false)
    """).format(name=sql.Literal(column), column=ident(column))


def _written(rel: Relations) -> tuple[str, ...]:
    """Columns that a run may write on a row that exists."""
    marks = (rel.entity.missing_flag, rel.entity.partition_error)
    return (*rel.value_columns, *(column for column in marks if column))


def _restore(rel: Relations) -> sql.Composed:
    sets = listed(
        sql.SQL("{column} = case when {test} then was.{column} else t.{column} end").format(
            column=ident(c), test=_restorable(c)
        )
        for c in _written(rel)
    )
    any_field = sql.SQL(" or ").join(_restorable(c) for c in _written(rel))
    return rel.bind(fields=_restorable_names(rel), any_field=any_field, sets=sets).compose("""
        with restorable as materialized (
            select x.key, x.before, x.after, {fields} as fields
            from pg_temp.image x
            join {target} t on x.key = {key_json(t)}
            where x.action <> 'delete'
                -- Another owner's row only where a person let the run write it.
                and ({ours(t)} or x.key = {accepted}::jsonb)
                and {alone}
                and ({any_field})
        ),
        written as (
            update {target} t set {sets}
            from restorable x, jsonb_populate_record(null::{target}, x.before) was
            where x.key = {key_json(t)}
            returning x.key,
                (select jsonb_object_agg(n, x.after -> n) from unnest(x.fields) n) as before,
                (select jsonb_object_agg(n, x.before -> n) from unnest(x.fields) n) as after
        )
        {record(update)}
    """)


def _restorable_names(rel: Relations) -> sql.Composed:
    """The array of the columns of a row that can be restored."""
    return sql.SQL("array_remove(array[{}], null)").format(
        listed(
            sql.SQL("case when {} then {} end").format(_restorable(c), sql.Literal(c))
            for c in _written(rel)
        )
    )


def _reinsert(connection: Connection, rel: Relations) -> sql.Composed:
    """Insert rows that the run deleted, every column as it was."""
    table = catalog.read_table(connection, (rel.entity.schema, rel.entity.table))
    names = table.insertable if table else []
    return rel.bind(names=columns(names), values=columns(names, "was")).compose("""
        with written as (
            insert into {target} as t ({names}) overriding system value
            select {values}
            from pg_temp.image x, jsonb_populate_record(null::{target}, x.before) was
            where x.action = 'delete' and not exists (select from {target} t where x.key = {key_json(t)})
            returning {key_json(t)} as key, '{{}}'::jsonb as before, to_jsonb(t.*) as after
        )
        {record(insert)}
    """)


def _delete(rel: Relations) -> sql.Composed:
    """Delete the rows that the run inserted, unless a later run or anybody else has written them since."""
    return rel.bind(unedited=is_unedited(rel)).compose("""
        -- A merge's inserts are known by the base; they have no image.
        with merged as (
            delete from {target} t
            using {base} b
            where {same_key(t, b)}
                and b._inserted_by = {undone} and b._run = {undone}
                and {ours(t)} and {alone} and {unedited}
            returning {key_json(t)} as key, to_jsonb(t.*) as image
        ),
        -- Those of an undo or a resolution have one.
        reinserted as (
            delete from {target} t
            using sync.change x
            where x.run_id = {undone} and x.system = {system} and x.entity = {entity}
                and x.action = 'insert' and x.key = {key_json(t)}
                and {ours(t)} and {alone} and to_jsonb(t.*) = x.after
            returning {key_json(t)} as key, to_jsonb(t.*) as image
        ),
        written as (
            select key, image as before, '{{}}'::jsonb as after
            from (select * from merged union all select * from reinserted) x
        )
        {record(delete)}
    """)


def _kept(rel: Relations) -> sql.Composed:
    """Rows that still differ from how they were before the run, with what stands in the way."""
    return rel.compose("""
        select format('%s: %s holds something newer', x.key, string_agg(f.name, ', ' order by f.name))
        from pg_temp.image x
        join {target} t on x.key = {key_json(t)},
        jsonb_object_keys(x.before) f(name)
        where x.action <> 'delete' and coalesce(to_jsonb(t.*) -> f.name, 'null') <> x.before -> f.name
        group by x.key
        union all
        select format('%s: was inserted and has been edited since', {key_json(t)})
        from {target} t
        join {base} b on {same_key(t, b)}
        where b._inserted_by = {undone}
        union all
        select format('%s: was inserted and has been edited since', x.key)
        from sync.change x
        join {target} t on x.key = {key_json(t)}
        where x.run_id = {undone} and x.system = {system} and x.entity = {entity}
            and x.action = 'insert'
        union all
        select format('%s: was deleted and is there again', x.key)
        from pg_temp.image x
        join {target} t on x.key = {key_json(t)}
        where x.action = 'delete'
            and not exists (
                select from sync.change c
                where c.run_id = {run} and c.system = {system} and c.entity = {entity}
                    and c.action = 'insert' and c.key = x.key
            )
    """)
