"""SQLAlchemy metadata of the bookkeeping tables.

Migrations create them with SQL of their own; Alembic's check compares the two.
"""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

BOOK_SCHEMA = "sync"

_Table = Callable[..., None]
"""Adds a table of this name, columns and indexes to the bookkeeping."""


def add_bookkeeping(meta: sa.MetaData, *, public: str | None = None) -> None:
    """Add the bookkeeping tables; `public` is the schema of those that our own target has in `public`."""
    _public_tables(meta, public)

    def table(name: str, *parts: sa.schema.SchemaItem) -> None:
        sa.Table(name, meta, *parts, schema=BOOK_SCHEMA)

    _step_table(table)
    _record_tables(table)
    _change_tables(table)
    _request_table(table)
    _cursor_table(table)
    _repair_tables(table)


def _moment(name: str, *, now: bool = False) -> sa.Column:
    default = sa.text("now()") if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not now, server_default=default)


def _identity(name: str = "id", *, key: bool = True) -> sa.Column:
    number = sa.Identity(always=True)
    return sa.Column(name, sa.BigInteger, number, primary_key=key, nullable=False)


def _json(*names: str, nullable: bool = False, default: bool = False) -> list[sa.Column]:
    empty = sa.text("'{}'") if default else None
    return [sa.Column(name, pg.JSONB, nullable=nullable, server_default=empty) for name in names]


def _id(name: str) -> sa.Column:
    return sa.Column(name, sa.Uuid, nullable=False)


def _texts(*names: str) -> list[sa.Column]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


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
        sa.Column("error_message", sa.Text),
        _moment("created_at", now=True),
        _moment("updated_at", now=True),
        schema=schema,
    )
    sa.Table(
        "sync_history",
        meta,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_id", sa.Uuid),
        *_texts("sync_type", "status"),
        *(_count(f"items_{what}") for what in ("processed", "created", "updated", "failed")),
        sa.Column("duration_ms", sa.Integer),
        *_json("metadata", default=True),
        _moment("created_at", now=True),
        sa.CheckConstraint(
            "status in ('running', 'completed', 'failed', 'partial_success')",
            name="sync_history_status_check",
        ),
        sa.Index("sync_history_created_at_idx", "created_at"),
        schema=schema,
    )


def _step_table(table: _Table) -> None:
    table(
        "step",
        _identity(),
        _id("run_id"),
        *_texts("system", "entity", "action", "status"),
        sa.Column("error", sa.Text),
        *_json("counts", nullable=True),
        *_json("facts", default=True),
        _moment("started_at", now=True),
        _moment("finished_at"),
        _partition(),
        sa.Index("step_run_id_idx", "run_id"),
    )


def _record_tables(table: _Table) -> None:
    table(
        "rejected",
        _identity(),
        *_texts("system", "entity"),
        *_json("key", nullable=True),
        *_texts("fingerprint", "reason"),
        sa.Column("constraint", sa.Text),
        *_json("payload"),
        _moment("modified"),
        _id("run_id"),
        _moment("first_seen", now=True),
        _moment("last_seen", now=True),
        sa.Index("rejected_record_key", "system", "entity", "fingerprint", unique=True),
    )
    table(
        "parked",
        _identity(),
        *_texts("system", "entity"),
        *_json("key"),
        *_texts("fingerprint", "parent", "parent_column", "parent_key"),
        *_json("record"),
        _moment("modified"),
        _id("run_id"),
        _moment("parked_at", now=True),
        sa.Index("parked_record_key", "system", "entity", "fingerprint", unique=True),
    )


def _change_tables(table: _Table) -> None:
    table(
        "change",
        _identity(),
        _id("run_id"),
        *_texts("system", "entity"),
        *_json("key"),
        *_texts("action"),
        *_json("before", "after"),
        _moment("changed_at", now=True),
        sa.Index("change_run_id_idx", "run_id", "entity"),
        sa.Index("change_row_idx", "key", postgresql_using="hash"),  # keys of any length
    )
    table(
        "conflict",
        _identity(),
        *_texts("system", "entity"),
        *_json("key"),
        *_texts("kind"),
        sa.Column("field", sa.Text),
        *_json("base", "local", "source", nullable=True),
        *_texts("kept"),
        _id("run_id"),
        _moment("created_at", now=True),
        _moment("resolved_at"),
        sa.Column("resolution", sa.Text),
        sa.Index("conflict_row_idx", "key", postgresql_using="hash"),
    )
    table(
        "plan",
        *_texts("digest"),
        _id("run_id"),
        *_texts("system", "entity", "verdict"),
        *_json("counts", "rows"),
        _moment("created_at", now=True),
        _partition(),
        sa.PrimaryKeyConstraint("run_id", "entity", "part"),
        sa.Index("plan_digest_idx", "digest"),
    )


def _request_table(table: _Table) -> None:
    table(
        "request",
        _identity(),
        *_texts("system", "entity"),
        sa.Column("keys", pg.ARRAY(sa.Text), nullable=False),
        *_texts("reason"),
        sa.Column("force", sa.Boolean, nullable=False, server_default=sa.text("false")),
        _count("attempts"),
        _moment("requested_at", now=True),
        _moment("finished_at"),
        sa.Column("run_id", sa.Uuid),
        sa.Column("error", sa.Text),
        sa.Index(
            "request_waiting_idx", "requested_at", postgresql_where=sa.text("finished_at is null")
        ),
    )


def _cursor_table(table: _Table) -> None:
    table(
        "cursor",
        *_texts("system", "entity"),
        *_json("state"),
        _moment("updated_at", now=True),
        _partition(),
        sa.PrimaryKeyConstraint("system", "entity", "part"),
    )


def _repair_tables(table: _Table) -> None:
    """Rows that repairs of unique keys removed and changed, from which they can be restored."""
    table(
        "repair",
        sa.Column("id", sa.Uuid, primary_key=True),
        *_texts("table_name"),
        *_json("facts", default=True),
        _identity("number", key=False),
        _moment("repaired_at", now=True),
        _moment("restored_at"),
    )
    for name, moment, *images in (
        ("removed_row", "removed_at", "row", "survivor_key", "survivor_before"),
        ("changed_row", "changed_at", "row_key", "before", "after"),
    ):
        table(
            name,
            _identity(),
            _id("repair_id"),
            *_texts("table_name", "reason"),
            *_json(*images),
            _moment(moment, now=True),
            sa.Index(f"{name}_repair_id_idx", "repair_id"),
        )
