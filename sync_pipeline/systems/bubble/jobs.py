"""The Bubble system's jobs: those of every system, and two that sync packages of invoices."""

from sync_pipeline.orchestration.jobs import table_job
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.orchestration.resources import SyncScope
from sync_pipeline.systems.bubble.assets import package_outcome
from sync_pipeline.systems.bubble.entities import BUBBLE

bubble_sync = table_job(
    BUBBLE,
    "bubble_sync",
    "Everything that changed in Bubble since the last run, in the order of the links, then the"
    " patches. Needs no configuration.",
)

bubble_full = table_job(
    BUBBLE,
    "bubble_full",
    "Every record of every type, proven complete; also finds records that are missing from Bubble.",
    full=True,
)

bubble_partial = table_job(
    BUBBLE,
    "bubble_partial",
    "Some records by id, as sensors and apps request them through sync.request.",
)

invoice_resync = table_job(
    BUBBLE,
    "invoice_resync",
    "Some invoices by id, each with everything that belongs to it: customer, agent, users,"
    " payments, items, SEDA. Set ids to the invoices' ids; force re-asserts Bubble over local edits;"
    " dry_run only plans.",
    scope=SyncScope(mode="keys", of="invoice"),
    extra=[package_outcome.key],
)

invoice_batch_resync = table_job(
    BUBBLE,
    "invoice_batch_resync",
    "All invoices modified between since and until, both included, each with its package.",
    scope=SyncScope(mode="range", of="invoice"),
    extra=[package_outcome.key],
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
