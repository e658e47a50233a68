"""Our side as Dagster runs it: the same tables as assets of a job in this process, with all their checks."""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg

from sync_pipeline.definitions import defs
from sync_pipeline_tests.bench.measure import Done, Job, main

JOBS = {
    ("desktop", "full"): "desktop_full",
    ("desktop", "delta"): "desktop_sync",
    ("desktop_reverse", "delta"): "desktop_reverse",
}
SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def load(job: Job) -> Done:
    """One run; the instance keeps its events in memory."""
    names = ("SYNC_TARGET_DSN", "DESKTOP_DSN")
    dsns = (job.source, job.dsn) if job.system == "desktop_reverse" else (job.dsn, job.source)
    os.environ |= dict(zip(names, dsns, strict=True))
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(JOBS[job.system, job.mode]).execute_in_process(
            instance=instance, run_config=SILENT
        )
    found = list(_metadata(result))
    return Done(
        sum(m["inserted"].value + m["updated"].value for m in found),
        sum(m["bytes"].value for m in found),
    )


def _metadata(result: dg.ExecuteInProcessResult) -> Iterator[Any]:
    for event in result.get_asset_materialization_events():
        yield event.materialization.metadata


if __name__ == "__main__":
    main(load)
