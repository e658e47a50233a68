"""Asset factories: an asset per entity, one per patch, an external asset per source type."""

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
from sync_pipeline.orchestration.partitions import PartitionSet

STALE = dg.FreshnessPolicy.time_window(
    fail_window=dt.timedelta(hours=26), warn_window=dt.timedelta(hours=3)
)
"""Tables are synced hourly and, in full, nightly: three missed hours are a warning, a missed night fails."""


def source_assets(system: System) -> list[dg.AssetSpec]:
    """The record types at the source, so that lineage begins where the data does."""
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
    """The resources of a system's assets, by their keys, and where their data comes from.

    Attributes:
        source: reads the entities, a `resources.Source`.
        target: the database that they are merged into, a `resources.TargetDatabase`.
        merge: the IO manager that merges into it.
        origin: the asset that an entity's records come from.
        one_at_a_time: a run keeps others of its system away; its source is read in one snapshot.
        parts: for a system that is read in parts, one transaction each.
    """

    source: str
    target: str = "target"
    merge: str = "merge"
    origin: Callable[[Entity], dg.AssetKey] = source_key
    one_at_a_time: bool = False
    parts: PartitionSet | None = None


def entity_assets(system: System, wiring: ResourceKeys) -> list[dg.AssetsDefinition]:
    """One asset per entity; the links between entities are the lineage."""
    return [_entity_asset(system, entity, wiring) for entity in system.in_order()]


def described(system: System, entity: Entity, wiring: ResourceKeys) -> dict[str, Any]:
    """What an entity's asset tells of itself, and what it stands on."""
    level = system.levels[entity.name]
    origin = wiring.origin(entity)
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


def _entity_asset(system: System, entity: Entity, wiring: ResourceKeys) -> dg.AssetsDefinition:
    @dg.asset(
        **described(system, entity, wiring),
        required_resource_keys={wiring.source, wiring.target, "scope"},
        io_manager_key=wiring.merge,
    )
    def sync(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        reader = getattr(context.resources, wiring.source)
        target = getattr(context.resources, wiring.target)
        try:
            scope = context.resources.scope.resolve()
            if wiring.one_at_a_time:
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
    """How far a patch looks."""

    everything: bool = False
    """Over all rows. Otherwise over those that this run touched, or over all when it touched neither end."""


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
