"""Fills databases with the invented practice: the desktop program's and the mobile app's."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import LiteralString

import psycopg
from psycopg import sql

from sync_pipeline.simulators.desktop.desktop_rows import desktop_rows
from sync_pipeline.simulators.desktop.mobile_rows import mobile_rows
from sync_pipeline.simulators.desktop.row_counts import SEED
from sync_pipeline.simulators.desktop.schema import (
    DESKTOP_TABLES,
    MOBILE_TABLES,
    create_desktop,
    create_mobile,
)
from sync_pipeline.simulators.desktop.value_generators import Row

_HAS_ROWS = "select exists (select from {} where {})"


def make_desktop(connection: psycopg.Connection, *, seed: int = SEED, scale: float = 1.0) -> bool:
    """Create the desktop program's database, and fill it if it has neither firms nor jobs.

    Args:
        connection: a session on the database; all happens in one transaction of it.
        seed: any number; another one gives other people, links and data defects in the same proportions.
        scale: size against the real practice, whose desktop has some 92,000 rows.

    Returns:
        Whether it was filled.
    """
    with connection.transaction():
        create_desktop(connection)
        if any(_has_rows(connection, table) for table in ("orgmaster", "jobshead")):
            return False
        _fill(connection, desktop_rows(seed, scale), DESKTOP_TABLES)
    return True


def make_mobile(connection: psycopg.Connection, *, seed: int = SEED, scale: float = 1.0) -> bool:
    """Create the mobile app's database, and fill it if it has no firms and nobody entered anything.

    Tables that a migration made are filled as they are; see `create_mobile`.

    Args:
        connection: a session on the database; all happens in one transaction of it.
        seed: that of the desktop, so that both have the same clients.
        scale: that of the desktop.

    Returns:
        Whether it was filled.
    """
    with connection.transaction():
        create_mobile(connection)
        if _has_rows(connection, "orgmaster") or any(
            _has_rows(connection, table, "source = 'M'") for table in MOBILE_TABLES
        ):
            return False
        _fill(connection, mobile_rows(seed, scale), MOBILE_TABLES)
    return True


def _has_rows(
    connection: psycopg.Connection, table: str, condition: LiteralString = "true"
) -> bool:
    query = sql.SQL(_HAS_ROWS).format(sql.Identifier(table), sql.SQL(condition))
    found = connection.execute(query).fetchone()
    return found is not None and bool(found[0])


def _fill(
    connection: psycopg.Connection, rows: Mapping[str, Sequence[Row]], tables: Mapping[str, str]
) -> None:
    for table, records in rows.items():
        if records:
            _copy(connection, table, records)
    # Without statistics, the first plans on fresh tables would be those of empty ones.
    names = sql.SQL(", ").join(map(sql.Identifier, tables))
    connection.execute(sql.SQL("analyze {}").format(names))


def _copy(connection: psycopg.Connection, table: str, rows: Sequence[Row]) -> None:
    columns = list(rows[0])
    values = itemgetter(*columns)
    statement = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(values(row))
