"""The Bubble system's jobs.

All run in one process: a step in a process of its own costs about a second, and one process means one
client, so one rate limit and one fetch per package.
"""

from __future__ import annotations

import dagster as dg

from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, asset_key, patch_key
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.orchestration.resources import SyncScope
from sync_pipeline.systems.bubble.assets import package_outcome
from sync_pipeline.systems.bubble.entities import BUBBLE

TABLES = dg.AssetSelection.assets(
    *(asset_key(e) for e in BUBBLE.entities), *(patch_key(BUBBLE, p) for p in BUBBLE.patches)
)
PACKAGES = TABLES | dg.AssetSelection.assets(package_outcome.key)
TAGS = {SOURCE_TAG: BUBBLE.name}


def _scope(scope: SyncScope) -> dg.RunConfig:
    return dg.RunConfig(resources={"scope": scope})


bubble_sync = dg.define_asset_job(
    "bubble_sync",
    TABLES,
    description="Everything that changed in Bubble since the last run, in the order of the links, then the"
    " patches. Needs no configuration.",
    tags=TAGS,
    executor_def=dg.in_process_executor,
)

bubble_full = dg.define_asset_job(
    "bubble_full",
    TABLES,
    description="Every record of every type, proven complete; also finds what vanished from Bubble.",
    config=_scope(SyncScope(mode="full")),
    tags=TAGS,
    executor_def=dg.in_process_executor,
)

invoice_resync = dg.define_asset_job(
    "invoice_resync",
    PACKAGES,
    description="Some invoices by id, each with everything that belongs to it: customer, agent, users,"
    " payments, items, SEDA. Set ids to the invoices' ids; force re-asserts Bubble over local edits;"
    " dry_run only plans.",
    config=_scope(SyncScope(mode="keys", of="invoice")),
    tags=TAGS,
    executor_def=dg.in_process_executor,
)

invoice_batch_resync = dg.define_asset_job(
    "invoice_batch_resync",
    PACKAGES,
    description="All invoices modified between since and until, both included, each with its package.",
    config=_scope(SyncScope(mode="range", of="invoice")),
    tags=TAGS,
    executor_def=dg.in_process_executor,
)

bubble_partial = dg.define_asset_job(
    "bubble_partial",
    TABLES,
    description="Some records by id, as sensors and apps request them through sync.request.",
    tags=TAGS,
    executor_def=dg.in_process_executor,
)

JOBS = [bubble_sync, bubble_full, invoice_resync, invoice_batch_resync, bubble_partial]

RUNS = SystemRuns(
    BUBBLE,
    delta="bubble_sync",
    full="bubble_full",
    partial="bubble_partial",
    package_of="invoice",
    package="invoice_resync",
    package_range="invoice_batch_resync",
)
