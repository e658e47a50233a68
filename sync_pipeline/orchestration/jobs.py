"""Asset jobs: the factory for jobs over the tables and patches of a system.

They run in process: a step in a process of its own costs about a second, and one process means one
client of the source, hence one rate limit, one token, one snapshot.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from sync_pipeline.model.system import System
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, TARGET_TAG, asset_key, patch_key
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase

AssetJob = Any  # what define_asset_job returns; Dagster does not export its type


def table_job(
    system: System,
    name: str,
    description: str,
    *,
    full: bool = False,
    force: bool = False,
    target: str = TargetDatabase.key,
    scope: SyncScope | None = None,
    extra: Sequence[dg.AssetKey] = (),
) -> AssetJob:
    """A job over the tables and patches of a system, and `extra` assets, into the resource `target`.

    Its default scope is `scope`, or everything with `full`, over local edits too with `force`.
    """
    if full:
        scope = SyncScope(mode="full", force=force)
    tables = (asset_key(e) for e in system.entities)
    patches = (patch_key(system, p) for p in system.patches)
    return dg.define_asset_job(
        name,
        dg.AssetSelection.assets(*tables, *patches, *extra),
        description=description,
        config=dg.RunConfig(resources={"scope": scope}) if scope else None,
        tags={SOURCE_TAG: system.key_prefix[0], TARGET_TAG: target},
        executor_def=dg.in_process_executor,
    )
