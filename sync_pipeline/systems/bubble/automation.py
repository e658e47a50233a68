"""When the Bubble system runs by itself: hourly and nightly schedules, and a sensor on its changes."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge import history
from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.cursors import Cursor
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.scheduling import keys_request, running, skipping_schedule
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.jobs import bubble_full, bubble_partial, bubble_sync
from sync_pipeline.systems.bubble.source import BubbleSource
from sync_pipeline.systems.bubble.timestamps import millis_of

TIME_ZONE = "Asia/Kuala_Lumpur"
MOST_KEYS = 200  # records of one type that one tick asks for; the rest waits for the next

SCHEDULES = [
    skipping_schedule(
        bubble_sync,
        BUBBLE,
        "0 * * * *",
        name="bubble_hourly",
        time_zone=TIME_ZONE,
        description="What changed in Bubble, every hour.",
    ),
    skipping_schedule(
        bubble_full,
        BUBBLE,
        "30 2 * * *",
        name="bubble_nightly",
        time_zone=TIME_ZONE,
        description="Everything in Bubble, every night: also finds what vanished.",
    ),
]


@dg.sensor(
    job=bubble_partial,
    name="bubble_changes",
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Bubble what changed since the last look, one short query per type, and requests a"
    " partial resync of just these records.",
)
def bubble_changes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request a partial resync of what changed; bounded to a few pages per type and tick."""
    busy = running(context.instance, BUBBLE.name)
    if busy:
        return dg.SkipReason(
            f"{busy.job_name} {busy.run_id[:8]} is running and will see the changes itself"
        )
    cursor = Cursor.parse(context.cursor)
    source = BubbleSource()
    try:
        requests = list(_requests(source, cursor))
    except SyncError as error:
        return dg.SkipReason(str(error))
    finally:
        source.close()
    if not requests:
        return dg.SensorResult(skip_reason="nothing changed in Bubble", cursor=cursor.dump())
    return dg.SensorResult(run_requests=requests, cursor=cursor.dump())


def _requests(source: BubbleSource, cursor: Cursor) -> Iterator[dg.RunRequest]:
    for entity in BUBBLE.in_order():
        since = cursor.moments.get(entity.name) or _watermark(entity)
        if since is None:
            continue  # never synced: the first run reads everything
        keys, seen = _changed(source, entity, since)
        if not keys:
            continue
        cursor.moments[entity.name] = seen
        # The moments name the content: the same change is requested once, a later one again.
        run_key = f"v1:{entity.name}:{millis_of(since)}:{millis_of(seen)}"
        yield keys_request(BUBBLE, entity.name, keys, run_key=run_key, trigger="bubble_changes")


def _watermark(entity: Entity) -> dt.datetime | None:
    with TargetDatabase().connect() as connection:
        return history.watermark(connection, entity)


def _changed(
    source: BubbleSource, entity: Entity, since: dt.datetime
) -> tuple[list[str], dt.datetime]:
    """Ids of records modified after a moment, oldest first, and the last of their moments."""
    keys: list[str] = []
    scan = source.client.scan(entity.source, modified_since=since)
    try:
        for page in scan:
            keys += [record["_id"] for record in page]
            if len(keys) >= MOST_KEYS:
                break
        return list(dict.fromkeys(keys)), scan.highest_modified or since
    finally:
        scan.close()


SENSORS = [bubble_changes]
