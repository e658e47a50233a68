"""Schedules that skip a tick while a run of the same source is in progress; Dagster has no such option."""

from collections.abc import Callable

import dagster as dg

from sync_pipeline.model.system import System
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG
from sync_pipeline.orchestration.jobs import AssetJob
from sync_pipeline.settings import Settings

IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def run_in_progress(instance: dg.DagsterInstance, system: str) -> dg.DagsterRun | None:
    """A run of a system in progress, if any.

    Runs of jobs carry a tag; those that the UI starts for single assets only have an asset selection.
    """
    in_progress = [
        r.dagster_run for r in instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS))
    ]
    return next((run for run in in_progress if _concerns(run, system)), None)


def _concerns(run: dg.DagsterRun, system: str) -> bool:
    return run.tags.get(SOURCE_TAG) == system or any(
        key.path[0] == system for key in run.asset_selection or ()
    )


Unready = Callable[[], "str | None"]
"""The reason why runs of a system cannot start, such as an unset variable; None: they can."""


def unnamed_source(system: System) -> Unready:
    """A check that the variable of a system's source is set."""

    def unready() -> str | None:
        variable = system.source.missing(Settings.read())
        return f"{variable} is not set" if variable else None

    return unready


def skipping_schedule(
    job: AssetJob,
    system: System,
    cron: str,
    *,
    name: str,
    time_zone: str,
    description: str,
    unready: Unready = lambda: None,
) -> dg.ScheduleDefinition:
    """A schedule that skips its tick while a run of the same source is in progress, in either direction."""

    @dg.schedule(
        job=job,
        cron_schedule=cron,
        name=name,
        execution_timezone=time_zone,
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        why = unready()
        if why:
            return dg.SkipReason(why)
        busy = run_in_progress(context.instance, system.key_prefix[0])
        if busy:
            return dg.SkipReason(
                f"{busy.job_name} {busy.run_id[:8]} of {system.key_prefix[0]} is still running"
            )
        return dg.RunRequest(tags={"sync/trigger": "schedule"})

    return tick
