"""Multi-asset factory for entities that change together: one transaction per partition.

A failed partition does not keep the others from being synced. The run then ends in failure, its message
names each failed partition, and what was merged is in its history.
"""

import dataclasses
import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.stream import EntityBatches, Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.system import System
from sync_pipeline.orchestration.asset_keys import asset_key
from sync_pipeline.orchestration.assets import ResourceKeys, described
from sync_pipeline.orchestration.io_manager import MergeIOManager
from sync_pipeline.orchestration.partitions import Partition, PartitionSet
from sync_pipeline.orchestration.resources import Source, TargetDatabase

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PartitionSync:
    """Reads and merges partitions, for the length of a run."""

    system: System
    entities: tuple[Entity, ...]
    partition_set: PartitionSet
    source: Source
    target: TargetDatabase
    merge: MergeIOManager
    run_id: UUID

    def sync(self, partition: Partition, scope: Scope) -> list[MergeResult]:
        """Merge all entities of a partition in one transaction; raises `SyncError` if nothing was written."""
        mode = "full" if scope.mode == "keys" else scope.mode
        scope = dataclasses.replace(scope, mode=mode, keys=(), partition=partition.value)
        # One sync of a partition at a time: a record still open under this lock belongs to a dead run.
        with self.target.system_locked(f"{self.system.name} {partition.value}"):
            if scope.dry_run:
                return self.merge.merge(self.system, self._streams(scope), self.run_id)
            record_sync = self.partition_set.record_sync
            with record_sync(self.target, self.run_id, partition) as before_commit:
                streams = self._streams(scope)
                return self.merge.merge(self.system, streams, self.run_id, before_commit)

    def _streams(self, scope: Scope) -> list[EntityBatches]:
        started_at = dt.datetime.now(dt.UTC)
        with self.target.connect() as connection:
            since = {
                e.name: watermarks.progress(connection, e, scope.partition)
                if scope.mode == "delta"
                else Progress()
                for e in self.entities
            }
        try:
            return [self.source.read(e, scope, since[e.name]) for e in self.entities]
        except SyncError as error:
            for entity in self.entities:
                unread = EntityBatches(entity, [], scope, partition=scope.partition)
                self.merge.note_failure(unread, self.run_id, started_at, error)
            raise


def group_assets(
    system: System, group: tuple[str, ...], keys: ResourceKeys, partition_set: PartitionSet
) -> dg.AssetsDefinition:
    """The partitioned multi-asset of a group of entities."""
    entities = tuple(system[name] for name in system.together(group))

    @dg.multi_asset(
        name="__".join((*system.key_prefix, *group))[:100],
        specs=[dg.AssetSpec(**described(system, e, keys)) for e in entities],
        partitions_def=partition_set.definition,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={keys.source, keys.target, keys.merge, "scope"},
    )
    def sync(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        resources = context.resources
        target = getattr(resources, keys.target)
        partition_sync = PartitionSync(
            system,
            entities,
            partition_set,
            getattr(resources, keys.source),
            target,
            getattr(resources, keys.merge),
            UUID(context.run.run_id),
        )
        try:
            scope = resources.scope.resolve()
            named = _partitions_of(context) or scope.keys
            with target.connect() as connection:
                selected = partition_set.select(connection, named)
        except SyncError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        done = _sync_all(context, partition_sync, selected, scope)
        for entity in entities:
            total = _total_metadata(partition_sync.merge, entity, done)
            yield dg.MaterializeResult(asset_key=asset_key(entity), metadata=total)

    return sync


def _partitions_of(context: dg.AssetExecutionContext) -> Sequence[str]:
    single = context.has_partition_key or context.has_partition_key_range
    return context.partition_keys if single else ()


def _sync_all(
    context: dg.AssetExecutionContext,
    partition_sync: PartitionSync,
    selected: Sequence[Partition],
    scope: Scope,
) -> dict[str, list[MergeResult]]:
    """Sync partitions, each by itself; returns results by key, or raises `Failure` if some failed."""
    done: dict[str, list[MergeResult]] = {}
    failed: dict[str, SyncError] = {}
    label = partition_sync.partition_set.label
    if not selected:
        log.info("%s: there is no %s to sync", partition_sync.system.name, label)
    for at, partition in enumerate(selected, 1):
        log.info("%s %s of %s: %s", label, at, len(selected), partition.key)
        try:
            done[partition.key] = partition_sync.sync(partition, scope)
        except SyncError as error:
            failed[partition.key] = error
    if not _partitions_of(context) and not scope.dry_run:
        _materialize_partitions(context, partition_sync, done)
    if failed:
        raise dg.Failure(
            description="; ".join(f"{key}: {error}" for key, error in failed.items()),
            allow_retries=False,
        ) from next(iter(failed.values()))
    return done


def _materialize_partitions(
    context: dg.AssetExecutionContext,
    partition_sync: PartitionSync,
    done: Mapping[str, Sequence[MergeResult]],
) -> None:
    """Materialize each partition of a run that was started without a partition key."""
    context.instance.add_dynamic_partitions(partition_sync.partition_set.name, list(done))
    for key, results in done.items():
        for result in results:
            context.log_event(
                dg.AssetMaterialization(
                    asset_key(result.entity),
                    partition=key,
                    metadata=partition_sync.merge.describe(result),
                )
            )


def _total_metadata(
    merge: MergeIOManager, entity: Entity, done: Mapping[str, Sequence[MergeResult]]
) -> dict[str, Any]:
    """The metadata of an entity, summed over the partitions of a run."""
    results = {k: r for k, found in done.items() for r in found if r.entity.name == entity.name}
    if not results:
        return {"status": "nothing to do: no partition to sync"}
    if len(results) == 1:
        return merge.describe(next(iter(results.values())))
    terms = (dataclasses.astuple(result.counts) for result in results.values())
    total = Counts(*map(sum, zip(*terms, strict=True)))
    last = next(reversed(results.values()))
    return {
        "dagster/row_count": merge.describe(last)["dagster/row_count"],
        **total.as_dict(),
        "balanced": total.read == total.accounted,
        "parts": dg.MetadataValue.json({key: r.counts.as_dict() for key, r in results.items()}),
    }
