"""Whether a target is ready for an entity: what is checked before a run and shown by `doctor`.

An index is judged by its definition, never by its name: unique, valid, total, on exactly the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.stage import Connection
from sync_pipeline.model.entity import Entity


@dataclass(frozen=True)
class Finding:
    """Something about the target that a run needs to be otherwise."""

    entity: str
    problem: str
    remedy: str


_MIGRATE = "run: sync-pipeline migrate"
_NOT_OURS = (
    "the table belongs to another program: add it there, or take its field out of the entity"
)


def check(connection: Connection, rel: Relations) -> None:
    """Refuse to run against a target that is not ready.

    Raises:
        TargetNotPrepared: with every finding and its remedy.
    """
    found = list(findings(connection, rel))
    if found:
        what = "; ".join(f"{f.problem} ({f.remedy})" for f in found)
        raise TargetNotPrepared(
            f"{rel.entity.system}/{rel.entity.name}: the target is not ready: {what}. `sync-pipeline doctor`"
            " shows all findings."
        )


def findings(connection: Connection, rel: Relations) -> Iterator[Finding]:
    """What keeps an entity from being synced into this target."""
    entity = rel.entity
    name = f"{entity.system}/{entity.name}"
    types: list[dict[str, LiteralString]] = []
    for relation, what in ((rel.target, "table"), (rel.base, "base table")):
        text = relation.as_string(connection)
        # A table that may lack a unique index is not ours to migrate.
        remedy = _MIGRATE if relation is rel.base or entity.unique_key else _NOT_OURS
        types.append(_columns(connection, text))
        if not types[-1]:
            yield Finding(name, f"{what} {text} does not exist", remedy)
            continue
        wanted = rel.mapped_columns if relation is rel.base else _written(entity)
        for column in (c for c in wanted if c not in types[-1]):
            yield Finding(name, f"{what} {text} has no column {column}", remedy)
        if entity.unique_key or relation is rel.base:
            yield from _index_findings(connection, name, f"{what} {text}", text, entity.key)
    for column in rel.mapped_columns:
        found, declared = types[0].get(column), types[1].get(column)
        if found and declared and not _comparable(connection, found, declared):
            yield Finding(
                name,
                f"column {column} is {found}, which cannot be compared with {declared}",
                "change the column's type on the target, or the field's",
            )


def _written(entity: Entity) -> list[str]:
    """Columns that a merge reads or writes; the other local ones may be missing."""
    names = [c.column for c in (*entity.fields, *entity.stamps)]
    names += [entity.owner.column] if entity.owner else []
    return names + ([entity.missing_flag] if entity.missing_flag else [])


def _columns(connection: Connection, relation: str) -> dict[str, LiteralString]:
    rows = connection.execute(
        "select attname, format_type(atttypid, -1) from pg_attribute where attrelid = to_regclass(%s)"
        " and attnum > 0 and not attisdropped",
        [relation],
    )
    return dict(rows.fetchall())


_BINARY = {"real", "double precision"}


def _comparable(connection: Connection, one: LiteralString, other: LiteralString) -> bool:
    if {one, other} & _BINARY and one != other:
        return False  # 0.1 in binary is another number than 0.1 in decimal: every row would look edited
    # Asked of the types and not of the tables, which somebody may have locked.
    query = sql.SQL("select null::{} is distinct from null::{}")
    try:
        connection.execute(query.format(sql.SQL(one), sql.SQL(other)))
    except psycopg.errors.UndefinedFunction:
        return False
    return True


def _index_findings(
    connection: Connection, name: str, what: str, relation: str, key: tuple[str, ...]
) -> Iterator[Finding]:
    rows: list[tuple[Any, ...]] = connection.execute(
        "select array(select a.attname::text from unnest(i.indkey) k join pg_attribute a"
        " on a.attrelid = i.indrelid and a.attnum = k), i.indexrelid::regclass::text, i.indimmediate"
        " from pg_index i where i.indrelid = to_regclass(%s) and i.indisunique and i.indisvalid"
        " and i.indpred is null and i.indexprs is null and i.indnkeyatts = i.indnatts",
        [relation],
    ).fetchall()
    usable = [(index, immediate) for names, index, immediate in rows if set(names) == set(key)]
    if not usable:
        yield Finding(
            name, f"{what} has no valid, total unique index on ({', '.join(key)})", _MIGRATE
        )
    for index in (index for index, immediate in usable if not immediate):
        yield Finding(
            name,
            f"{what} has the unique constraint {index} deferrable, which ON CONFLICT does not accept",
            "drop the constraint and add it again as not deferrable",
        )


def exists(connection: Connection, rel: Relations) -> bool:
    """Whether the target table is there at all."""
    return bool(_columns(connection, rel.target.as_string(connection)))
