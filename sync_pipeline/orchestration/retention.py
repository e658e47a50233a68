"""Retention: the nightly job and schedule that remove old bookkeeping and old Dagster runs.

Dagster purges ticks by itself but never event logs; deleting a run deletes its events. The last
materialization of every asset stays visible, because the last runs are within the retention.
"""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping.retention import purge
from sync_pipeline.orchestration.resources import TargetDatabase, with_bookkeeping
from sync_pipeline.settings import Settings

RUNS_PER_NIGHT = 2_000  # a bound on one tick's work; the rest goes the next night

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def retention_job(others: Sequence[TargetDatabase]) -> dg.JobDefinition:
    """The job; `others` are databases beside the target, cleaned if they have bookkeeping."""

    @dg.op(description="Removes bookkeeping and Dagster runs older than SYNC_RETENTION_DAYS.")
    def remove_old(context: dg.OpExecutionContext) -> None:
        keep = Settings.read().retention
        removed: Counter[str] = Counter()
        try:
            for database in with_bookkeeping(others):
                with database.connect() as connection:
                    removed.update(purge(connection, keep=keep))
        except SyncError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        before = dt.datetime.now(dt.UTC) - keep
        old = context.instance.get_run_records(
            dg.RunsFilter(statuses=ENDED, created_before=before), limit=RUNS_PER_NIGHT
        )
        for record in old:
            context.instance.delete_run(record.dagster_run.run_id)
        context.add_output_metadata({**removed, "dagster_runs": len(old)})

    @dg.job(
        name="retention",
        description="Removes what is older than SYNC_RETENTION_DAYS; unresolved conflicts, rejections and"
        " parked records stay.",
        executor_def=dg.in_process_executor,
    )
    def retention() -> None:
        remove_old()

    return retention


def nightly(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """The schedule of the retention job."""
    return dg.ScheduleDefinition(
        name="retention_nightly",
        job=job,
        cron_schedule="15 4 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes old bookkeeping every night.",
    )
