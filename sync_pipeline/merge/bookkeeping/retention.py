"""Retention: old bookkeeping is removed; unresolved conflicts, rejected and parked records stay."""

import datetime as dt

from psycopg import sql

from sync_pipeline.postgres.connect import Connection

_AGE = {
    "sync.change": "changed_at",
    "sync.plan": "created_at",
    "sync.step": "started_at",
    "sync.request": "finished_at",
    "sync.conflict": "resolved_at",
    "sync_history": "created_at",
}
"""The column that has a row's age; a row with null there stays."""


def purge(connection: Connection, *, keep: dt.timedelta) -> dict[str, int]:
    """Remove bookkeeping older than `keep`; returns the rows removed, by table."""
    delete = sql.SQL("delete from {} where {} < now() - %s::interval")
    return {
        table: connection.execute(
            delete.format(sql.Identifier(*table.split(".")), sql.Identifier(column)), [keep]
        ).rowcount
        for table, column in _AGE.items()
    }
