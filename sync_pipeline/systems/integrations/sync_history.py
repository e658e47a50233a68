"""The account that the product keeps of its syncs: `integration_sync_history`, and the configuration's row.

What went well is committed with the rows that it speaks of; what failed is entered when it is known.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from sync_pipeline.errors import SettingsError, SyncError, TargetNotPrepared
from sync_pipeline.merge.engine import Also, MergeResult
from sync_pipeline.orchestration.partitions import Partition
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.error_codes import Code, code_of, coded
from sync_pipeline.systems.integrations.keys import repair

log = logging.getLogger(__name__)
LONGEST = 2000  # characters of an error that are kept
Status = Literal["success", "failed"]
INTERRUPTED = f"{Code.SYNC}: the run was interrupted; nothing of it was written"


@contextmanager
def account(target: TargetDatabase, run_id: UUID, part: Partition) -> Iterator[Also]:
    """Keep the product's account of the sync of one configuration.

    Args:
        target: where the product's tables are.
        run_id: the run, in whose history the counts are entered.
        part: the configuration; nobody else syncs it meanwhile.

    Yields:
        What commits the success with the rows.

    Raises:
        SettingsError: the configuration is gone.
        SyncError: whatever the sync failed with, now with its code.
    """
    with closing(target.connect()) as connection:
        entry = _begin(connection, part)
        colliding = repair.colliding(connection)
    if colliding:
        told = coded(_colliding(colliding))
        _fail(target, entry, part, str(told))
        raise told

    def succeeded(connection: Connection, results: Sequence[MergeResult]) -> None:
        counts = saved(results)
        refused = _refused(results)
        if refused and not counts["total"]:
            _end(connection, entry, "failed", error=f"{Code.SAVE}: {refused}"[:LONGEST])
            connection.execute(_FAILED, [f"{Code.SAVE}: {refused}"[:LONGEST], part.value])
        else:
            _end(connection, entry, "success", items=counts["total"], error=refused)
            connection.execute(_SUCCEEDED, [refused, part.value])
        connection.execute(
            "update sync_history set metadata = jsonb_set(metadata, '{saved}',"
            " coalesce(metadata -> 'saved', '{}') || %s) where id = %s",
            [Jsonb({part.key: counts}), run_id],
        )

    try:
        yield succeeded
    except BaseException as error:
        told = coded(error) if isinstance(error, SyncError) else None
        _fail(target, entry, part, str(told or f"{code_of(error)}: {type(error).__name__}"))
        if told:
            raise told from error
        raise


def _colliding(indexes: Sequence[str]) -> TargetNotPrepared:
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


def _refused(results: Sequence[MergeResult]) -> str | None:
    """What became of items that were rejected, in a sentence; None when all were taken."""
    rejected = sum(r.counts.rejected for r in results)
    if not rejected:
        return None
    read = sum(r.counts.read for r in results)
    example = next(e for r in results for e in r.metadata.get("rejected_examples", ()))
    return f"{rejected:,} of {read:,} items were rejected, such as {example}"[:LONGEST]


def _begin(connection: Connection, part: Partition) -> UUID:
    with connection.transaction():
        # Whoever left an entry open is dead: nobody else syncs this configuration now.
        died = connection.execute(
            "update integration_sync_history set status = 'failed', completed_at = now(), error_message = %s"
            " where source_config_id = %s and status = 'in_progress'",
            [INTERRUPTED, part.value],
        ).rowcount
        if died:
            connection.execute(_DIED, [died, INTERRUPTED, part.value])
        row = connection.execute(_BEGIN, [part.value]).fetchone()
    if not row:
        raise SettingsError(f"{part.name}: the source configuration {part.value} is gone")
    return row[0]


_BEGIN = """
insert into integration_sync_history (source_name, source_config_id, status, started_at, items_synced)
select coalesce(s.name, 'unknown'), c.id, 'in_progress', clock_timestamp(), 0
from integration_source_configs c left join wand_integration_sources s on s.id = c.wand_source_id
where c.id = %s
returning id
"""

_SUCCEEDED = """
update integration_source_configs set last_sync_at = now(), last_sync_status = 'success', last_error = %s,
    sync_count = coalesce(sync_count, 0) + 1, updated_at = now()
where id = %s
"""

_DIED = """
update integration_source_configs set error_count = coalesce(error_count, 0) + %s, last_error = %s
where id = %s
"""

_FAILED = """
update integration_source_configs set last_sync_at = now(), last_sync_status = 'failed', last_error = %s,
    error_count = coalesce(error_count, 0) + 1, updated_at = now()
where id = %s
"""


def _end(
    connection: Connection, entry: UUID, status: Status, *, items: int = 0, error: str | None = None
) -> None:
    connection.execute(
        "update integration_sync_history set status = %s, completed_at = clock_timestamp(),"
        " items_synced = %s, error_message = %s where id = %s",
        [status, items, error, entry],
    )


def _fail(target: TargetDatabase, entry: UUID, part: Partition, error: str) -> None:
    kept = error.replace("\x00", "\ufffd")[:LONGEST]
    try:
        with target.connect() as connection, connection.transaction():
            _end(connection, entry, "failed", error=kept)
            connection.execute(_FAILED, [kept, part.value])
    except SyncError as unreachable:
        log.warning("%s: the failure could not be entered: %s", part.name, unreachable)
