"""Orphaned runs, whose process was killed: the sensor that closes them, in Dagster and in the history.

Dagster's run launcher does not monitor its processes, and a run of the command line has no launcher. Until
such a run is closed, schedules skip their ticks and the queue holds back runs of its source.
"""

from collections.abc import Sequence

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import run_lock
from sync_pipeline.orchestration.resources import TargetDatabase, with_bookkeeping
from sync_pipeline.orchestration.run_history import close_missed_run
from sync_pipeline.postgres.connect import Connection

MESSAGE = (
    "The process of this run was killed, or the machine went down. What the run had committed stands, the"
    " rest was never written, and the next run needs no repair."
)


def close_orphaned(
    instance: dg.DagsterInstance, connection: Connection, database: TargetDatabase
) -> list[str]:
    """Close orphaned runs, in Dagster and in the history of a database; returns their ids."""
    closed: list[str] = []
    for run_id in run_lock.orphaned(connection):
        run = instance.get_run_by_id(str(run_id))
        if run and run.is_finished:
            # The run ended normally; only its history row is still open.
            close_missed_run(database, run)
            continue
        if run:
            instance.report_run_failed(run, MESSAGE)
        run_lock.close(connection, run_id, MESSAGE)
        closed.append(str(run_id))
    return closed


def orphaned_runs_sensor(others: Sequence[TargetDatabase]) -> dg.SensorDefinition:
    """The sensor that closes orphaned runs, in the target and in other databases with bookkeeping."""

    @dg.sensor(
        name="settle_abandoned",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Closes runs of killed processes, so that they do not block schedules or the queue.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        closed: list[str] = []
        try:
            for database in with_bookkeeping(others):
                with database.connect() as connection:
                    closed += close_orphaned(context.instance, connection, database)
        except SyncError as error:
            return dg.SkipReason(str(error))
        return dg.SkipReason(
            f"closed {', '.join(closed)}" if closed else "every run has its process"
        )

    return tick
