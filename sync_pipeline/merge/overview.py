"""What people ask about the state of things: recent runs, one row, and what waits to be settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sync_pipeline.merge import history
from sync_pipeline.merge.relations import Relations, columns, ident, listed
from sync_pipeline.merge.stage import Connection
from sync_pipeline.model.catalog import System
from sync_pipeline.model.entity import Entity

Row = dict[str, Any]


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
            "select system, entity, action, status, error, counts, facts, started_at, finished_at"
            " from sync.step where run_id = %s order by id"
        ),
        run_id,
    )


def conflicts(connection: Connection, limit: int, entity: str | None = None) -> list[Row]:
    """Conflicts that nobody has resolved, newest first."""
    return _query(
        connection,
        sql.SQL(
            "select id, system, entity, key, kind, field, base, local, source, kept, run_id, created_at"
            " from sync.conflict where resolved_at is null and (%s::text is null or entity = %s)"
            " order by id desc limit %s"
        ),
        entity,
        entity,
        limit,
    )


def rejected(connection: Connection, limit: int, entity: str | None = None) -> list[Row]:
    """Rejected records, newest first."""
    return _query(
        connection,
        sql.SQL(
            'select id, system, entity, key, reason, "constraint", payload, run_id, first_seen, last_seen'
            " from sync.rejected where %s::text is null or entity = %s order by last_seen desc, id limit %s"
        ),
        entity,
        entity,
        limit,
    )


def parked(connection: Connection, limit: int, entity: str | None = None) -> list[Row]:
    """Parked records and the parents they wait for."""
    return _query(
        connection,
        sql.SQL(
            "select id, system, entity, key, parent, parent_column, parent_key, run_id, parked_at"
            " from sync.parked where %s::text is null or entity = %s order by parked_at, id limit %s"
        ),
        entity,
        entity,
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


def explain(connection: Connection, entity: Entity, key: tuple[str, ...]) -> Explanation:
    """One row: each field's local and base value, who wrote it, and what is disputed.

    Args:
        connection: to the target.
        entity: what the row is.
        key: its key, as text, one part per key column.
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
    key: tuple[str, ...],
) -> Row | None:
    tests = sql.SQL(" and ").join(
        sql.SQL("rtrim({}::text) = %s").format(ident(c)) for c in rel.entity.key
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
    found = _query(
        connection,
        sql.SQL(
            "select * from sync.conflict where id = %s and system = %s and resolved_at is null"
        ),
        conflict_id,
        system.name,
    )
    if not found:
        raise LookupError(
            f"conflict {conflict_id} does not exist or is resolved; see: sync-pipeline conflicts"
        )
    conflict = found[0]
    entity = system[conflict["entity"]]
    wanted = conflict[side]
    if conflict["kind"] in {"field", "patch"}:
        wanted = {conflict["field"]: wanted}
    with connection.transaction():
        written = _write_side(connection, Relations(entity), conflict, wanted, run_id, side=side)
        connection.execute(
            "update sync.conflict set resolved_at = now(), resolution = %s where id = %s",
            [side, conflict_id],
        )
    return f"conflict {conflict_id}: {side} it is; {'the row was written' if written else 'nothing to write'}"


def _write_side(
    connection: Connection,
    rel: Relations,
    conflict: Row,
    wanted: Row | None,
    run_id: UUID,
    *,
    side: Side,
) -> bool:
    """Write the chosen side's values; an accepted source brings a locally deleted row back."""
    if wanted is None:
        return False
    history.open_run(connection, run_id, "resolve", conflict=conflict["id"])
    if conflict["kind"] == "deleted" and side == "source":
        return _insert_from_base(connection, rel, conflict)
    if conflict["kind"] == "missing":
        return False
    names = [c for c in wanted if c in rel.value_columns]
    statement = sql.SQL(
        "with old as materialized (select t.ctid as place, to_jsonb(t) as image from {target} t"
        " where {key} = %(key)s for update),"
        " written as (update {target} t set {sets} from old,"
        " jsonb_populate_record(null::{target}, %(wanted)s) was where t.ctid = old.place"
        " and ({differs}) returning old.image)"
        " insert into sync.change (run_id, system, entity, key, action, before, after)"
        " select %(run)s, {system}, {entity}, %(key)s, 'update',"
        " (select jsonb_object_agg(n, image -> n) from jsonb_object_keys(%(wanted)s) n), %(wanted)s"
        " from written"
    ).format(
        target=rel.target,
        key=rel.key_json("t"),
        sets=listed(sql.SQL("{c} = was.{c}").format(c=ident(c)) for c in names),
        differs=sql.SQL(" or ").join(
            sql.SQL("t.{c} is distinct from was.{c}").format(c=ident(c)) for c in names
        ),
        system=sql.Literal(rel.entity.system),
        entity=sql.Literal(rel.entity.name),
    )
    parameters = {"key": Jsonb(conflict["key"]), "wanted": Jsonb(wanted), "run": run_id}
    return connection.execute(statement, parameters).rowcount > 0


def _insert_from_base(connection: Connection, rel: Relations, conflict: Row) -> bool:
    names = list(rel.mapped_columns)
    values: list[sql.Composable] = [columns(names, "b")]
    owner = rel.entity.owner
    if owner:
        names.append(owner.column)
        values.append(sql.Literal(owner.mark))
    statement = sql.SQL(
        "insert into {} ({}) select {} from {} b where {} = %s on conflict do nothing"
    ).format(rel.target, columns(names), listed(values), rel.base, rel.key_json("b"))
    return connection.execute(statement, [Jsonb(conflict["key"])]).rowcount > 0
