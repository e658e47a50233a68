"""Sensor on changes in Bubble: requests a partial resync of the records that changed."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from contextlib import closing

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.schedules import run_in_progress, unnamed_source
from sync_pipeline.orchestration.sensor_cursors import LAST, ChangePosition, Cursor
from sync_pipeline.orchestration.sensors import keys_request
from sync_pipeline.systems.bubble.api.dates import MILLISECOND as TICK
from sync_pipeline.systems.bubble.api.dates import millis_of, moment_of
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.jobs import RUNS, bubble_partial
from sync_pipeline.systems.bubble.resource import BubbleSource

MAX_KEYS = 200  # per type and tick; the next tick takes up the rest
TIME_BUDGET = dt.timedelta(seconds=20)  # of one call; Dagster ends a tick after a minute


unready = unnamed_source(BUBBLE)


@dg.sensor(
    job=bubble_partial,
    name="bubble_changes",
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Bubble what changed since the last tick, one short query per type, and requests a"
    " partial resync of these records.",
)
def bubble_changes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request a partial resync of what changed; bounded to a few pages per type and tick."""
    reason = unready()
    if reason:
        return dg.SkipReason(reason)
    busy = run_in_progress(context.instance, BUBBLE.name)
    if busy:
        return dg.SkipReason(
            f"{busy.job_name} {busy.run_id[:8]} is running and will see the changes itself"
        )
    cursor = Cursor.parse(context.cursor)
    source = BubbleSource()
    source.set_time_budget(TIME_BUDGET)
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
    for entity, merged in _merged_positions():
        begin = max(merged, cursor.positions.get(entity.name, merged))
        changed, cursor.positions[entity.name] = _changed(source, entity, begin)
        if changed:
            # Dagster runs a run key once, for ever, so the key names the content of the change.
            content = "\n".join(f"{uid} {millis}" for uid, millis in changed.items())
            digest = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
            run_key = f"v2:{entity.name}:{max(changed.values())}:{digest}"
            yield keys_request(
                RUNS, entity.name, list(changed), run_key=run_key, trigger="bubble_changes"
            )


def _merged_positions() -> list[tuple[Entity, ChangePosition]]:
    """The watermark of each entity; without those never merged, whose first run reads everything."""
    with TargetDatabase().connect() as connection:
        found = [(e, watermarks.current(connection, e)) for e in BUBBLE.in_order()]
    return [(entity, ChangePosition(moment)) for entity, moment in found if moment]


def _changed(
    source: BubbleSource, entity: Entity, begin: ChangePosition
) -> tuple[dict[str, int], ChangePosition]:
    """Records that changed after a position, oldest first, and the position that was reached.

    Returns:
        Modification times in milliseconds by id, at most `MAX_KEYS`. A bulk change gives more records
        than that the same time, so the position holds the last id too and none is skipped.
    """
    changed: dict[str, int] = {}
    reached = begin
    # The client reads what is later than an instant; one that was not read to its end is read again.
    since = begin.moment if begin.id == LAST else begin.moment - TICK
    with closing(source.client.scan(entity.source, modified_since=since)) as scan:
        for record in (record for page in scan for record in page):
            millis = millis_of(record["Modified Date"])
            position = ChangePosition(moment_of(millis), record["_id"])
            if position <= begin:
                continue
            if len(changed) == MAX_KEYS:
                return changed, reached
            changed[position.id] = millis
            reached = max(reached, position)
    return changed, ChangePosition(reached.moment)


SENSORS = [bubble_changes]
