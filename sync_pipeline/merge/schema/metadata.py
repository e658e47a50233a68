"""SQLAlchemy metadata of a target: the entities' tables, their base tables, and the bookkeeping.

Alembic compares it with the database, so a drift between model and migrations is a failed check.
Queries do not go through it; they are composed in `relations` and the modules beside it.
"""

import dataclasses
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from sync_pipeline.errors import DeclarationError
from sync_pipeline.merge.schema.bookkeeping_tables import BOOK_SCHEMA, add_bookkeeping
from sync_pipeline.model.entity import Column, Entity, Field, Serial
from sync_pipeline.model.system import System
from sync_pipeline.model.types import Type

BASE_SCHEMA = "sync_base"

_TYPES: dict[str, type[sa.types.TypeEngine]] = {
    "text": sa.Text,
    "varchar": sa.String,
    "char": sa.CHAR,
    "integer": sa.Integer,
    "bigint": sa.BigInteger,
    "numeric": sa.Numeric,
    "double": sa.Double,
    "boolean": sa.Boolean,
    "date": sa.Date,
    "time": sa.Time,
    "uuid": sa.Uuid,
    "jsonb": pg.JSONB,
}


def column_type(type_: Type) -> sa.types.TypeEngine:
    """The SQLAlchemy type of a field type."""
    if type_.is_list:
        return pg.ARRAY(_TYPES[type_.name.removesuffix("[]")]())
    if type_.name in {"timestamptz", "timestamp"}:
        return sa.DateTime(timezone=type_.name == "timestamptz")
    return _TYPES[type_.name](*type_.args)


def base_name(entity: Entity) -> str:
    """Name of the entity's base table in schema `sync_base`."""
    return f"{entity.system}__{entity.name}"


def unique_name(table: str, columns: Iterable[str]) -> str:
    """Name of a unique index that we create; Postgres keeps 63 bytes of it."""
    return f"{table}_{'_'.join(columns)}_key"[:63]


def metadata(systems: Iterable[System]) -> sa.MetaData:
    """All tables that the project creates or adopts.

    Raises:
        DeclarationError: two entities are the same table.
    """
    meta = sa.MetaData()
    known: dict[tuple[str, str], Entity] = {}
    for entity in (e for system in systems for e in system.entities):
        other = known.setdefault((entity.schema, entity.table), entity)
        if other is not entity:
            raise DeclarationError(
                f"{other.label} and {entity.label} ({entity.where}) are both"
                f" table {entity.schema}.{entity.table}; give one of them table=..."
            )
        target_table(entity, meta)
        base_table(entity, meta)
    add_bookkeeping(meta)
    return meta


def bookkeeping_metadata(systems: Iterable[System]) -> sa.MetaData:
    """Base and bookkeeping tables only, for a database whose tables belong to another program.

    None of them is in `public`.
    """
    meta = sa.MetaData()
    for entity in (e for system in systems for e in system.entities):
        base_table(entity, meta)
    add_bookkeeping(meta, public=BOOK_SCHEMA)
    return meta


def target_table(entity: Entity, meta: sa.MetaData) -> sa.Table:
    """The entity's table, with its key's unique index."""
    columns = [_target_column(entity, c) for c in entity.columns]
    table = sa.Table(entity.table, meta, *columns, schema=_schema(entity.schema))
    _add_key(table, entity, primary=not any(isinstance(c, Serial) for c in entity.columns))
    for columns_ in entity.unique:
        _add_unique(table, columns_)
    for columns_ in entity.indexes:
        name = f"{entity.table}_{'_'.join(columns_)}_idx"[:63]
        sa.Index(name, *(table.c[c] for c in columns_))
    return table


def _schema(name: str) -> str | None:
    # Alembic reflects the default schema as None; naming it would look like a drift.
    return None if name == "public" else name


def _add_key(table: sa.Table, entity: Entity, *, primary: bool) -> None:
    """The key as primary key, or as unique index where nulls are values or another column is primary."""
    nulls_not_distinct = any(f.nulls_not_distinct for f in entity.key_fields)
    if primary and not nulls_not_distinct:
        table.append_constraint(sa.PrimaryKeyConstraint(*entity.key))
    else:
        _add_unique(table, entity.key, nulls_not_distinct=nulls_not_distinct)


def _add_unique(
    table: sa.Table, columns: tuple[str, ...], *, nulls_not_distinct: bool = False
) -> None:
    sa.Index(
        unique_name(table.name, columns),
        *(table.c[c] for c in columns),
        unique=True,
        postgresql_nulls_not_distinct=nulls_not_distinct,
    )


def _target_column(entity: Entity, column: Column) -> sa.Column:
    if isinstance(column, Serial):
        kind = column_type(column.type)
        random = sa.text("gen_random_uuid()") if column.type.name == "uuid" else None
        return sa.Column(
            column.column,
            kind,
            primary_key=True,
            autoincrement=random is None,
            server_default=random,
        )
    nullable = getattr(column, "nullable", True)
    if isinstance(column, Field) and column.column in entity.key:
        nullable = column.nulls_not_distinct or column.null_means_other_owner
    default = sa.text(column.default) if column.default is not None else None
    kind = column_type(column.type)
    return sa.Column(
        column.column, kind, nullable=nullable, server_default=default, autoincrement=False
    )


def base_table(entity: Entity, meta: sa.MetaData) -> sa.Table:
    """What the source last delivered and the sync accepted, one row per source record."""
    columns = [_base_column(entity, f) for f in (*entity.key_fields, *entity.values)]
    table = sa.Table(base_name(entity), meta, *columns, *_base_marks(), schema=BASE_SCHEMA)
    _add_key(table, entity, primary=True)
    return table


def _base_column(entity: Entity, f: Field) -> sa.Column:
    # Without a length: the target's own column decides what fits, and it may be wider than declared.
    kind = sa.Text() if f.type.name == "char" else column_type(dataclasses.replace(f.type, args=()))
    nullable = f.column not in entity.key or f.nulls_not_distinct
    return sa.Column(f.column, kind, nullable=nullable, autoincrement=False)


def _base_marks() -> list[sa.Column]:
    moment = sa.DateTime(timezone=True)
    return [
        sa.Column(
            "_digest", sa.Uuid, comment="of the source record's mapped fields and the mapping"
        ),
        sa.Column("_modified", moment, comment="the source's modification time"),
        sa.Column("_unknown", pg.ARRAY(sa.Text), comment="fields that the source never delivered"),
        sa.Column("_missing_since", moment, comment="not found by a complete scan"),
        sa.Column("_run", sa.Uuid, comment="the run that last moved this row"),
        sa.Column("_inserted_by", sa.Uuid, comment="the run that inserted the target row"),
    ]
