"""Migrates a database between revisions, and reads what that did."""

from typing import Any, LiteralString

import sqlalchemy as sa
from alembic import command
from psycopg import sql
from psycopg.rows import dict_row

from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.adopt import MigrationNote
from sync_pipeline.postgres.connect import connect

BEFORE = "0005"
"""The revision of targets that were migrated before there were repairs."""


def at(dsn: str, revision: str = BEFORE) -> None:
    """Stamp a database with a revision of which it needs no more than the schemas."""
    with migrate.target_engine(dsn).begin() as connection:
        for schema in ("sync", "sync_base"):
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        command.stamp(migrate.config(connection), revision)


def up(dsn: str, revision: str = "head") -> list[MigrationNote]:
    """Upgrade; returns the notes of the migrations."""
    with migrate.target_engine(dsn).begin() as connection:
        settings = migrate.config(connection)
        command.upgrade(settings, revision)
        return migrate.collected_notes(settings)


def down(dsn: str, revision: str = BEFORE) -> list[MigrationNote]:
    """Downgrade; returns the notes of the migrations."""
    with migrate.target_engine(dsn).begin() as connection:
        settings = migrate.config(connection)
        command.downgrade(settings, revision)
        return migrate.collected_notes(settings)


def run(dsn: str, *statements: LiteralString) -> None:
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(dsn: str, query: LiteralString, *values: Any) -> list[dict[str, Any]]:
    with connect(dsn) as connection:
        return connection.cursor(row_factory=dict_row).execute(query, values or None).fetchall()


def column(dsn: str, query: LiteralString, *values: Any) -> list[Any]:
    return [next(iter(row.values())) for row in rows(dsn, query, *values)]


def content(dsn: str, *tables: str) -> dict[str, list[Any]]:
    """The rows of tables, in an order that does not depend on where they are stored."""
    with connect(dsn) as connection:
        return {
            table: connection.execute(
                sql.SQL("select to_jsonb(t) from {} t order by id").format(sql.Identifier(table))
            ).fetchall()
            for table in tables
        }


def indexes(dsn: str, table: str) -> dict[str, str]:
    """Definitions of a table's indexes by name."""
    found = rows(dsn, "select indexname, indexdef from pg_indexes where tablename = %s", table)
    return {row["indexname"]: row["indexdef"] for row in found}


def texts(notes: list[MigrationNote], kind: str, table: str) -> list[str]:
    return [n.text for n in notes if (n.kind, n.table) == (kind, f"public.{table}")]
