"""The product's own bookkeeping of its syncs: `integration_sync_history`, and the configuration's row.

A success is committed with the rows of its menu; a failure in a transaction of its own.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Literal
from uuid import UUID

from sync_pipeline.errors import SettingsError, SyncError, TargetNotPrepared
from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline.merge.engine import BeforeCommit, MergeResult
from sync_pipeline.orchestration.partitions import Partition
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.error_codes import Code, code_of, coded
from sync_pipeline.systems.integrations.keys.short_indexes import colliding_indexes

log = logging.getLogger(__name__)
MAX_ERROR_LENGTH = 2000  # characters
Status = Literal["success", "failed"]
INTERRUPTED = f"{Code.SYNC}: the run was interrupted; nothing of it was written"


@contextmanager
def record_sync(target: TargetDatabase, run_id: UUID, part: Partition) -> Iterator[BeforeCommit]:
    """Record the sync of one configuration in the product's tables.

    Args:
        target: where the product's tables are.
        run_id: the run, whose history gets the counts.
        part: the configuration; the caller holds its lock.

    Yields:
        What commits the success with the rows.

    Raises:
        SettingsError: the configuration was deleted.
        SyncError: the error of the sync, with its code.
    """
    with closing(target.connect()) as connection:
        entry = _begin(connection, part)
        short_indexes = colliding_indexes(connection)
    if short_indexes:
        error = coded(_short_indexes_error(short_indexes))
        _fail(target, entry, part, str(error))
        raise error

    def succeed(connection: Connection, results: Sequence[MergeResult]) -> None:
        counts = saved(results)
        rejected = _rejected(results)
        if rejected and not counts["total"]:
            error = f"{Code.SAVE}: {rejected}"[:MAX_ERROR_LENGTH]
            _end(connection, entry, "failed", error=error)
            connection.execute(_FAILED, [error, part.value])
        else:
            _end(connection, entry, "success", items=counts["total"], error=rejected)
            connection.execute(_SUCCEEDED, [rejected, part.value])
        runs.annotate_nested(connection, run_id, "saved", {part.key: counts})

    try:
        yield succeed
    except SyncError as error:
        with_code = coded(error)
        _fail(target, entry, part, str(with_code))
        raise with_code from error
    except BaseException as error:
        _fail(target, entry, part, f"{code_of(error)}: {type(error).__name__}")
        raise


def _short_indexes_error(indexes: Sequence[str]) -> TargetNotPrepared:
    return TargetNotPrepared(
        f"the unique indexes {', '.join(indexes)} let an item stand in one configuration of a source only,"
        " and a source has several: they would reject its whole menu. Run: sync-pipeline doctor --fix, which"
        " drops them; a program that upserts on their columns must name the key of the tables instead"
    )


def saved(results: Sequence[MergeResult]) -> dict[str, int]:
    """Items of a menu that are on the target now, by kind: `{products, modifiers, discounts, total}`."""
    counts = {}
    for result in results:
        c = result.counts
        counts[result.entity.source] = c.read - c.rejected - c.duplicates - c.parked
    return counts | {"total": sum(counts.values())}


def _rejected(results: Sequence[MergeResult]) -> str | None:
    """How many items were rejected, with an example; None if none was."""
    rejected = sum(r.counts.rejected for r in results)
    if not rejected:
        return None
    read = sum(r.counts.read for r in results)
    example = next(e for r in results for e in r.metadata.get("rejected_examples", ()))
    return f"{rejected:,} of {read:,} items were rejected, such as {example}"[:MAX_ERROR_LENGTH]


def _begin(connection: Connection, part: Partition) -> UUID:
    with connection.transaction():
        # The caller holds the configuration's lock, so the run of an open entry is dead.
        dead = connection.execute(_CLOSE_OPEN, [INTERRUPTED, part.value]).rowcount
        if dead:
            connection.execute(_COUNT_DEAD, [dead, INTERRUPTED, part.value])
        row = connection.execute(_BEGIN, [part.value]).fetchone()
    if not row:
        raise SettingsError(f"{part.name}: the source configuration {part.value} does not exist")
    return row[0]


_CLOSE_OPEN = """
    update integration_sync_history
    set status = 'failed', completed_at = now(), error_message = %s
    where source_config_id = %s and status = 'in_progress'
"""

_COUNT_DEAD = """
    update integration_source_configs
    set error_count = coalesce(error_count, 0) + %s, last_error = %s
    where id = %s
"""

_BEGIN = """
    insert into integration_sync_history (source_name, source_config_id, status, started_at, items_synced)
    select coalesce(s.name, 'unknown'), c.id, 'in_progress', clock_timestamp(), 0
    from integration_source_configs c
    left join wand_integration_sources s on s.id = c.wand_source_id
    where c.id = %s
    returning id
"""

_END = """
    update integration_sync_history
    set status = %s, completed_at = clock_timestamp(), items_synced = %s, error_message = %s
    where id = %s
"""

_SUCCEEDED = """
    update integration_source_configs
    set last_sync_at = now(), last_sync_status = 'success', last_error = %s,
        sync_count = coalesce(sync_count, 0) + 1, updated_at = now()
    where id = %s
"""

_FAILED = """
    update integration_source_configs
    set last_sync_at = now(), last_sync_status = 'failed', last_error = %s,
        error_count = coalesce(error_count, 0) + 1, updated_at = now()
    where id = %s
"""


def _end(
    connection: Connection, entry: UUID, status: Status, *, items: int = 0, error: str | None = None
) -> None:
    connection.execute(_END, [status, items, error, entry])


def _fail(target: TargetDatabase, entry: UUID, part: Partition, error: str) -> None:
    message = error.replace("\x00", "\ufffd")[:MAX_ERROR_LENGTH]
    try:
        with target.connect() as connection, connection.transaction():
            _end(connection, entry, "failed", error=message)
            connection.execute(_FAILED, [message, part.value])
    except SyncError as unreachable:
        log.warning("%s: the failure could not be recorded: %s", part.name, unreachable)
