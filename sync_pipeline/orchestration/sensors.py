"""Sensors of all systems: the sensor of `sync.request`, and the run-status sensors of the history.

A tick does a bounded amount of work. A request stays in `sync.request` until a run has finished it. Sensors
of one system belong in its folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import requests
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG
from sync_pipeline.orchestration.jobs import AssetJob
from sync_pipeline.orchestration.launch import SystemRuns
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase
from sync_pipeline.orchestration.run_history import REQUEST_TAG, close_everywhere, close_missed_run
from sync_pipeline.postgres.connect import Connection

REQUESTS_PER_TICK = 20
RUN_KEY_TAG = "dagster/run_key"


def keys_request(
    runs: SystemRuns,
    entity: str,
    keys: Sequence[str],
    *,
    run_key: str,
    trigger: str,
    force: bool = False,
) -> dg.RunRequest:
    """A run request for the records of one entity with these keys, and the patches after them.

    Dagster never runs a `run_key` twice, so it must name the content: a version, a time, an attempt.
    """
    scope = SyncScope(mode="keys", ids=list(keys), force=force)
    return dg.RunRequest(
        run_key=run_key,
        job_name=runs.partial,
        asset_selection=runs.selection([entity]),
        run_config=dg.RunConfig(resources={"scope": scope}),
        tags={"sync/trigger": trigger, SOURCE_TAG: runs.system.key_prefix[0]},
    )


def request_sensor(systems: Sequence[SystemRuns], jobs: Sequence[AssetJob]) -> dg.SensorDefinition:
    """The sensor that turns the rows of `sync.request` into runs of the systems' partial jobs."""
    by_name = {runs.system.name: runs for runs in systems}

    @dg.sensor(
        jobs=jobs,
        name="sync_requests",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs what apps and people queued in sync.request: system, entity, keys, reason.",
    )
    def tick(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        try:
            _close_missed_runs(context.instance)
            with TargetDatabase().connect() as connection:
                found = list(_requested(connection, by_name))
        except SyncError as error:
            yield dg.SkipReason(str(error))
            return
        yield from found
        if not found:
            yield dg.SkipReason("no request in sync.request")

    return tick


def _requested(
    connection: Connection, by_name: Mapping[str, SystemRuns]
) -> Iterator[dg.RunRequest]:
    """A run request for each waiting request, oldest first; invalid ones are refused."""
    for request in requests.waiting(connection, REQUESTS_PER_TICK):
        runs = by_name.get(request.system)
        if runs is None or request.entity not in {e.name for e in runs.system.entities}:
            requests.refuse(connection, request.id, "no such system and entity")
            continue
        run = keys_request(
            runs,
            request.entity,
            request.keys,
            run_key=_run_key(request),
            trigger=f"request: {request.reason}"[:200],
            force=request.force,
        )
        yield run.with_replaced_attrs(tags={**run.tags, REQUEST_TAG: str(request.id)})


def _run_key(request: requests.Request) -> str:
    return f"request:{request.id}:{request.attempts}"


def _close_missed_runs(instance: dg.DagsterInstance) -> None:
    """Finish requests whose ended run no sensor closed; they would wait for ever."""
    database = TargetDatabase()
    with database.connect() as connection:
        waiting = requests.waiting(connection, REQUESTS_PER_TICK)
    for request in waiting:
        this_attempt = {REQUEST_TAG: str(request.id), RUN_KEY_TAG: _run_key(request)}
        for run in instance.get_runs(dg.RunsFilter(tags=this_attempt), limit=1):
            if run.is_finished:
                close_missed_run(database, run)


def history_sensors(others: Sequence[TargetDatabase]) -> list[Any]:
    """Run-status sensors that close the history row of every ended run, in all databases with bookkeeping."""
    options: dict[str, Any] = {
        "default_status": dg.DefaultSensorStatus.RUNNING,
        "minimum_interval_seconds": 15,
    }

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="close_history",
        description="Closes the history row of a run that succeeded, and finishes its request.",
        **options,
    )
    def succeeded(context: dg.RunStatusSensorContext) -> None:
        close_everywhere(others, context.dagster_run, failed=False)

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.CANCELED,
        name="close_history_of_canceled",
        description="Closes the history row of a run that was canceled.",
        **options,
    )
    def canceled(context: dg.RunStatusSensorContext) -> None:
        close_everywhere(others, context.dagster_run, failed=True, error="canceled")

    @dg.run_failure_sensor(
        name="close_history_of_failed",
        description="Closes the history row of a run that failed or whose process was killed.",
        **options,
    )
    def failed(context: dg.RunFailureSensorContext) -> None:
        message = context.failure_event.message or "the run failed"
        close_everywhere(others, context.dagster_run, failed=True, error=message)

    return [succeeded, canceled, failed]
