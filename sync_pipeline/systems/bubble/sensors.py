"""When the Bubble system runs by itself: hourly and nightly schedules, and a sensor on its changes."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from contextlib import closing

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.schedules import (
    keys_request,
    running,
    skipping_schedule,
    unnamed_source,
)
from sync_pipeline.orchestration.sensor_cursors import LAST, ChangePosition, Cursor
from sync_pipeline.systems.bubble.api.dates import MILLISECOND as TICK
from sync_pipeline.systems.bubble.api.dates import millis_of, moment_of
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.jobs import RUNS, bubble_full, bubble_partial, bubble_sync
from sync_pipeline.systems.bubble.resource import BubbleSource

TIME_ZONE = "Asia/Kuala_Lumpur"
MOST_KEYS = 200  # records of one type that one tick asks for; the rest waits for the next
PATIENCE = dt.timedelta(seconds=20)  # a tick is cut off after a minute


unready = unnamed_source(BUBBLE)


SCHEDULES = [
    skipping_schedule(
        bubble_sync,
        BUBBLE,
        "0 * * * *",
        name="bubble_hourly",
        time_zone=TIME_ZONE,
        description="What changed in Bubble, every hour.",
        unready=unready,
    ),
    skipping_schedule(
        bubble_full,
        BUBBLE,
        "30 2 * * *",
        name="bubble_nightly",
        time_zone=TIME_ZONE,
        description="Everything in Bubble, every night: also finds what vanished.",
        unready=unready,
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
    why = unready()
    if why:
        return dg.SkipReason(why)
    busy = running(context.instance, BUBBLE.name)
    if busy:
        return dg.SkipReason(
            f"{busy.job_name} {busy.run_id[:8]} is running and will see the changes itself"
        )
    cursor = Cursor.parse(context.cursor)
    source = BubbleSource()
    source.set_time_budget(PATIENCE)
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
    for entity, merged in _merged():
        begin = max(merged, cursor.places.get(entity.name, merged))
        changed, cursor.places[entity.name] = _changed(source, entity, begin)
        if changed:
            # It names the content: the same change is requested once, a later one again.
            content = "\n".join(f"{uid} {millis}" for uid, millis in changed.items())
            digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
            run_key = f"v2:{entity.name}:{max(changed.values())}:{digest}"
            yield keys_request(
                RUNS, entity.name, list(changed), run_key=run_key, trigger="bubble_changes"
            )


def _merged() -> list[tuple[Entity, ChangePosition]]:
    """How far each entity was merged. One that never was is left out: its first run reads everything."""
    with TargetDatabase().connect() as connection:
        found = [(e, watermarks.current(connection, e)) for e in BUBBLE.in_order()]
    return [(entity, ChangePosition(moment)) for entity, moment in found if moment]


def _changed(
    source: BubbleSource, entity: Entity, begin: ChangePosition
) -> tuple[dict[str, int], ChangePosition]:
    """What changed after a place, oldest first, and the place that was reached.

    Returns:
        Modification times in milliseconds by id, at most `MOST_KEYS`. More records than that may share
        one time, as a bulk change makes them; so that none is passed over, the place says which was last.
    """
    changed: dict[str, int] = {}
    place = begin
    # The client asks for what came after a moment; one that was not read to its end is read again.
    since = begin.moment if begin.id == LAST else begin.moment - TICK
    with closing(source.client.scan(entity.source, modified_since=since)) as scan:
        for record in (record for page in scan for record in page):
            millis = millis_of(record["Modified Date"])
            here = ChangePosition(moment_of(millis), record["_id"])
            if here <= begin:
                continue
            if len(changed) == MOST_KEYS:
                return changed, place
            changed[here.id] = millis
            place = max(place, here)
    return changed, ChangePosition(place.moment)


SENSORS = [bubble_changes]
