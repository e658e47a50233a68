"""Questions that checks ask of a synced table: dangling links, repeated keys, owners, the last run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from sync_pipeline.merge.plan import parent_columns
from sync_pipeline.merge.relations import AND, Relations, columns, ident
from sync_pipeline.merge.stage import Connection
from sync_pipeline.model.catalog import System
from sync_pipeline.model.entity import Entity, Field, Link


@dataclass(frozen=True)
class Dangling:
    """Values of one link that point at nothing.

    Attributes:
        values: how many, counting every row.
        examples: some of them, as `row → value`.
    """

    column: str
    parents: tuple[str, ...]
    values: int
    examples: list[str]


def dangling_links(connection: Connection, system: System, entity: Entity) -> list[Dangling]:
    """Each link of an entity, with what it names that is not there."""
    return [_dangling(connection, system, entity, f, link) for f, link in entity.links]


def _dangling(
    connection: Connection, system: System, entity: Entity, f: Field, link: Link
) -> Dangling:
    missing = AND.join(
        sql.SQL("not exists (select from {} pt where {})").format(
            Relations(system[name]).target,
            sql.SQL(" or ").join(
                sql.SQL("pt.{} = v.value").format(ident(c))
                for c in parent_columns(link, system[name])
            ),
        )
        for name in link.parents
    )
    exempt = [
        AND.join([sql.SQL("not starts_with(v.value, {})").format(sql.Literal(e))])
        for e in link.exempt
    ]
    rel = Relations(entity)
    each = sql.SQL("unnest(t.{})" if f.type.is_list else "(select t.{})").format(ident(f.column))
    query = sql.SQL(
        "with dangling as (select concat_ws(', ', {}) || ' → ' || v.value as example"
        " from {} t, lateral {} as v(value)"
        " where v.value is not null and v.value::text <> '' and {})"
        " select (select count(*) from dangling), array(select example from dangling order by 1 limit 5)"
    ).format(columns(entity.key, "t"), rel.target, each, AND.join([*exempt, missing]))
    row: Any = connection.execute(query).fetchone()
    return Dangling(f.column, link.parents, row[0], row[1])


def repeated_keys(connection: Connection, entity: Entity) -> int:
    """Keys that more than one row of the table carries."""
    query = sql.SQL(
        "select count(*) from (select from {} group by {} having count(*) > 1) x"
    ).format(Relations(entity).target, columns(entity.key))
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


def foreign_rows(connection: Connection, entity: Entity) -> int:
    """Rows that belong to another owner."""
    rel = Relations(entity)
    query = sql.SQL("select count(*) from {} t where not {}").format(rel.target, rel.ours("t"))
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


@dataclass(frozen=True)
class LastMerge:
    """The last merge of an entity that was entered into the history."""

    status: str
    counts: dict[str, int]
    finished_at: dt.datetime
    error: str | None


def last_merge(connection: Connection, entity: Entity) -> LastMerge | None:
    """The entity's last step, whatever became of it; None before the first."""
    row = connection.execute(
        "select status, coalesce(counts, '{}'), finished_at, error from sync.step where system = %s"
        " and entity = %s and action = 'merge' order by id desc limit 1",
        [entity.system, entity.name],
    ).fetchone()
    return LastMerge(*row) if row else None
