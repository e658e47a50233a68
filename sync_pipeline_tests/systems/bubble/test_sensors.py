"""The sensor for changes in Bubble: requests exactly what changed since the last sync or tick."""

import json
from typing import Any

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.orchestration.sensor_cursors import ChangePosition, Cursor
from sync_pipeline.systems.bubble.sensors import MAX_KEYS
from sync_pipeline_tests.fixtures.bubble_system import (
    INVOICE,
    PATCHES,
    BubbleSystem,
)
from sync_pipeline_tests.orchestration.test_sensors import launched, look


def requested(tick: Any) -> dict[str, list[str]]:
    """The ids that a tick requests, by entity."""
    found: dict[str, list[str]] = {}
    for request in tick.run_requests:
        [table] = [k.path[-1] for k in request.asset_selection if k.path[-1] not in PATCHES]
        scope = request.run_config["resources"]["scope"]["config"]
        assert scope["mode"] == "keys"
        found[table] = scope["ids"]
    return found


def test_nothing_is_requested_while_nothing_changes(synced: BubbleSystem) -> None:
    tick = look(synced, "bubble_changes")

    assert tick.run_requests == []
    assert tick.skip_message == "nothing changed in Bubble"


def test_what_was_never_synced_is_left_to_its_first_run(bubble_system: BubbleSystem) -> None:
    bubble_system.touch_there("agent", *bubble_system.ids("agent"), Name="Renamed")
    bubble_system.bubble.stats.reset()

    tick = look(bubble_system, "bubble_changes")

    assert tick.run_requests == []
    assert bubble_system.bubble.stats.total == 0


def test_a_tick_requests_exactly_what_changed_and_the_next_one_nothing(
    synced: BubbleSystem,
) -> None:
    customers, payments = synced.ids("customer")[3:5], synced.ids("payment")[7:8]
    for customer in customers:
        synced.edit_there("customer", customer, State="Atlantis")
    synced.edit_there("payment", payments[0], Remark="changed")

    first = look(synced, "bubble_changes")
    second = look(synced, "bubble_changes", first.cursor)

    assert requested(first) == {"customer": customers, "payment": payments}
    assert second.run_requests == []
    for request in first.run_requests:
        launched(synced, request)
    assert {synced.here("customer", c)["state"] for c in customers} == {"Atlantis"}
    assert synced.here("payment", payments[0])["remark"] == "changed"
    third = look(synced, "bubble_changes", second.cursor)
    assert third.run_requests == []


def test_the_same_record_changed_again_is_requested_again_under_another_key(
    synced: BubbleSystem,
) -> None:
    [customer, *_] = synced.ids("customer")
    synced.edit_there("customer", customer, State="Atlantis")
    first = look(synced, "bubble_changes")
    synced.edit_there("customer", customer, State="Lemuria")

    second = look(synced, "bubble_changes", first.cursor)

    assert requested(first) == requested(second) == {"customer": [customer]}
    assert first.run_requests[0].run_key != second.run_requests[0].run_key


def test_the_same_change_seen_twice_has_the_same_key_so_that_it_runs_once(
    synced: BubbleSystem,
) -> None:
    synced.edit_there("customer", synced.ids("customer")[0], State="Atlantis")

    first = look(synced, "bubble_changes")
    again = look(synced, "bubble_changes")

    assert [r.run_key for r in first.run_requests] == [r.run_key for r in again.run_requests]


def test_what_a_sync_has_merged_meanwhile_is_not_requested(synced: BubbleSystem) -> None:
    before = look(synced, "bubble_changes")
    synced.edit_there("customer", synced.ids("customer")[0], State="Atlantis")
    synced.clock.advance(hours=1)
    synced.run("bubble_sync", "customer")

    tick = look(synced, "bubble_changes", before.cursor)

    assert tick.run_requests == []


def all_ticks(bubble_system: BubbleSystem, entity: str) -> list[list[str]]:
    """What tick after tick requests of one entity, until one requests nothing."""
    found: list[list[str]] = []
    cursor: str | None = None
    while len(found) < 20:
        tick = look(bubble_system, "bubble_changes", cursor)
        cursor = tick.cursor
        keys = requested(tick).get(entity)
        if not keys:
            return found
        found.append(keys)
    raise AssertionError("it never ends")


def test_more_changes_than_a_tick_takes_come_with_the_next_ones_oldest_first(
    synced: BubbleSystem,
) -> None:
    items = synced.ids("invoice_item")
    for item in items:
        synced.clock.advance(seconds=1)
        synced.touch_there("invoice_item", item, **{"Voucher Remark": "changed"})
    assert len(items) > MAX_KEYS + 100

    ticks = all_ticks(synced, "invoice_item")

    assert [key for keys in ticks for key in keys] == items
    assert len(ticks[0]) == MAX_KEYS


def test_a_bulk_change_that_gives_all_records_one_modification_time_is_requested_whole(
    synced: BubbleSystem,
) -> None:
    items = synced.ids("invoice_item")
    synced.clock.advance(hours=1)
    synced.touch_there("invoice_item", *items, **{"Voucher Remark": "changed"})
    assert len({r["Modified Date"] for r in synced.records("invoice_item")}) == 1

    ticks = all_ticks(synced, "invoice_item")

    assert sorted(key for keys in ticks for key in keys) == items
    assert max(map(len, ticks)) == MAX_KEYS


def test_bulk_changes_around_the_bound_of_a_tick_lose_nothing(synced: BubbleSystem) -> None:
    items = synced.ids("invoice_item")
    expected = []
    # The bound of the first tick falls into the second bulk, and the third begins on a later one.
    for size in (MAX_KEYS - 10, 60, 1, 90):
        bulk, items = items[:size], items[size:]
        synced.clock.advance(seconds=1)
        synced.touch_there("invoice_item", *bulk, **{"Voucher Remark": "changed"})
        expected += bulk

    ticks = all_ticks(synced, "invoice_item")

    assert [key for keys in ticks for key in keys] == expected
    assert len(ticks[0]) == MAX_KEYS


def test_what_changes_between_two_ticks_of_a_bulk_is_requested_too(synced: BubbleSystem) -> None:
    items = synced.ids("invoice_item")
    synced.clock.advance(hours=1)
    synced.touch_there("invoice_item", *items, **{"Voucher Remark": "changed"})
    first = look(synced, "bubble_changes")
    already = requested(first)["invoice_item"]
    synced.edit_there("invoice_item", already[0], **{"Voucher Remark": "changed again"})

    second = look(synced, "bubble_changes", first.cursor)

    assert set(requested(second)["invoice_item"]) == set(items) - set(already) | {already[0]}


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        '{"version": 1, "moments": {"agent": "2026-01-01T00:00:00+00:00"}}',
        '{"version": 2}',
        '{"version": 2, "places": []}',
        '{"version": 2, "places": {"customer": "2026-01-01"}}',
        '{"version": 2, "places": {"customer": ["yesterday", "x"]}}',
        '{"version": 2, "places": {"customer": ["2026-01-01T00:00:00", "x"]}}',
        '{"version": 2, "places": {"customer": ["2026-01-01T00:00:00+00:00", 7]}}',
        '{"version": 2, "places": {"customer": [null, null]}}',
    ],
)
def test_a_cursor_that_cannot_be_read_starts_at_what_was_merged(
    synced: BubbleSystem, cursor: str
) -> None:
    [customer, *_] = synced.ids("customer")
    synced.edit_there("customer", customer, State="Atlantis")

    tick = look(synced, "bubble_changes", cursor)

    assert requested(tick) == {"customer": [customer]}
    assert json.loads(tick.cursor)["version"] == 2


def test_a_cursor_that_was_written_can_be_read(synced: BubbleSystem) -> None:
    moment = synced.clock()
    cursor = Cursor({"invoice": ChangePosition(moment, INVOICE), "agent": ChangePosition(moment)})

    assert Cursor.parse(cursor.dump()) == cursor


def test_the_sensor_waits_while_a_run_is_going_that_will_see_the_changes_itself(
    synced: BubbleSystem,
) -> None:
    synced.edit_there("customer", synced.ids("customer")[0], State="Atlantis")
    job = defs.resolve_job_def("bubble_sync")
    started = dg.DagsterRunStatus.STARTED
    synced.instance.create_run_for_job(job, status=started, tags={"sync/source": "bubble"})

    tick = look(synced, "bubble_changes")

    assert tick.run_requests == []
    assert "will see the changes itself" in tick.skip_message


def test_a_source_that_is_down_makes_the_sensor_skip_and_forget_nothing(
    synced: BubbleSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    cursor = look(synced, "bubble_changes").cursor
    synced.edit_there("customer", synced.ids("customer")[0], State="Atlantis")
    synced.bubble.stop()

    tick = look(synced, "bubble_changes", cursor)

    assert tick.run_requests == []
    assert "Bubble" in tick.skip_message
    assert "kept failing" in tick.skip_message
    assert tick.cursor in (None, cursor)
    synced.bubble.start()
    assert set(requested(look(synced, "bubble_changes", cursor))) == {"customer"}


def test_a_type_that_is_refused_makes_the_sensor_skip_and_say_what_to_check(
    synced: BubbleSystem,
) -> None:
    synced.bubble.options.disabled_types = ("payment",)

    tick = look(synced, "bubble_changes")

    assert "status 404" in tick.skip_message
    assert "Enable the type “payment”" in tick.skip_message
