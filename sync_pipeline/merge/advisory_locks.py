"""Advisory locks: of an entity, a system, a run and a migration.

A lock is named by a text, of which Postgres is given the hash. Processes of different versions exclude
each other by these names: they must never change. A session lock ends with its session, so a killed
process leaves none behind.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal, LiteralString
from uuid import UUID

from psycopg import errors, sql

from sync_pipeline.errors import EntityBusy
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection, scalar

MIGRATION = "sync_pipeline migrate"
RUN_PREFIX = "sync_pipeline run "

Mode = Literal["session", "shared", "transaction"]
"""Whether a lock ends with the session or the transaction; a shared one excludes nobody."""

_ACQUIRE: dict[Mode, LiteralString] = {
    "session": "select pg_advisory_lock(hashtextextended(%s, 0))",
    "shared": "select pg_advisory_lock_shared(hashtextextended(%s, 0))",
    "transaction": "select pg_advisory_xact_lock(hashtextextended(%s, 0))",
}

IS_HELD: LiteralString = """
    l.locktype = 'advisory' and l.granted
    and l.database = (select oid from pg_database where datname = current_database())
    -- pg_locks shows the 64 bits of the hash in two columns of 32.
    and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended({name}, 0)
"""
"""Whether a row `l` of pg_locks is a lock; `{name}` is the expression of its name."""


def entity_lock(entity: Entity) -> str:
    """Name of an entity's lock: one run at a time plans and writes its table."""
    return f"sync_pipeline {entity.schema}.{entity.table}"


def system_lock(system: str) -> str:
    """Name of a system's lock, for sources that all entities are read from in one snapshot."""
    return f"sync_pipeline system {system}"


def run_lock(run_id: UUID) -> str:
    """Name of a run's lock, which its process holds while it lives."""
    return f"{RUN_PREFIX}{run_id}"


def acquire(connection: Connection, name: str, mode: Mode = "session") -> None:
    """Take a lock, waiting as long as the session's timeouts allow.

    Raises:
        LockNotAvailable: another session held it for the whole `lock_timeout`.
    """
    connection.execute(_ACQUIRE[mode], [name])


def lock_entity(connection: Connection, entity: Entity, wait: dt.timedelta) -> None:
    """Take an entity's lock for the rest of the session; changes the session's timeouts.

    Raises:
        EntityBusy: another run held it all the while.
    """
    name = entity_lock(entity)
    if not _acquired(connection, name, wait):
        raise EntityBusy(
            f"{entity.label} is being synced by another run ({_holder(connection, name)});"
            f" waited {wait.total_seconds():g} s. Run it again when that one is done."
        )


def lock_system(connection: Connection, system: str, wait: dt.timedelta) -> None:
    """Take a system's lock for the rest of the session; changes the session's timeouts.

    Raises:
        EntityBusy: another run held it all the while.
    """
    if not _acquired(connection, system_lock(system), wait):
        raise EntityBusy(
            f"{system} is being synced by another run, whose snapshot of the source is an older one; waited"
            f" {wait.total_seconds():g} s. Run it again when that one is done."
        )


@contextmanager
def entities_locked(connection: Connection, entities: Sequence[Entity]) -> Iterator[None]:
    """Hold the locks of entities for the length of a block.

    Raises:
        EntityBusy: another run held one of them for the session's whole lock timeout.
    """
    held: list[str] = []
    try:
        for entity in in_lock_order(entities):
            name = entity_lock(entity)
            try:
                acquire(connection, name)
            except errors.LockNotAvailable:
                raise EntityBusy(
                    f"{entity.label} is being synced by another run"
                    f" ({_holder(connection, name)}). Nothing was written; try again when that one is done."
                ) from None
            held.append(name)
        yield
    finally:
        if not connection.closed:
            for name in held:
                connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [name])


def in_lock_order(entities: Sequence[Entity]) -> list[Entity]:
    """The order in which everybody takes the locks of several entities, so that none deadlocks."""
    return sorted(entities, key=lambda e: (e.schema, e.table))


def milliseconds(span: dt.timedelta) -> str:
    """A time span as Postgres's timeouts take it; at least 1, because 0 is no limit."""
    return str(max(1, int(span.total_seconds() * 1000)))


def _acquired(connection: Connection, name: str, wait: dt.timedelta) -> bool:
    # Waiting for a lock counts as running a statement, whose own timeout may be shorter.
    connection.execute(
        "select set_config('lock_timeout', %s, false), set_config('statement_timeout', '0', false)",
        [milliseconds(wait)],
    )
    with suppress(errors.LockNotAvailable):
        acquire(connection, name)
        return True
    return False


def _holder(connection: Connection, name: str) -> str:
    query = sql.SQL("""
        select a.application_name
        from pg_locks l
        join pg_stat_activity a using (pid)
        where {is_held}
    """).format(is_held=sql.SQL(IS_HELD).format(name=sql.Literal(name)))
    return scalar(connection, query) or "which has just ended"
