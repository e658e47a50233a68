"""Resolve a conflict for one side, as a run of its own that `undo` can take back."""

from typing import Any, Literal
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.merge.apply import inserted
from sync_pipeline.merge.bookkeeping import resolutions, runs
from sync_pipeline.merge.preview import shortened
from sync_pipeline.merge.relations import Relations, ident, listed
from sync_pipeline.merge.session import atomically
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection, dicts

Row = dict[str, Any]
Side = Literal["source", "local"]
Write = Literal["inserted", "updated", "deleted"]


def resolve(
    connection: Connection, system: System, conflict_id: int, side: Side, *, run_id: UUID
) -> str:
    """Resolve a conflict for one side; what is overwritten is kept as a before-image of `run_id`.

    Returns:
        What was done, for people.

    Raises:
        LookupError: there is no such unresolved conflict, or its row has changed since.
    """
    rel = Relations(system[_unresolved(connection, system, conflict_id)["entity"]])

    def work() -> Write | None:
        # Read again: while this waited for the entity's lock, a run may have overtaken the conflict.
        conflict = _unresolved(connection, system, conflict_id)
        runs.open_run(connection, run_id, "resolve", conflict=conflict_id)
        write = _write_side(connection, rel, conflict, side, run_id)
        resolutions.mark_resolved(connection, conflict_id, side)
        return write

    write = atomically(connection, [rel.entity], work)
    runs.close_run(connection, run_id)
    return f"conflict {conflict_id} resolved for {side}; row {write or 'unchanged'}"


def _unresolved(connection: Connection, system: System, conflict_id: int) -> Row:
    conflict = resolutions.unresolved(connection, conflict_id)
    if conflict is None or conflict["system"] != system.name:
        raise LookupError(
            f"conflict {conflict_id} does not exist or is resolved; ask for those that are open"
        )
    return conflict


def _write_side(
    connection: Connection, rel: Relations, conflict: Row, side: Side, run_id: UUID
) -> Write | None:
    """Write the chosen side's values; None when there was nothing to write."""
    kept = "source" if conflict["kept"] == "source" else "local"
    if side == kept:
        return None  # the row may have moved on since, by a later run or an edit
    rel = rel.bind(run=run_id, conflict=conflict["id"], key=Jsonb(conflict["key"]))
    match conflict["kind"]:
        case "deleted":
            write, statement = "inserted", _insert_from_base(rel)
        case "repeated":
            return None  # the sync takes the row up again when its key is one row's
        case "missing":
            write, statement = "deleted", _delete(rel)
        case kind:
            if kind in {"field", "patch"}:
                fields = [conflict["field"]]
            else:
                fields = [c for c in conflict[side] or () if c in rel.value_columns]
            if not fields or not _still_in_conflict(connection, rel, conflict, fields, side):
                return None
            write, statement = "updated", _write_values(rel, fields, side)
    return write if connection.execute(statement).rowcount else None


def _still_in_conflict(
    connection: Connection, rel: Relations, conflict: Row, fields: list[str], side: Side
) -> bool:
    """Whether the row still holds the other side's values; False when it holds the chosen side's.

    Raises:
        LookupError: it holds neither: somebody has changed it since the conflict was recorded.
    """
    row = _target_row(connection, rel, conflict)
    if not row["ours"] and conflict["kind"] != "owner":
        raise LookupError(f"conflict {conflict['id']}: its row belongs to another owner by now")
    image, other = row["image"], "local" if side == "source" else "source"
    if conflict["field"] is None:
        chosen, expected = conflict[side] or {}, conflict[other] or {}
    else:
        chosen, expected = ({conflict["field"]: conflict[s]} for s in (side, other))
    if all(image.get(f) == chosen.get(f) for f in fields):
        return False
    changed = [f for f in fields if image.get(f) != expected.get(f)]
    if changed:
        raise LookupError(
            f"conflict {conflict['id']}: {', '.join(changed)} has changed since and now holds"
            f" {', '.join(shortened(image.get(f)) for f in changed)}; edit the row itself if it is to change"
        )
    return True


def _target_row(connection: Connection, rel: Relations, conflict: Row) -> Row:
    """The conflict's row: `image`, all of it as JSON, and `ours`, whether the sync may write it."""
    query = rel.compose("""
        select to_jsonb(t.*) as image, {ours(t)} as ours
        from {target} t
        where {key_json(t)} = %s
    """)
    rows = dicts(connection, query, [Jsonb(conflict["key"])])
    if not rows:
        raise LookupError(
            f"conflict {conflict['id']}: its row is no longer there; sync the entity again"
        )
    if len(rows) > 1:
        raise LookupError(
            f"conflict {conflict['id']}: {rel.entity.table} has {len(rows)} rows of this key; make them one"
            " first"
        )
    return rows[0]


def _write_values(rel: Relations, fields: list[str], side: Side) -> sql.Composed:
    """Write fields as the conflict recorded them; the replaced values are the before-image."""
    sets = listed(sql.SQL("{c} = v.{c}").format(c=ident(c)) for c in fields)
    return rel.bind(side=ident(side), sets=sets, fields=fields).compose("""
        with chosen as (
            select case when c.field is null then c.{side} else jsonb_build_object(c.field, c.{side}) end
                as image
            from sync.conflict c
            where c.id = {conflict}
        ),
        updated as (
            update {target} t set {sets}
            from chosen, jsonb_populate_record(null::{target}, chosen.image) v
            where {key_json(t)} = {key}
            returning chosen.image as after
        ),
        written as (
            select {key} as key,
                (select jsonb_object_agg(n, to_jsonb(t.*) -> n) from unnest({fields}::text[]) n) as before,
                (select jsonb_object_agg(n, after -> n) from unnest({fields}::text[]) n) as after
            from updated
            -- All parts of a statement share its snapshot: this reads the row as it was before the update.
            join {target} t on {key_json(t)} = {key}
        )
        {record(update)}
    """)


def _insert_from_base(rel: Relations) -> sql.Composed:
    """Insert a row that was deleted here, as the source last delivered it."""
    return rel.bind(**inserted(rel, "b", "b")).compose("""
        with written as (
            insert into {target} as t ({names})
            select {values}
            from {base} b
            where {key_json(b)} = {key}
                and not exists (select from {target} x where {key_json(x)} = {key})
            on conflict do nothing
            returning {key} as key, '{{}}'::jsonb as before, to_jsonb(t.*) as after
        )
        {record(insert)}
    """)


def _delete(rel: Relations) -> sql.Composed:
    """Delete a row with local edits, as the source did; the whole row is its before-image."""
    return rel.compose("""
        with written as (
            delete from {target} t
            where {key_json(t)} = {key} and {ours(t)}
            returning {key} as key, to_jsonb(t.*) as before, '{{}}'::jsonb as after
        ),
        -- Without a base the next record of this key is an insert.
        base_deleted as (
            delete from {base} b
            where {key_json(b)} = {key} and exists (select from written)
        )
        {record(delete)}
    """)
