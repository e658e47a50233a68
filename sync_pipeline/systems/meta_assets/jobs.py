"""The phone cache's jobs."""

from sync_pipeline.orchestration.jobs import table_job
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.systems.meta_assets.entities import META_ASSETS

meta_assets_sync = table_job(
    META_ASSETS,
    "meta_assets_sync",
    "The phone numbers of every connected workspace. The error of a workspace that fails is"
    " written into its rows' last_error; the others are synced.",
)

meta_assets_full = table_job(
    META_ASSETS,
    "meta_assets_full",
    "The phone numbers of every connected workspace, re-asserted over what other programs wrote into the"
    " cache, such as a webhook that empties ratings.",
    full=True,
    force=True,
)

meta_assets_partial = table_job(
    META_ASSETS,
    "meta_assets_partial",
    "Some phone numbers or workspaces by id, as apps and the embedded sign-up request them through"
    " sync.request.",
)

JOBS = [meta_assets_sync, meta_assets_full, meta_assets_partial]

RUNS = SystemRuns(
    META_ASSETS,
    delta="meta_assets_sync",
    full="meta_assets_full",
    partial="meta_assets_partial",
    ranges=False,
)
