"""The Bubble system's assets: eight tables, two patches, and the outcome of the last package resync."""

from uuid import UUID

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline.orchestration.asset_checks import entity_checks
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, patch_key
from sync_pipeline.orchestration.assets import (
    ResourceKeys,
    entity_assets,
    patch_assets,
    source_assets,
)
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.resource import outcome_of

SOURCES = source_assets(BUBBLE)
ENTITIES = entity_assets(BUBBLE, ResourceKeys("bubble"))
PATCHED = patch_assets(BUBBLE)
CHECKS = entity_checks(BUBBLE)


@dg.asset(
    key=dg.AssetKey([BUBBLE.name, "package_outcome"]),
    deps=[patch_key(BUBBLE, p) for p in BUBBLE.patches],  # which come after all tables
    group_name=BUBBLE.name,
    description="What became of each invoice of the last package resync: synced, skipped or failed, and why.",
    kinds={"postgres"},
    tags={"sync/level": "outcome", SOURCE_TAG: BUBBLE.name},
    owners=["team:data"],
    required_resource_keys={"bubble", "target", "scope"},
)
def package_outcome(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Write the outcome per invoice into the run's metadata and its history row."""
    scope = context.resources.scope.resolve()
    if not scope.of:
        return dg.MaterializeResult(metadata={"status": "this run synced no packages"})
    run_id = UUID(context.run.run_id)
    try:
        packages = context.resources.bubble.packages(scope)
        with context.resources.target.connect() as connection:
            touched, rejected = runs.moved_keys(connection, BUBBLE, run_id)
            outcome = outcome_of(packages, touched, rejected)
            runs.annotate(connection, run_id, {"packages": outcome})
    except SyncError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    return dg.MaterializeResult(metadata=outcome)


ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [*SOURCES, *ENTITIES, *PATCHED, package_outcome]
