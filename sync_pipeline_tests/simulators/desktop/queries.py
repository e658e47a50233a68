"""Questions to a database that holds both databases of the practice as schemas."""

from typing import Any, LiteralString

import psycopg
from psycopg import sql

from sync_pipeline.simulators.desktop.schema import DESKTOP_TABLES, MOBILE_TABLES

SIZES = dict.fromkeys(DESKTOP_TABLES, 0) | {
    "orgmaster": 2,
    "locmaster": 1,
    "conmaster": 4,
    "climaster": 729,
    "mbstaff": 16,
    "jobshead": 24_568,
    "jobtasks": 64_542,
    "taskchecklist": 2_894,
    "mbreminder": 121,
    "mbremdetail": 65,
}
KEYS = {
    "jobshead": ("job_id", "sporg_id"),
    "jobtasks": ("job_id", "task_id"),
    "taskchecklist": ("task_id", "checklistdesc"),
}


def rows_of(connection: psycopg.Connection, query: LiteralString) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def number(connection: psycopg.Connection, query: LiteralString) -> int:
    return rows_of(connection, query)[0][0]


def counts(connection: psycopg.Connection, schema: str, condition: LiteralString) -> dict[str, int]:
    """How many rows of each table meet a condition."""
    found: dict[str, int] = {}
    for table in MOBILE_TABLES if schema == "mobile" else DESKTOP_TABLES:
        name = sql.Identifier(schema, table)
        query = sql.SQL("select count(*) from {} where {}").format(name, sql.SQL(condition))
        found[table] = connection.execute(query).fetchall()[0][0]
    return found


def names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def use_schema(connection: psycopg.Connection, schema: str) -> None:
    """Make a schema if need be, and let unqualified names mean it."""
    name = sql.Identifier(schema)
    connection.execute(sql.SQL("create schema if not exists {}").format(name))
    connection.execute(sql.SQL("set search_path to {}").format(name))
