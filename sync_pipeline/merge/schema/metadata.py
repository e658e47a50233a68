"""SQLAlchemy metadata built from entities: target tables, base tables, and the bookkeeping tables.

Alembic compares it with the database, so a drift between model and migrations is a failed check.
Queries do not go through it; they are composed in `relations` and the modules beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from sync_pipeline.errors import DeclarationError
from sync_pipeline.model.entity import Column, Entity, Field, Serial
from sync_pipeline.model.system import System
from sync_pipeline.model.types import Type

BASE_SCHEMA = "sync_base"
BOOK_SCHEMA = "sync"

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
                f"{other.system}/{other.name} and {entity.system}/{entity.name} ({entity.where}) are both"
                f" table {entity.schema}.{entity.table}; give one of them table=..."
            )
        target_table(entity, meta)
        base_table(entity, meta)
    bookkeeping(meta)
    return meta


def bookkeeping_metadata(systems: Iterable[System]) -> sa.MetaData:
    """What the project creates in a database whose tables belong to another program: only its own account.

    Nothing of it is in `public`, and the tables that are synced are not among it.
    """
    meta = sa.MetaData()
    for entity in (e for system in systems for e in system.entities):
        base_table(entity, meta)
    bookkeeping(meta, public=BOOK_SCHEMA)
    return meta


def target_table(entity: Entity, meta: sa.MetaData) -> sa.Table:
    """The entity's table, with its key's unique index."""
    serial = any(isinstance(c, Serial) for c in entity.columns)
    columns = [_target_column(entity, c) for c in entity.columns]
    table = sa.Table(entity.table, meta, *columns, schema=_schema(entity.schema))
    if not serial and not _null_counts(entity):
        table.append_constraint(sa.PrimaryKeyConstraint(*entity.key))
    else:
        _add_unique(table, entity, entity.key, null_counts=_null_counts(entity))
    for columns_ in entity.unique:
        _add_unique(table, entity, columns_)
    for columns_ in entity.indexes:
        name = f"{entity.table}_{'_'.join(columns_)}_idx"[:63]
        sa.Index(name, *(table.c[c] for c in columns_))
    return table


def _schema(name: str) -> str | None:
    # Alembic reflects the default schema as None; naming it would look like a drift.
    return None if name == "public" else name


def _null_counts(entity: Entity) -> bool:
    return any(f.nulls_not_distinct for f in entity.key_fields)


def _add_unique(
    table: sa.Table, entity: Entity, columns: tuple[str, ...], *, null_counts: bool = False
) -> None:
    sa.Index(
        unique_name(table.name, columns),
        *(table.c[c] for c in columns),
        unique=True,
        postgresql_nulls_not_distinct=null_counts,
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
    may_be_null = isinstance(column, Field) and (
        column.nulls_not_distinct or column.null_means_other_owner
    )
    not_null = column.column in entity.key and not may_be_null
    nullable = not not_null and getattr(column, "nullable", True)
    default = sa.text(column.default) if column.default is not None else None
    kind = column_type(column.type)
    return sa.Column(
        column.column, kind, nullable=nullable, server_default=default, autoincrement=False
    )


def base_table(entity: Entity, meta: sa.MetaData) -> sa.Table:
    """What the source last delivered and the sync accepted, one row per source record."""
    null_counts = _null_counts(entity)
    columns = [_base_column(entity, f) for f in (*entity.key_fields, *entity.values)]
    table = sa.Table(base_name(entity), meta, *columns, *_base_marks(), schema=BASE_SCHEMA)
    if null_counts:
        _add_unique(table, entity, entity.key, null_counts=True)
    else:
        table.append_constraint(sa.PrimaryKeyConstraint(*entity.key))
    return table


def _base_column(entity: Entity, f: Field) -> sa.Column:
    # Without a length: the target's own column decides what fits, and it may be wider than declared.
    kind = sa.Text() if f.type.name == "char" else column_type(dataclasses.replace(f.type, args=()))
    nullable = f.column not in entity.key or f.nulls_not_distinct
    return sa.Column(f.column, kind, nullable=nullable, autoincrement=False)


def _base_marks() -> list[sa.Column]:
    return [
        sa.Column(
            "_digest", sa.Uuid, comment="of the source record's mapped fields and the mapping"
        ),
        sa.Column(
            "_modified", sa.DateTime(timezone=True), comment="the source's modification time"
        ),
        sa.Column("_unknown", pg.ARRAY(sa.Text), comment="fields that the source never delivered"),
        sa.Column(
            "_missing_since", sa.DateTime(timezone=True), comment="not found by a complete scan"
        ),
        sa.Column("_run", sa.Uuid, comment="the run that last moved this row"),
        sa.Column("_inserted_by", sa.Uuid, comment="the run that inserted the target row"),
    ]


def bookkeeping(meta: sa.MetaData, *, public: str | None = None) -> None:
    """The tables in which the sync keeps account of itself.

    Args:
        meta: receives them.
        public: schema of those that stand in `public` on a target of our own.
    """
    _public_tables(meta, public)
    _step_table(meta)
    _record_tables(meta)
    _change_tables(meta)
    _request_table(meta)
    _cursor_table(meta)
    _repair_tables(meta)


def _moment(name: str, *, nullable: bool = True, now: bool = False) -> sa.Column:
    default = sa.text("now()") if now else None
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=nullable and not now, server_default=default
    )


def _text(name: str, *, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.Text, nullable=nullable)


def _identity(name: str = "id") -> sa.Column:
    return sa.Column(name, sa.BigInteger, sa.Identity(always=True), primary_key=True)


def _place() -> list[sa.Column]:
    return [_text("system", nullable=False), _text("entity", nullable=False)]


def _part() -> sa.Column:
    return sa.Column("part", sa.Text, nullable=False, server_default=sa.text("''"))


def _count(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _public_tables(meta: sa.MetaData, schema: str | None) -> None:
    sa.Table(
        "_sync_metadata",
        meta,
        sa.Column("table_name", sa.String(255), primary_key=True),
        sa.Column(
            "last_sync_timestamp",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("'1970-01-01 00:00:00+00'"),
        ),
        _count("records_synced"),
        sa.Column("sync_status", sa.String(50), server_default=sa.text("'pending'")),
        _text("error_message"),
        _moment("created_at", now=True),
        _moment("updated_at", now=True),
        schema=schema,
    )
    sa.Table(
        "sync_history",
        meta,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid),
        _text("sync_type", nullable=False),
        _text("status", nullable=False),
        _count("items_processed"),
        _count("items_created"),
        _count("items_updated"),
        _count("items_failed"),
        sa.Column("duration_ms", sa.Integer),
        sa.Column("metadata", pg.JSONB, nullable=False, server_default=sa.text("'{}'")),
        _moment("created_at", now=True),
        sa.CheckConstraint(
            "status in ('running', 'completed', 'failed', 'partial_success')",
            name="sync_history_status_check",
        ),
        sa.Index("sync_history_created_at_idx", "created_at"),
        schema=schema,
    )


def _step_table(meta: sa.MetaData) -> None:
    sa.Table(
        "step",
        meta,
        _identity(),
        sa.Column("run_id", sa.Uuid, nullable=False),
        *_place(),
        _text("action", nullable=False),
        _text("status", nullable=False),
        _text("error"),
        sa.Column("counts", pg.JSONB),
        sa.Column("facts", pg.JSONB, nullable=False, server_default=sa.text("'{}'")),
        _moment("started_at", now=True),
        _moment("finished_at"),
        _part(),
        sa.Index("step_run_id_idx", "run_id"),
        schema=BOOK_SCHEMA,
    )


def _record_tables(meta: sa.MetaData) -> None:
    sa.Table(
        "rejected",
        meta,
        _identity(),
        *_place(),
        sa.Column("key", pg.JSONB),
        _text("fingerprint", nullable=False),
        _text("reason", nullable=False),
        _text("constraint"),
        sa.Column("payload", pg.JSONB, nullable=False),
        _moment("modified"),
        sa.Column("run_id", sa.Uuid, nullable=False),
        _moment("first_seen", now=True),
        _moment("last_seen", now=True),
        sa.Index("rejected_record_key", "system", "entity", "fingerprint", unique=True),
        schema=BOOK_SCHEMA,
    )
    sa.Table(
        "parked",
        meta,
        _identity(),
        *_place(),
        sa.Column("key", pg.JSONB, nullable=False),
        _text("fingerprint", nullable=False),
        _text("parent", nullable=False),
        _text("parent_column", nullable=False),
        _text("parent_key", nullable=False),
        sa.Column("record", pg.JSONB, nullable=False),
        _moment("modified"),
        sa.Column("run_id", sa.Uuid, nullable=False),
        _moment("parked_at", now=True),
        sa.Index("parked_record_key", "system", "entity", "fingerprint", unique=True),
        schema=BOOK_SCHEMA,
    )


def _change_tables(meta: sa.MetaData) -> None:
    sa.Table(
        "change",
        meta,
        _identity(),
        sa.Column("run_id", sa.Uuid, nullable=False),
        *_place(),
        sa.Column("key", pg.JSONB, nullable=False),
        _text("action", nullable=False),
        sa.Column("before", pg.JSONB, nullable=False),
        sa.Column("after", pg.JSONB, nullable=False),
        _moment("changed_at", now=True),
        sa.Index("change_run_id_idx", "run_id", "entity"),
        sa.Index("change_row_idx", "key", postgresql_using="hash"),  # keys of any length
        schema=BOOK_SCHEMA,
    )
    sa.Table(
        "conflict",
        meta,
        _identity(),
        *_place(),
        sa.Column("key", pg.JSONB, nullable=False),
        _text("kind", nullable=False),
        _text("field"),
        sa.Column("base", pg.JSONB),
        sa.Column("local", pg.JSONB),
        sa.Column("source", pg.JSONB),
        _text("kept", nullable=False),
        sa.Column("run_id", sa.Uuid, nullable=False),
        _moment("created_at", now=True),
        _moment("resolved_at"),
        _text("resolution"),
        sa.Index("conflict_row_idx", "key", postgresql_using="hash"),
        schema=BOOK_SCHEMA,
    )
    sa.Table(
        "plan",
        meta,
        _text("digest", nullable=False),
        sa.Column("run_id", sa.Uuid, nullable=False),
        *_place(),
        _text("verdict", nullable=False),
        sa.Column("counts", pg.JSONB, nullable=False),
        sa.Column("rows", pg.JSONB, nullable=False),
        _moment("created_at", now=True),
        _part(),
        sa.PrimaryKeyConstraint("run_id", "entity", "part"),
        sa.Index("plan_digest_idx", "digest"),
        schema=BOOK_SCHEMA,
    )


def _request_table(meta: sa.MetaData) -> None:
    sa.Table(
        "request",
        meta,
        _identity(),
        *_place(),
        sa.Column("keys", pg.ARRAY(sa.Text), nullable=False),
        _text("reason", nullable=False),
        sa.Column("force", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        _moment("requested_at", now=True),
        _moment("finished_at"),
        sa.Column("run_id", sa.Uuid),
        _text("error"),
        sa.Index(
            "request_waiting_idx", "requested_at", postgresql_where=sa.text("finished_at is null")
        ),
        schema=BOOK_SCHEMA,
    )


def _cursor_table(meta: sa.MetaData) -> None:
    sa.Table(
        "cursor",
        meta,
        *_place(),
        sa.Column("state", pg.JSONB, nullable=False),
        _moment("updated_at", now=True),
        _part(),
        sa.PrimaryKeyConstraint("system", "entity", "part"),
        schema=BOOK_SCHEMA,
    )


def _repair_tables(meta: sa.MetaData) -> None:
    """What repairs of unique keys removed and changed, so that they can be taken back."""
    sa.Table(
        "repair",
        meta,
        sa.Column("id", sa.Uuid, primary_key=True),
        _text("table_name", nullable=False),
        sa.Column("facts", pg.JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        _moment("repaired_at", now=True),
        _moment("restored_at"),
        schema=BOOK_SCHEMA,
    )
    sa.Table(
        "removed_row",
        meta,
        _identity(),
        sa.Column("repair_id", sa.Uuid, nullable=False),
        _text("table_name", nullable=False),
        _text("reason", nullable=False),
        sa.Column("row", pg.JSONB, nullable=False),
        sa.Column("survivor_key", pg.JSONB, nullable=False),
        sa.Column("survivor_before", pg.JSONB, nullable=False),
        _moment("removed_at", now=True),
        sa.Index("removed_row_repair_id_idx", "repair_id"),
        schema=BOOK_SCHEMA,
    )
    sa.Table(
        "changed_row",
        meta,
        _identity(),
        sa.Column("repair_id", sa.Uuid, nullable=False),
        _text("table_name", nullable=False),
        _text("reason", nullable=False),
        sa.Column("row_key", pg.JSONB, nullable=False),
        sa.Column("before", pg.JSONB, nullable=False),
        sa.Column("after", pg.JSONB, nullable=False),
        _moment("changed_at", now=True),
        sa.Index("changed_row_repair_id_idx", "repair_id"),
        schema=BOOK_SCHEMA,
    )
