"""Assets of entities that change together: one multi-asset, a transaction for each part.

A part that fails is told of and keeps no other from being synced; the run then ends in failure, with
what landed in its history.
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
    """What the sync of a part needs, for the length of a run."""

    system: System
    entities: tuple[Entity, ...]
    parts: PartitionSet
    source: Source
    target: TargetDatabase
    merge: MergeIOManager
    run_id: UUID

    def sync(self, part: Partition, scope: Scope) -> list[MergeResult]:
        """Read one part and merge it, all of its entities in one transaction.

        Raises:
            SyncError: nothing of it was written.
        """
        mode = "full" if scope.mode == "keys" else scope.mode
        wished = dataclasses.replace(scope, mode=mode, keys=(), partition=part.value)
        # One sync of a part at a time: what it left open when it was killed is then known to be dead.
        with self.target.system_locked(f"{self.system.name} {part.value}"):
            if scope.dry_run:
                return self.merge.merge(self.system, self._streams(wished), self.run_id)
            with self.parts.account(self.target, self.run_id, part) as also:
                return self.merge.merge(self.system, self._streams(wished), self.run_id, also)

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
    system: System, group: tuple[str, ...], wiring: ResourceKeys, parts: PartitionSet
) -> dg.AssetsDefinition:
    """The assets of a group, a partition for each part."""
    entities = tuple(system[name] for name in system.together(group))

    @dg.multi_asset(
        name="__".join((*system.key_prefix, *group))[:100],
        specs=[dg.AssetSpec(**described(system, e, wiring)) for e in entities],
        partitions_def=parts.partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={wiring.source, wiring.target, wiring.merge, "scope"},
    )
    def sync(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        resources = context.resources
        target = getattr(resources, wiring.target)
        tools = PartitionSync(
            system,
            entities,
            parts,
            getattr(resources, wiring.source),
            target,
            getattr(resources, wiring.merge),
            UUID(context.run.run_id),
        )
        try:
            scope = resources.scope.resolve()
            named = _partitions_of(context) or scope.keys
            with target.connect() as connection:
                wanted = parts.wanted(connection, named)
        except SyncError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        done = _sync_all(context, tools, wanted, scope)
        for entity in entities:
            yield dg.MaterializeResult(
                asset_key=asset_key(entity),
                metadata=_summed(tools.merge, entity, done),
            )

    return sync


def _partitions_of(context: dg.AssetExecutionContext) -> Sequence[str]:
    single = context.has_partition_key or context.has_partition_key_range
    return context.partition_keys if single else ()


def _sync_all(
    context: dg.AssetExecutionContext,
    tools: PartitionSync,
    wanted: Sequence[Partition],
    scope: Scope,
) -> dict[str, list[MergeResult]]:
    """Sync parts one after the other.

    Returns:
        What was merged, by partition.

    Raises:
        dagster.Failure: some of them failed; the others are merged.
    """
    done: dict[str, list[MergeResult]] = {}
    failed: dict[str, SyncError] = {}
    if not wanted:
        log.info("%s: there is no %s to sync", tools.system.name, tools.parts.word)
    for at, part in enumerate(wanted, 1):
        log.info("%s %s of %s: %s", tools.parts.word, at, len(wanted), part.key)
        try:
            done[part.key] = tools.sync(part, scope)
        except SyncError as error:
            failed[part.key] = error
    if not _partitions_of(context) and not scope.dry_run:
        _materialize_parts(context, tools, done)
    if failed:
        raise dg.Failure(
            description="; ".join(f"{key}: {error}" for key, error in failed.items()),
            allow_retries=False,
        ) from next(iter(failed.values()))
    return done


def _materialize_parts(
    context: dg.AssetExecutionContext,
    tools: PartitionSync,
    done: Mapping[str, Sequence[MergeResult]],
) -> None:
    """Show in the UI which partitions a run over all of them has brought up to date."""
    context.instance.add_dynamic_partitions(tools.parts.partitions_name, list(done))
    for key, results in done.items():
        for result in results:
            context.log_event(
                dg.AssetMaterialization(
                    asset_key(result.entity),
                    partition=key,
                    metadata=tools.merge.describe(result),
                )
            )


def _summed(
    merge: MergeIOManager, entity: Entity, done: Mapping[str, Sequence[MergeResult]]
) -> dict[str, Any]:
    """The metadata of an entity over the parts of a run."""
    results = {k: r for k, found in done.items() for r in found if r.entity.name == entity.name}
    if not results:
        return {"status": "nothing to do: no part is to be synced"}
    if len(results) == 1:
        return merge.describe(next(iter(results.values())))
    total = Counts()
    for result in results.values():
        total = Counts(*(a + b for a, b in zip(_terms(total), _terms(result.counts), strict=True)))
    last = next(reversed(results.values()))
    counted = {key: r.counts.as_dict() for key, r in results.items()}
    return {
        "dagster/row_count": merge.describe(last)["dagster/row_count"],
        **total.as_dict(),
        "balanced": total.read == total.accounted,
        "parts": dg.MetadataValue.json(counted),
    }


def _terms(counts: Counts) -> tuple[int, ...]:
    return dataclasses.astuple(counts)
