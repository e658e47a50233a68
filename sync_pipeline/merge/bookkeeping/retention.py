"""Retention: old bookkeeping is removed; unresolved conflicts, rejected and parked records stay."""

import datetime as dt
from typing import LiteralString

from sync_pipeline.postgres.connect import Connection

_STATEMENTS: dict[str, LiteralString] = {
    "sync.change": "delete from sync.change where changed_at < now() - %s::interval",
    "sync.plan": "delete from sync.plan where created_at < now() - %s::interval",
    "sync.step": "delete from sync.step where started_at < now() - %s::interval",
    "sync.request": "delete from sync.request where finished_at < now() - %s::interval",
    "sync.conflict": "delete from sync.conflict where resolved_at < now() - %s::interval",
    "sync_history": "delete from sync_history where created_at < now() - %s::interval",
}


def purge(connection: Connection, *, keep: dt.timedelta) -> dict[str, int]:
    """Remove bookkeeping older than `keep`.

    Returns:
        Rows removed, by table.
    """
    return {
        table: connection.execute(statement, [keep]).rowcount
        for table, statement in _STATEMENTS.items()
    }
