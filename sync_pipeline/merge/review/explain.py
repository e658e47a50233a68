"""What people ask about the state of things: recent runs, one row, and what waits to be settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sync_pipeline.merge.bookkeeping import runs as history
from sync_pipeline.merge.preview import shortened
from sync_pipeline.merge.relations import Relations, columns, ident, listed
from sync_pipeline.merge.session import atomically
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection

Row = dict[str, Any]

_OF = sql.SQL("(%s::text is null or entity = %s::text) and (%s::text is null or system = %s::text)")


def _query(
    connection: Connection, statement: sql.SQL | sql.Composed, *parameters: Any
) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, parameters).fetchall()


def runs(connection: Connection, limit: int) -> list[Row]:
    """Recent runs, newest first."""
    return _query(
        connection,
        sql.SQL(
            "select id as run_id, sync_type, status, items_processed, items_created, items_updated,"
            " items_failed, duration_ms, metadata, created_at from sync_history"
            " order by created_at desc, id limit %s"
        ),
        limit,
    )


def steps(connection: Connection, run_id: UUID) -> list[Row]:
    """Steps of a run, in order."""
    return _query(
        connection,
        sql.SQL(
            "select system, entity, part, action, status, error, counts, facts, started_at, finished_at"
            " from sync.step where run_id = %s order by id"
        ),
        run_id,
    )


def conflicts(
    connection: Connection, limit: int, entity: str | None = None, system: str | None = None
) -> list[Row]:
    """Conflicts that nobody has resolved, newest first."""
    return _query(
        connection,
        sql.SQL(
            "select id, system, entity, key, kind, field, base, local, source, kept, run_id, created_at"
            " from sync.conflict where resolved_at is null and {} order by id desc limit %s"
        ).format(_OF),
        *(entity, entity, system, system),
        limit,
    )


def rejected(
    connection: Connection, limit: int, entity: str | None = None, system: str | None = None
) -> list[Row]:
    """Rejected records, newest first."""
    return _query(
        connection,
        sql.SQL(
            'select id, system, entity, key, reason, "constraint", payload, run_id, first_seen, last_seen'
            " from sync.rejected where {} order by last_seen desc, id limit %s"
        ).format(_OF),
        *(entity, entity, system, system),
        limit,
    )


def parked(
    connection: Connection, limit: int, entity: str | None = None, system: str | None = None
) -> list[Row]:
    """Parked records and the parents they wait for."""
    return _query(
        connection,
        sql.SQL(
            "select id, system, entity, key, parent, parent_column, parent_key, run_id, parked_at"
            " from sync.parked where {} order by parked_at, id limit %s"
        ).format(_OF),
        *(entity, entity, system, system),
        limit,
    )


@dataclass
class Explanation:
    """One row from all sides.

    Attributes:
        on_target: whether the row is there.
        fields: per mapped column `column`, `local`, `base`, `written_by` (a run, or None).
        marks: what the base says of the row: run, modification time, missing since.
        conflicts: unresolved ones.
        rejected: reason, when the last record was rejected.
    """

    on_target: bool
    in_base: bool
    fields: list[Row] = field(default_factory=list)
    marks: Row = field(default_factory=dict)
    conflicts: list[Row] = field(default_factory=list)
    rejected: str | None = None


def explain(connection: Connection, entity: Entity, key: tuple[str | None, ...]) -> Explanation:
    """One row: each field's local and base value, who wrote it, and what is disputed.

    Args:
        connection: to the target.
        entity: what the row is.
        key: its key, as text or None, one part per key column.
    """
    rel = Relations(entity)
    local = _one(connection, rel, rel.target, rel.mapped_columns, key)
    base = _one(connection, rel, rel.base, (*rel.mapped_columns, *_MARKS), key)
    key_json = Jsonb(
        {c: (local or base or {}).get(c, part) for c, part in zip(entity.key, key, strict=True)}
    )
    writers = _writers(connection, entity, key_json)
    inserted_by = (base or {}).get("_inserted_by")
    explanation = Explanation(local is not None, base is not None)
    explanation.marks = {name: (base or {}).get(name) for name in _MARKS}
    explanation.fields = [
        {
            "column": c,
            "local": (local or {}).get(c),
            "base": (base or {}).get(c),
            "written_by": writers.get(c) or (str(inserted_by) if inserted_by else None),
        }
        for c in rel.mapped_columns
    ]
    explanation.conflicts = _query(
        connection,
        sql.SQL(
            "select id, kind, field, base, local, source, kept, run_id, created_at from sync.conflict"
            " where system = %s and entity = %s and key = %s and resolved_at is null order by id"
        ),
        entity.system,
        entity.name,
        key_json,
    )
    reasons = _query(
        connection,
        sql.SQL("select reason from sync.rejected where system = %s and entity = %s and key = %s"),
        entity.system,
        entity.name,
        key_json,
    )
    explanation.rejected = reasons[0]["reason"] if reasons else None
    return explanation


_MARKS = ("_modified", "_run", "_missing_since", "_inserted_by", "_unknown")


def _one(
    connection: Connection,
    rel: Relations,
    relation: sql.Identifier,
    names: tuple[str, ...],
    key: tuple[str | None, ...],
) -> Row | None:
    tests = sql.SQL(" and ").join(
        sql.SQL("rtrim({}::text) is not distinct from %s").format(ident(c)) for c in rel.entity.key
    )
    shown = listed(sql.SQL("to_jsonb({c}) as {c}").format(c=ident(c)) for c in names)
    query = sql.SQL("select {} from {} where {} limit 1").format(shown, relation, tests)
    rows = _query(connection, query, *key)
    return rows[0] if rows else None


def _writers(connection: Connection, entity: Entity, key: Jsonb) -> dict[str, str]:
    rows = connection.execute(
        "select distinct on (f.name) f.name, x.run_id::text from sync.change x,"
        " jsonb_object_keys(x.after) as f(name) where x.system = %s and x.entity = %s and x.key = %s"
        " order by f.name, x.id desc",
        [entity.system, entity.name, key],
    )
    return dict(rows.fetchall())


Side = Literal["source", "local"]


def resolve(
    connection: Connection, system: System, conflict_id: int, side: Side, *, run_id: UUID
) -> str:
    """Settle a conflict for one side; what is overwritten is kept as a before-image of `run_id`.

    Returns:
        What was done, in words.

    Raises:
        LookupError: there is no such unresolved conflict.
    """
    rel = Relations(system[_unresolved(connection, system, conflict_id)["entity"]])

    def work() -> bool:
        # Read again: while we waited for the entity, a run may have overtaken it.
        conflict = _unresolved(connection, system, conflict_id)
        history.open_run(connection, run_id, "resolve", conflict=conflict_id)
        written = _write_side(connection, rel, conflict, side, run_id)
        connection.execute(
            "update sync.conflict set resolved_at = now(), resolution = %s where id = %s",
            [side, conflict_id],
        )
        return written

    written = atomically(connection, [rel.entity], work)
    history.close_run(connection, run_id)
    return f"conflict {conflict_id}: {side} it is; {'the row was written' if written else 'nothing to write'}"


def _unresolved(connection: Connection, system: System, conflict_id: int) -> Row:
    query = sql.SQL(
        "select * from sync.conflict where id = %s and system = %s and resolved_at is null"
    )
    found = _query(connection, query, conflict_id, system.name)
    if not found:
        raise LookupError(
            f"conflict {conflict_id} does not exist or is resolved; ask for those that are open"
        )
    return found[0]


def _write_side(
    connection: Connection, rel: Relations, conflict: Row, side: Side, run_id: UUID
) -> bool:
    """Write the chosen side's values, unless they are what was kept and may have moved on since."""
    if side == ("source" if conflict["kept"] == "source" else "local"):
        return False
    names: dict[str, Any] = {
        "conflict": conflict["id"],
        "key": Jsonb(conflict["key"]),
        "run": run_id,
        "system": rel.entity.system,
        "entity": rel.entity.name,
    }
    match conflict["kind"]:
        case "deleted":
            statement = _insert_from_base(rel)
        case "repeated":
            return False  # the sync takes the row up again when its key is one row's
        case "missing":
            statement = _delete(rel)
        case "field" | "patch":
            if not _still_disputed(connection, rel, conflict, [conflict["field"]], side):
                return False
            statement = _write_values(rel, [conflict["field"]], side)
        case _:
            fields = [c for c in conflict[side] or () if c in rel.value_columns]
            if not fields or not _still_disputed(connection, rel, conflict, fields, side):
                return False
            statement = _write_values(rel, fields, side)
    return connection.execute(statement, names).rowcount > 0


def _still_disputed(
    connection: Connection, rel: Relations, conflict: Row, fields: list[str], side: Side
) -> bool:
    """Whether the row still holds what the conflict was about; False when it holds the wanted already.

    Raises:
        LookupError: it holds something else by now, which nobody has decided against.
    """
    query = sql.SQL("select to_jsonb(t.*) as image, {} as ours from {} t where {} = %s").format(
        rel.ours("t"), rel.target, rel.key_json("t")
    )
    rows = _query(connection, query, Jsonb(conflict["key"]))
    if not rows:
        raise LookupError(
            f"conflict {conflict['id']}: its row is no longer there; sync the entity again"
        )
    if len(rows) > 1:
        raise LookupError(
            f"conflict {conflict['id']}: {rel.entity.table} has {len(rows)} rows of this key; make them one"
            " first"
        )
    image, other = rows[0]["image"], "local" if side == "source" else "source"
    if not rows[0]["ours"] and conflict["kind"] != "owner":
        raise LookupError(f"conflict {conflict['id']}: its row belongs to another owner by now")
    sides = {
        s: conflict[s] if conflict["field"] is None else {conflict["field"]: conflict[s]}
        for s in (side, other)
    }
    if all(image.get(f) == (sides[side] or {}).get(f) for f in fields):
        return False
    moved = [f for f in fields if image.get(f) != (sides[other] or {}).get(f)]
    if moved:
        raise LookupError(
            f"conflict {conflict['id']}: {', '.join(moved)} has changed since and now holds"
            f" {', '.join(shortened(image.get(f)) for f in moved)}; edit the row itself if it is to change"
        )
    return True


def _write_values(rel: Relations, fields: list[str], side: Side) -> sql.Composed:
    """Write fields as the conflict recorded them, and keep what they held."""
    return sql.SQL(
        "with wanted as (select case when c.field is null then c.{side}"
        " else jsonb_build_object(c.field, c.{side}) end as image from sync.conflict c"
        " where c.id = %(conflict)s),"
        " written as (update {target} t set {sets} from wanted,"
        " jsonb_populate_record(null::{target}, wanted.image) was where {key} = %(key)s"
        " returning wanted.image as after)"
        # Its parts share a snapshot: what is joined here is the row as it was before.
        " insert into sync.change (run_id, system, entity, key, action, before, after)"
        " select %(run)s, %(system)s, %(entity)s, %(key)s, 'update',"
        " (select jsonb_object_agg(n, to_jsonb(t.*) -> n) from unnest({fields}::text[]) n),"
        " (select jsonb_object_agg(n, after -> n) from unnest({fields}::text[]) n)"
        " from written join {target} t on {key} = %(key)s"
    ).format(
        side=ident(side),
        target=rel.target,
        key=rel.key_json("t"),
        sets=listed(sql.SQL("{c} = was.{c}").format(c=ident(c)) for c in fields),
        fields=sql.Literal(fields),
    )


def _insert_from_base(rel: Relations) -> sql.Composed:
    """Bring back a row that was deleted here, as the source last delivered it."""
    names = list(rel.mapped_columns)
    values: list[sql.Composable] = [columns(names, "b")]
    for stamp in rel.entity.stamps:
        names.append(stamp.column)
        copied = ident("b", stamp.value) if stamp.value else sql.SQL("null")
        values.append(sql.SQL("coalesce({}, now())").format(copied))
    owner = rel.entity.owner
    if owner:
        names.append(owner.column)
        values.append(sql.Literal(owner.mark))
    return sql.SQL(
        "with back as (insert into {target} as t ({names}) select {values} from {base} b"
        " where {base_key} = %(key)s and not exists (select from {target} x where {there} = %(key)s)"
        " on conflict do nothing returning to_jsonb(t.*) as image)"
        " insert into sync.change (run_id, system, entity, key, action, before, after)"
        " select %(run)s, %(system)s, %(entity)s, %(key)s, 'insert', '{{}}', image from back"
    ).format(
        target=rel.target,
        names=columns(names),
        values=listed(values),
        base=rel.base,
        base_key=rel.key_json("b"),
        there=rel.key_json("x"),
    )


def _delete(rel: Relations) -> sql.Composed:
    """Follow the source in deleting a row that has local edits; the whole row is its before-image."""
    return sql.SQL(
        "with gone as (delete from {target} t where {key} = %(key)s and {ours}"
        " returning to_jsonb(t.*) as image),"
        " forgotten as (delete from {base} b where {base_key} = %(key)s and exists (select from gone))"
        " insert into sync.change (run_id, system, entity, key, action, before, after)"
        " select %(run)s, %(system)s, %(entity)s, %(key)s, 'delete', image, '{{}}' from gone"
    ).format(
        target=rel.target,
        key=rel.key_json("t"),
        ours=rel.ours("t"),
        base=rel.base,
        base_key=rel.key_json("b"),
    )
