"""SQLAlchemy metadata of the bookkeeping tables.

Migrations create them with SQL of their own; Alembic's check compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

BOOK_SCHEMA = "sync"


def add_bookkeeping(meta: sa.MetaData, *, public: str | None = None) -> None:
    """Add the bookkeeping tables to metadata.

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


def _entity() -> list[sa.Column]:
    return [_text("system", nullable=False), _text("entity", nullable=False)]


def _partition() -> sa.Column:
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
        *_entity(),
        _text("action", nullable=False),
        _text("status", nullable=False),
        _text("error"),
        sa.Column("counts", pg.JSONB),
        sa.Column("facts", pg.JSONB, nullable=False, server_default=sa.text("'{}'")),
        _moment("started_at", now=True),
        _moment("finished_at"),
        _partition(),
        sa.Index("step_run_id_idx", "run_id"),
        schema=BOOK_SCHEMA,
    )


def _record_tables(meta: sa.MetaData) -> None:
    sa.Table(
        "rejected",
        meta,
        _identity(),
        *_entity(),
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
        *_entity(),
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
        *_entity(),
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
        *_entity(),
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
        *_entity(),
        _text("verdict", nullable=False),
        sa.Column("counts", pg.JSONB, nullable=False),
        sa.Column("rows", pg.JSONB, nullable=False),
        _moment("created_at", now=True),
        _partition(),
        sa.PrimaryKeyConstraint("run_id", "entity", "part"),
        sa.Index("plan_digest_idx", "digest"),
        schema=BOOK_SCHEMA,
    )


def _request_table(meta: sa.MetaData) -> None:
    sa.Table(
        "request",
        meta,
        _identity(),
        *_entity(),
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
        *_entity(),
        sa.Column("state", pg.JSONB, nullable=False),
        _moment("updated_at", now=True),
        _partition(),
        sa.PrimaryKeyConstraint("system", "entity", "part"),
        schema=BOOK_SCHEMA,
    )


def _repair_tables(meta: sa.MetaData) -> None:
    """Rows that repairs of unique keys removed and changed, from which they can be restored."""
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
