"""When menus are synced by themselves: as often as each configuration says, and when one was made anew."""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline.merge.stream import Progress
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.schedules import IN_PROGRESS, skipping_schedule, unnamed_source
from sync_pipeline.systems.integrations.assets import PARTITIONS, PARTS
from sync_pipeline.systems.integrations.entities import INTEGRATIONS, PRODUCT
from sync_pipeline.systems.integrations.jobs import integrations_full, integrations_sync
from sync_pipeline.systems.integrations.resource import MenuSource
from sync_pipeline.systems.integrations.source_configs import SourceConfig, configurations

MOST_ASKED = 20  # configurations that one tick asks for; the rest waits for the next
PATIENCE = dt.timedelta(seconds=20)  # a tick is cut off after a minute
ENTITY = INTEGRATIONS[PRODUCT.name]


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
    """Request a run for each configuration that is due and has none under way."""
    return due(context.instance, context.scheduled_execution_time)


def due(instance: dg.DagsterInstance, now: dt.datetime) -> Sequence[dg.RunRequest] | dg.SkipReason:
    """A run for each configuration that is due and has none under way, or why there is none."""
    why = unready()
    if why:
        return dg.SkipReason(why)
    try:
        known = _configurations()
    except SyncError as error:
        return dg.SkipReason(str(error))
    wanted = [c for c in known if c.due(now)]
    busy = _busy(instance, known)
    # Dagster wants a key for each of several; the moment makes it another one in every tick.
    found = [
        _request(instance, c, "schedule", f"due:{c.site.config_id}:{now.isoformat()}")
        for c in wanted
        if c.part.key not in busy
    ]
    return found or dg.SkipReason(f"{len(wanted)} configurations are due and being synced already")


@dg.sensor(
    job=integrations_sync,
    name="integrations_menus",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks the point of sale whether menus were made anew since their last sync, without reading"
    " them, and requests a sync of just these configurations. Keeps the partitions in step too.",
)
def integrations_menus(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request a run for each menu that was made anew; bounded to a few configurations per tick."""
    why = unready()
    if why:
        return dg.SkipReason(why)
    try:
        known = _configurations()
    except SyncError as error:
        return dg.SkipReason(str(error))
    partitions = _partition_requests(context.instance, known)
    busy = _busy(context.instance, known)
    waiting = [c for c in known if not c.closed and c.part.key not in busy]
    asked = _next(waiting, context.cursor)
    found, troubles = _moved(context.instance, asked)
    told = "; ".join(troubles) or f"none of {len(asked)} menus was made anew"
    return dg.SensorResult(
        run_requests=found,
        skip_reason=None if found else dg.SkipReason(told),
        cursor=asked[-1].part.key if len(asked) < len(waiting) else "",
        dynamic_partitions_requests=partitions,
    )


def _configurations() -> list[SourceConfig]:
    with TargetDatabase().connect() as connection:
        return configurations(connection)


def _next(waiting: list[SourceConfig], cursor: str | None) -> list[SourceConfig]:
    """The configurations that are asked for in this tick: those after the last one of the tick before."""
    ordered = sorted(waiting, key=lambda c: c.part.key)
    rest = [c for c in ordered if c.part.key > (cursor or "")]
    return (rest or ordered)[:MOST_ASKED]


def _moved(
    instance: dg.DagsterInstance, asked: Sequence[SourceConfig]
) -> tuple[list[dg.RunRequest], list[str]]:
    """Requests for the menus that were made anew, and what kept others from being asked for."""
    source = MenuSource()
    source.set_time_budget(PATIENCE)
    found: list[dg.RunRequest] = []
    troubles: list[str] = []
    try:
        for config, since in zip(asked, _progress(asked), strict=True):
            try:
                generation = source.moved(config, since)
            except SyncError as error:
                troubles.append(f"{config.part.key}: {error}")
                continue
            if generation is not None:
                # It names the content: a menu is requested once; what fails is up to the schedule.
                run_key = f"v1:{config.site.config_id}:{generation}" if generation else None
                found.append(_request(instance, config, "integrations_menus", run_key))
    finally:
        source.close()
    return found, troubles


def _progress(asked: Sequence[SourceConfig]) -> Iterator[Progress]:
    with TargetDatabase().connect() as connection:
        for config in asked:
            yield runs.progress(connection, ENTITY, config.site.config_id)


def _request(
    instance: dg.DagsterInstance, config: SourceConfig, trigger: str, run_key: str | None = None
) -> dg.RunRequest:
    # The partition must be there when the request is looked at, which may be before a sensor has added it.
    instance.add_dynamic_partitions(PARTS.partitions_name, [config.part.key])
    return dg.RunRequest(
        run_key=run_key,
        partition_key=config.part.key,
        tags={"sync/trigger": trigger, SOURCE_TAG: INTEGRATIONS.name},
    )


def _partition_requests(
    instance: dg.DagsterInstance, known: Sequence[SourceConfig]
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    """What brings the partitions in step with the configurations that are there."""
    wanted = {c.part.key for c in known}
    present = set(instance.get_dynamic_partitions(PARTS.partitions_name))
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if wanted - present:
        requests.append(PARTITIONS.build_add_request(sorted(wanted - present)))
    if present - wanted:
        requests.append(PARTITIONS.build_delete_request(sorted(present - wanted)))
    return requests


def _busy(instance: dg.DagsterInstance, known: Sequence[SourceConfig]) -> set[str]:
    """Partitions of runs that have not ended; of a run without one, all."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=IN_PROGRESS, tags={SOURCE_TAG: INTEGRATIONS.name})
    )
    keys = [r.dagster_run.tags.get("dagster/partition") for r in records]
    return {c.part.key for c in known} if None in keys else {key for key in keys if key}


integrations_nightly = skipping_schedule(
    integrations_full,
    INTEGRATIONS,
    "40 3 * * *",
    name="integrations_nightly",
    time_zone="UTC",
    description="Every menu from its beginning, every night: finds what nothing has announced.",
    unready=unready,
)

SCHEDULES = [integrations_due, integrations_nightly]
SENSORS = [integrations_menus]
