"""The menus' jobs. Each runs for one partition, a source configuration, or for all of them without one."""

from sync_pipeline.orchestration.jobs import table_job
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.systems.integrations.entities import INTEGRATIONS

integrations_sync = table_job(
    INTEGRATIONS,
    "integrations_sync",
    "The menus that have changed since their last sync. Choose a partition to sync one source configuration"
    " now; without one all active ones are synced, a transaction each.",
)

integrations_full = table_job(
    INTEGRATIONS,
    "integrations_full",
    "Every menu in full, changed or not.",
    full=True,
)

integrations_partial = table_job(
    INTEGRATIONS,
    "integrations_partial",
    "Some source configurations by id or name, as apps request them through sync.request.",
)

JOBS = [integrations_sync, integrations_full, integrations_partial]

RUNS = SystemRuns(
    INTEGRATIONS,
    delta="integrations_sync",
    full="integrations_full",
    partial="integrations_partial",
    ranges=False,
)
