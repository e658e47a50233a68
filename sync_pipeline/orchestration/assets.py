"""Asset factories: one asset per entity and per patch, an external asset per record type of the source.

Partitioned groups of entities belong in `multi_assets`.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge import patches
from sync_pipeline.merge.bookkeeping import runs, watermarks
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.patch import Patch
from sync_pipeline.model.system import System
from sync_pipeline.orchestration import metadata
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, asset_key, patch_key, source_key

STALE = dg.FreshnessPolicy.time_window(
    fail_window=dt.timedelta(hours=26), warn_window=dt.timedelta(hours=3)
)
"""Tables are synced hourly and, in full, nightly: three missed hours are a warning, a missed night fails."""


def source_assets(system: System) -> list[dg.AssetSpec]:
    """External assets: the record types at the source, where lineage begins."""
    return [
        dg.AssetSpec(
            source_key(entity),
            group_name=system.name,
            description=f"{entity.source} records as {system.name} holds them.",
            kinds={system.name},
            tags={SOURCE_TAG: system.name},
        )
        for entity in system.entities
    ]


@dataclass(frozen=True)
class ResourceKeys:
    """Keys of the resources of a system's assets: its `Source`, its `TargetDatabase`, its IO manager.

    `origin` is the asset that an entity's records come from. With `one_at_a_time` a run locks its system,
    whose source is read in one snapshot.
    """

    source: str
    target: str = "target"
    merge: str = "merge"
    origin: Callable[[Entity], dg.AssetKey] = source_key
    one_at_a_time: bool = False


def entity_assets(system: System, keys: ResourceKeys) -> list[dg.AssetsDefinition]:
    """One asset per entity; the links between entities are the lineage."""
    return [_entity_asset(system, entity, keys) for entity in system.in_order()]


def described(system: System, entity: Entity, keys: ResourceKeys) -> dict[str, Any]:
    """The arguments of an entity's asset spec."""
    level = system.levels[entity.name]
    origin = keys.origin(entity)
    return {
        "key": asset_key(entity),
        "deps": [origin, *(asset_key(system[p]) for p in entity.hard_parents)],
        "group_name": system.key_prefix[0],
        "description": f"{entity.description} Level {level}. Merged three ways from {entity.source}.",
        "kinds": {"postgres", system.key_prefix[0]},
        "tags": {"sync/level": str(level), SOURCE_TAG: system.key_prefix[0]},
        "owners": ["team:data"],
        "metadata": metadata.defined(entity, level, origin),
        "freshness_policy": STALE,
    }


def _entity_asset(system: System, entity: Entity, keys: ResourceKeys) -> dg.AssetsDefinition:
    @dg.asset(
        **described(system, entity, keys),
        required_resource_keys={keys.source, keys.target, "scope"},
        io_manager_key=keys.merge,
    )
    def sync(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        reader = getattr(context.resources, keys.source)
        target = getattr(context.resources, keys.target)
        try:
            scope = context.resources.scope.resolve()
            if keys.one_at_a_time:
                target.lock_system(system.name)
            with target.connect() as connection:
                since = (
                    watermarks.progress(connection, entity) if scope.mode == "delta" else Progress()
                )
            return dg.MaterializeResult(value=reader.read(entity, scope, since))
        except SyncError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error

    return sync  # pyright: ignore[reportReturnType]  it cannot tell the overload from a splat


def patch_assets(system: System) -> list[dg.AssetsDefinition]:
    """One asset per patch, downstream of both ends."""
    return [_patch_asset(system, patch) for patch in system.patches]


class PatchConfig(dg.Config):
    """The rows that a patch covers."""

    everything: bool = False
    """All rows. Otherwise those that this run merged, or all if it merged neither end."""


def _patch_asset(system: System, patch: Patch) -> dg.AssetsDefinition:
    earlier = getattr(patch, "after", ())
    ends = [asset_key(system[name]) for name in patch.ends]

    @dg.asset(
        key=patch_key(system, patch),
        deps=[*ends, *(dg.AssetKey([system.name, name]) for name in earlier)],
        group_name=system.name,
        description=patch.description,
        kinds={"postgres"},
        tags={"sync/level": "patch", SOURCE_TAG: system.name},
        owners=["team:data"],
        required_resource_keys={"target", "scope"},
    )
    def restore(context: dg.AssetExecutionContext, config: PatchConfig) -> dg.MaterializeResult:
        scope = context.resources.scope.resolve()
        if scope.dry_run:
            return dg.MaterializeResult(metadata={"status": "skipped: a dry run writes nothing"})
        run_id = UUID(context.run.run_id)
        try:
            with context.resources.target.connect() as connection:
                runs.open_run(connection, run_id, "patch", system=system.name)
                merged = runs.merged_entities(connection, run_id)
                everything = (
                    config.everything or scope.mode == "full" or not merged & set(patch.ends)
                )
                result = patches.run(
                    connection, system, patch, run_id=run_id, everything=everything
                )
        except SyncError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        return dg.MaterializeResult(metadata={**result.counts, "reports": result.reports})

    return restore
