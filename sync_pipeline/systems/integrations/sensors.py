"""The menus' sensor: requests a run for each menu with a new generation, and keeps the partitions current."""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.stream import Progress
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.systems.integrations.assets import PARTITION_SET, PARTITIONS
from sync_pipeline.systems.integrations.entities import INTEGRATIONS, PRODUCT
from sync_pipeline.systems.integrations.jobs import integrations_sync
from sync_pipeline.systems.integrations.resource import MenuSource
from sync_pipeline.systems.integrations.schedules import (
    load_configurations,
    run_request,
    running_partitions,
)
from sync_pipeline.systems.integrations.source_configs import SourceConfig

CONFIGS_PER_TICK = 20
TIME_BUDGET = dt.timedelta(seconds=20)  # for each call: Dagster ends a tick after a minute
ENTITY = INTEGRATIONS[PRODUCT.name]


@dg.sensor(
    job=integrations_sync,
    name="integrations_menus",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Checks whether menus have changed at the point of sale since their last sync, without"
    " reading them, and requests a sync of just these configurations. Adds and deletes partitions too.",
)
def integrations_menus(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request a run for each menu with a new generation; bounded to a few configurations per tick."""
    configs = load_configurations()
    if isinstance(configs, dg.SkipReason):
        return configs
    partition_requests = _partition_requests(context.instance, configs)
    busy = running_partitions(context.instance, configs)
    idle = [c for c in configs if not c.closed and c.partition_key not in busy]
    checked = _next(idle, context.cursor)
    requests, errors = _changed(context.instance, checked)
    reason = "; ".join(errors) or f"none of {len(checked)} menus has changed"
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(reason),
        cursor=checked[-1].partition_key if len(checked) < len(idle) else "",
        dynamic_partitions_requests=partition_requests,
    )


def _next(idle: Sequence[SourceConfig], cursor: str | None) -> list[SourceConfig]:
    """The configurations to check in this tick: those after the last one of the tick before."""
    ordered = sorted(idle, key=lambda c: c.partition_key)
    rest = [c for c in ordered if c.partition_key > (cursor or "")]
    return (rest or ordered)[:CONFIGS_PER_TICK]


def _changed(
    instance: dg.DagsterInstance, configs: Sequence[SourceConfig]
) -> tuple[list[dg.RunRequest], list[str]]:
    """Run requests for menus with a new generation, and the errors of menus that could not be checked."""
    source = MenuSource()
    source.set_time_budget(TIME_BUDGET)
    requests: list[dg.RunRequest] = []
    errors: list[str] = []
    try:
        for config, since in zip(configs, _progress(configs), strict=True):
            try:
                generation = source.new_generation(config, since)
            except SyncError as error:
                errors.append(f"{config.partition_key}: {error}")
                continue
            if generation is not None:
                # The key names the content: one request per generation. A failed run is left to the schedule.
                run_key = f"v1:{config.config_id}:{generation}" if generation else None
                requests.append(run_request(instance, config, "integrations_menus", run_key))
    finally:
        source.close()
    return requests, errors


def _progress(configs: Sequence[SourceConfig]) -> Iterator[Progress]:
    with TargetDatabase().connect() as connection:
        for config in configs:
            yield watermarks.progress(connection, ENTITY, config.config_id)


def _partition_requests(
    instance: dg.DagsterInstance, configs: Sequence[SourceConfig]
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    """Requests that add and delete partitions to match the configurations."""
    expected = {c.partition_key for c in configs}
    present = set(instance.get_dynamic_partitions(PARTITION_SET.name))
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if expected - present:
        requests.append(PARTITIONS.build_add_request(sorted(expected - present)))
    if present - expected:
        requests.append(PARTITIONS.build_delete_request(sorted(present - expected)))
    return requests


SENSORS = [integrations_menus]
