"""Runs whose process was killed: nothing of them is left but a run that seems to go on for ever.

Dagster's launcher does not watch its processes, and a run of the command line has none that it could
watch. Until such a run is settled, schedules skip their ticks and the queue holds back runs of its source.
"""

from collections.abc import Sequence

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import run_lock
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.run_history import close_missed_run
from sync_pipeline.postgres.connect import Connection

MESSAGE = (
    "The process of this run ended without a word: it was killed, or the machine went down. What it had"
    " committed stands, the rest was never written, and the next run needs no repair."
)


def settle(
    instance: dg.DagsterInstance, connection: Connection, database: TargetDatabase
) -> list[str]:
    """Close abandoned runs, in Dagster and in the history of a database.

    Returns:
        Their ids.
    """
    settled = []
    for run_id in run_lock.orphaned(connection):
        run = instance.get_run_by_id(str(run_id))
        if run and run.is_finished:
            # It ended as it should, and only its history was not closed yet.
            close_missed_run(database, run)
            continue
        if run:
            instance.report_run_failed(run, MESSAGE)
        run_lock.close(connection, run_id, MESSAGE)
        settled.append(str(run_id))
    return settled


def orphaned_runs_sensor(others: Sequence[TargetDatabase]) -> dg.SensorDefinition:
    """Looks for runs without a process, in the target and in other databases that keep account."""

    @dg.sensor(
        name="settle_abandoned",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Closes runs whose process was killed, so that they hold nobody up.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settled: list[str] = []
        try:
            for database in (TargetDatabase(), *(d for d in others if d.keeps_account())):
                with database.connect() as connection:
                    settled += settle(context.instance, connection, database)
        except SyncError as error:
            return dg.SkipReason(str(error))
        return dg.SkipReason(
            f"closed {', '.join(settled)}" if settled else "every run has its process"
        )

    return tick
