"""One row from all sides: local value, base value, who wrote it, and what is unresolved."""

from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.merge.bookkeeping import listings
from sync_pipeline.merge.relations import AND, Relations, ident, listed
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection, dicts

Row = dict[str, Any]

_MARKS = ("_modified", "_run", "_missing_since", "_inserted_by", "_unknown")


@dataclass
class Explanation:
    """One row from all sides."""

    on_target: bool
    in_base: bool  # the sync has at some time accepted a record of this key
    fields: list[Row]  # per mapped column `column`, `local`, `base`, `written_by` (a run, or None)
    marks: Row  # the base's own columns: run, modification time, missing since
    conflicts: list[Row]  # unresolved ones
    rejected: str | None  # the reason, when the last record was rejected


def explain(connection: Connection, entity: Entity, key: tuple[str | None, ...]) -> Explanation:
    """Explain the row of a key: text or None for each of its columns."""
    rel = Relations(entity)
    local = _row(connection, rel, rel.target, rel.mapped_columns, key)
    base = _row(connection, rel, rel.base, (*rel.mapped_columns, *_MARKS), key)
    known_local, known_base = local or {}, base or {}
    # The bookkeeping holds keys with their types; the caller's text stands in where no row has one.
    key_json = Jsonb(
        {
            column: (local or known_base).get(column, text)
            for column, text in zip(entity.key, key, strict=True)
        }
    )
    writers = listings.writers_of_row(connection, entity, key_json)
    inserted_by = known_base.get("_inserted_by")
    return Explanation(
        on_target=local is not None,
        in_base=base is not None,
        fields=[
            {
                "column": column,
                "local": known_local.get(column),
                "base": known_base.get(column),
                "written_by": writers.get(column) or (str(inserted_by) if inserted_by else None),
            }
            for column in rel.mapped_columns
        ],
        marks={name: known_base.get(name) for name in _MARKS},
        conflicts=listings.conflicts_of_row(connection, entity, key_json),
        rejected=listings.rejection_of_row(connection, entity, key_json),
    )


def _row(
    connection: Connection,
    rel: Relations,
    relation: sql.Identifier,
    names: tuple[str, ...],
    key: tuple[str | None, ...],
) -> Row | None:
    query = sql.SQL("select {} from {} where {} limit 1").format(
        listed(sql.SQL("to_jsonb({c}) as {c}").format(c=ident(c)) for c in names),
        relation,
        AND.join(
            sql.SQL("rtrim({}::text) is not distinct from %s").format(ident(c))
            for c in rel.entity.key
        ),
    )
    return next(iter(dicts(connection, query, key)), None)
