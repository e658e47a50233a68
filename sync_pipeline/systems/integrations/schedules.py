"""The menus' schedules: each configuration at its own frequency, and everything every night."""

import datetime as dt
from collections.abc import Sequence

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.schedules import IN_PROGRESS, skipping_schedule, unnamed_source
from sync_pipeline.systems.integrations.assets import PARTITION_SET
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.integrations.jobs import integrations_full, integrations_sync
from sync_pipeline.systems.integrations.source_configs import SourceConfig, configurations

unready = unnamed_source(INTEGRATIONS)


@dg.schedule(
    job=integrations_sync,
    cron_schedule="* * * * *",
    name="integrations_due",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every minute: syncs the source configurations whose sync_frequency_minutes have passed since"
    " their last sync, each as a run of its own.",
)
def integrations_due(
    context: dg.ScheduleEvaluationContext,
) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """Request a run for each configuration that is due and not running."""
    return due(context.instance, context.scheduled_execution_time)


def due(instance: dg.DagsterInstance, now: dt.datetime) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """A run for each configuration that is due and not running, or why there is none."""
    configs = load_configurations()
    if isinstance(configs, dg.SkipReason):
        return configs
    found = [c for c in configs if c.due(now)]
    busy = running_partitions(instance, configs)
    # Dagster requires a run key for each of several requests; the time makes it unique to the tick.
    requests = [
        run_request(instance, c, "schedule", f"due:{c.config_id}:{now.isoformat()}")
        for c in found
        if c.partition_key not in busy
    ]
    return requests or dg.SkipReason(
        f"{len(found)} configurations are due and being synced already"
    )


def load_configurations() -> list[SourceConfig] | dg.SkipReason:
    """The configurations on the target; a reason to skip the tick if source or target are not ready."""
    why = unready()
    if why:
        return dg.SkipReason(why)
    try:
        with TargetDatabase().connect() as connection:
            return configurations(connection)
    except SyncError as error:
        return dg.SkipReason(str(error))


def running_partitions(instance: dg.DagsterInstance, configs: Sequence[SourceConfig]) -> set[str]:
    """Partitions of runs that have not ended; a run without a partition covers all."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=IN_PROGRESS, tags={SOURCE_TAG: INTEGRATIONS.name})
    )
    keys = [r.dagster_run.tags.get("dagster/partition") for r in records]
    return {c.partition_key for c in configs} if None in keys else {key for key in keys if key}


def run_request(
    instance: dg.DagsterInstance, config: SourceConfig, trigger: str, run_key: str | None = None
) -> dg.RunRequest:
    """A run of one configuration's partition."""
    # The partition must exist when Dagster reads the request, perhaps before the sensor has added it.
    instance.add_dynamic_partitions(PARTITION_SET.name, [config.partition_key])
    return dg.RunRequest(
        run_key=run_key,
        partition_key=config.partition_key,
        tags={"sync/trigger": trigger, SOURCE_TAG: INTEGRATIONS.name},
    )


integrations_nightly = skipping_schedule(
    integrations_full,
    INTEGRATIONS,
    "40 3 * * *",
    name="integrations_nightly",
    time_zone="UTC",
    description="Every menu in full, every night: finds changes that nothing has announced.",
    unready=unready,
)

SCHEDULES = [integrations_due, integrations_nightly]
