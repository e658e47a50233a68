"""Whether a target is ready for an entity: a few catalog queries before every run.

Only what would make every run fail or repeat rows is checked here; `doctor` has the full checks and repairs.
An index is judged by its definition, never by its name: unique, valid, total, on exactly the key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import Relations
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.catalog import ColumnType
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import FIX, MIGRATE, command_line


@dataclass(frozen=True)
class Finding:
    """A reason why a run cannot start on this target."""

    entity: str  # its system and name
    problem: str  # what is wrong with the target
    remedy: str  # how people repair it
    fixable: bool = False  # whether `doctor --fix` repairs it


_INDEX = f"{MIGRATE}, or {command_line('doctor --fix')} where rows repeat the key"
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
        repairs = any(f.fixable for f in found)
        fix = f"; `{command_line('doctor --fix')}` repairs what it can" if repairs else ""
        raise TargetNotPrepared(
            f"{rel.entity.label}: the target is not ready: {what}."
            f" `{command_line('doctor')}` shows all findings{fix}."
        )


def findings(connection: Connection, rel: Relations) -> Iterator[Finding]:
    """Everything that prevents an entity from being synced into this target."""
    entity = rel.entity
    types: list[dict[str, ColumnType]] = []
    for relation, what in ((rel.target, "table"), (rel.base, "base table")):
        text = relation.as_string(connection)
        # A table that may lack a unique index is not ours to migrate.
        is_ours = relation is rel.base or entity.unique_key
        remedy = MIGRATE if is_ours else _NOT_OURS
        types.append(catalog.column_types(connection, text))
        if not types[-1]:
            yield Finding(entity.label, f"{what} {text} does not exist", remedy, fixable=is_ours)
            continue
        needed = rel.mapped_columns if relation is rel.base else written(entity)
        for column in (c for c in needed if c not in types[-1]):
            yield Finding(
                entity.label, f"{what} {text} has no column {column}", remedy, fixable=is_ours
            )
        if is_ours:
            remedy = MIGRATE if relation is rel.base else _INDEX
            yield from _index_findings(connection, entity, f"{what} {text}", text, remedy)
    for column in rel.mapped_columns:
        found, declared = types[0].get(column), types[1].get(column)
        if found and declared and not comparable(connection, found.bare, declared.bare):
            yield Finding(
                entity.label,
                f"column {column} is {found.bare}, which cannot be compared with {declared.bare}",
                "change the column's type on the target, or the field's",
            )


def written(entity: Entity) -> list[str]:
    """Columns that a merge reads or writes; the other local ones may be missing."""
    names = [c.column for c in (*entity.fields, *entity.stamps)]
    names += [entity.owner.column] if entity.owner else []
    names += [name for name in (entity.missing_flag, entity.partition_error) if name]
    return list(dict.fromkeys(names))


_BINARY = {"real", "double precision"}


def comparable(connection: Connection, one: LiteralString, other: LiteralString) -> bool:
    """Whether values of two types, as Postgres spells them, can be compared without loss."""
    if one == other:
        return one != "json"
    if {one, other} & _BINARY:
        return False  # 0.1 in binary is another number than 0.1 in decimal: every row would look edited
    # By type, without reading the tables, which another session may have locked.
    query = sql.SQL("select null::{} is distinct from null::{}")
    try:
        with connection.transaction():
            connection.execute(query.format(sql.SQL(one), sql.SQL(other)))
    except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedObject):
        return False
    return True


def _index_findings(
    connection: Connection, entity: Entity, what: str, relation: str, remedy: str
) -> Iterator[Finding]:
    key = ", ".join(entity.key)
    plain = catalog.plain_indexes(connection, relation)
    usable = [index for index in plain if index.unique and set(index.columns) == set(entity.key)]
    # Null is a value of these columns, and so has to be unique too.
    values = {f.column for f in entity.key_fields if f.nulls_not_distinct}
    if not usable:
        problem = f"{what} has no valid, total unique index on ({key})"
        yield Finding(entity.label, problem, remedy, fixable=True)
    elif all(values & set(index.nullable) for index in usable):
        problem = f"{what} has a unique index on ({key}) that lets a null repeat"
        yield Finding(entity.label, problem, FIX, fixable=True)
    for index in (index.name for index in usable if not index.immediate):
        yield Finding(
            entity.label,
            f"{what} has the unique constraint {index} deferrable, which ON CONFLICT does not accept",
            "drop the constraint and add it again as not deferrable",
        )


def exists(connection: Connection, rel: Relations) -> bool:
    """Whether the target table exists."""
    return bool(catalog.column_types(connection, rel.target.as_string(connection)))
