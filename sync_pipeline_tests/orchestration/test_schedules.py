"""What starts runs by itself: schedules that skip, sensors that notice, and what closes the history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.merge.bookkeeping import requests, runs
from sync_pipeline.orchestration.run_history import REQUEST_TAG
from sync_pipeline.orchestration.schedules import REQUESTS_PER_TICK
from sync_pipeline.orchestration.sensor_cursors import ChangePosition, Cursor
from sync_pipeline.systems.bubble.sensors import MAX_KEYS
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.fixtures import daemon
from sync_pipeline_tests.fixtures.bubble_system import (
    AGENT,
    CUSTOMER,
    INVOICE,
    PATCHES,
    PAYMENT,
    Run,
    World,
)
from sync_pipeline_tests.fixtures.daemon import going, tick
from sync_pipeline_tests.fixtures.dagster_run import SILENT
from sync_pipeline_tests.fixtures.postgres import fast_storage, passable_directory

# -- schedules


@pytest.fixture(scope="module")
def lasting() -> Iterator[dg.DagsterInstance]:
    """An instance that schedules accept: theirs must be reachable from another process."""
    with passable_directory(fast_storage()) as home, dg.instance_for_test(temp_dir=str(home)) as it:
        yield it


@pytest.fixture
def instance(lasting: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """The same without runs; what it knows of jobs it may keep. The source is named."""
    monkeypatch.setenv("BUBBLE_API_URL", "http://127.0.0.1:1/api/1.1")
    monkeypatch.setenv("BUBBLE_API_TOKEN", "token")
    for run in lasting.get_runs():
        lasting.delete_run(run.run_id)
    return lasting


@pytest.mark.parametrize("schedule", ["bubble_hourly", "bubble_nightly"])
def test_a_schedule_launches_when_nothing_is_going_on(
    instance: dg.DagsterInstance, schedule: str
) -> None:
    request = tick(instance, schedule)

    assert isinstance(request, dg.RunRequest)
    assert request.run_key is None  # a key would be good for one launch for ever
    assert request.tags["sync/trigger"] == "schedule"


def test_what_runs_by_itself_skips_as_long_as_nobody_has_named_the_source(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BUBBLE_API_URL", "BUBBLE_API_TOKEN"):
        monkeypatch.delenv(name)

    for schedule in ("bubble_hourly", "bubble_nightly"):
        assert tick(instance, schedule) == "BUBBLE_API_URL is not set"
    looked = daemon.look(instance, "bubble_changes")
    assert looked.skip_message == "BUBBLE_API_URL is not set"


@pytest.mark.parametrize("schedule", ["bubble_hourly", "bubble_nightly"])
@pytest.mark.parametrize("job", ["bubble_sync", "bubble_full", "invoice_resync", "bubble_partial"])
def test_a_schedule_skips_while_any_run_of_its_source_is_going(
    instance: dg.DagsterInstance, schedule: str, job: str
) -> None:
    run = going(instance, job, dg.DagsterRunStatus.STARTED, tags={"sync/source": "bubble"})

    said = tick(instance, schedule)

    assert said == f"{job} {run.run_id[:8]} of bubble is still running"


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.CANCELING,
    ],
)
def test_a_run_that_has_not_started_or_not_ended_yet_is_going_too(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    going(instance, "bubble_sync", status, tags={"sync/source": "bubble"})

    assert "is still running" in str(tick(instance, "bubble_hourly"))


def test_a_run_of_some_assets_from_the_ui_is_going_too(instance: dg.DagsterInstance) -> None:
    job = defs.resolve_implicit_global_asset_job_def()
    chosen = frozenset({dg.AssetKey(["bubble", "agent"])})
    run = instance.create_run_for_job(
        job.get_subset(asset_selection=chosen),
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=chosen,
    )
    assert "sync/source" not in run.tags

    assert run.run_id[:8] in str(tick(instance, "bubble_hourly"))


@pytest.mark.parametrize(
    "status",
    [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
)
def test_a_run_that_has_ended_keeps_no_schedule_from_launching(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    going(instance, "bubble_sync", status, tags={"sync/source": "bubble"})

    assert isinstance(tick(instance, "bubble_hourly"), dg.RunRequest)


def test_a_run_of_another_source_keeps_no_schedule_from_launching(
    instance: dg.DagsterInstance,
) -> None:
    going(instance, "bubble_sync", dg.DagsterRunStatus.STARTED, tags={"sync/source": "desktop"})
    going(instance, "retention", dg.DagsterRunStatus.STARTED)

    assert isinstance(tick(instance, "bubble_hourly"), dg.RunRequest)


# -- schedules of a system that goes both ways

OF_DESKTOP = [
    "desktop_hourly",
    "desktop_reverse_hourly",
    "desktop_nightly",
    "desktop_reverse_nightly",
]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both databases are named; no tick asks them anything."""
    monkeypatch.setenv("SYNC_TARGET_DSN", "postgresql://nobody@127.0.0.1:1/mobile")
    monkeypatch.setenv("DESKTOP_DSN", "postgresql://nobody@127.0.0.1:1/desktop")


def test_either_way_is_launched_when_neither_is_going(
    instance: dg.DagsterInstance, named: None
) -> None:
    going(instance, "bubble_sync", dg.DagsterRunStatus.STARTED, tags={"sync/source": "bubble"})
    going(instance, "desktop_reverse", dg.DagsterRunStatus.SUCCESS, tags={"sync/source": "desktop"})

    for schedule in OF_DESKTOP:
        assert isinstance(tick(instance, schedule), dg.RunRequest)


@pytest.mark.parametrize("job", ["desktop_full", "desktop_partial", "desktop_reverse"])
def test_neither_way_is_launched_while_the_other_is_going(
    instance: dg.DagsterInstance, named: None, job: str
) -> None:
    tags = defs.resolve_job_def(job).run_tags
    run = going(instance, job, dg.DagsterRunStatus.STARTED, tags=dict(tags))

    said = f"{job} {run.run_id[:8]} of desktop is still running"
    assert [tick(instance, schedule) for schedule in OF_DESKTOP] == [said] * len(OF_DESKTOP)


@pytest.mark.parametrize("key", [["desktop", "climaster"], ["desktop", "reverse", "climaster"]])
def test_neither_way_is_launched_while_some_of_its_tables_are_synced_from_the_ui(
    instance: dg.DagsterInstance, named: None, key: list[str]
) -> None:
    chosen = frozenset({dg.AssetKey(key)})
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=chosen)
    started = dg.DagsterRunStatus.STARTED
    run = instance.create_run_for_job(job, status=started, asset_selection=chosen)

    for schedule in OF_DESKTOP:
        assert run.run_id[:8] in str(tick(instance, schedule))


def test_neither_way_is_launched_as_long_as_nobody_has_named_the_desktop(
    instance: dg.DagsterInstance, named: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DESKTOP_DSN")

    for schedule in OF_DESKTOP:
        assert "DESKTOP_DSN is not set" in str(tick(instance, schedule))


# -- requests


def look(world: World, sensor: str, cursor: str | None = None) -> Any:
    """One tick of a sensor."""
    return daemon.look(world.instance, sensor, cursor)


def queue(world: World, entity: str, *keys: str, system: str = "bubble") -> int:
    return requests.queue(world.db.connection, system, entity, keys, "somebody asked")


def request_row(world: World, number: int) -> dict[str, Any]:
    return world.db.row("select * from sync.request where id = %s", number)


def launched(world: World, request: dg.RunRequest) -> Run:
    """The run that the daemon would make of a sensor's request."""
    return world.launch(
        "bubble_partial", dict(request.run_config), request.asset_selection, tags=dict(request.tags)
    )


def ended(world: World, run: Run) -> None:
    """What the daemon does when a run has ended."""
    sensor = "close_history" if run.success else "close_history_of_failed"
    close(world, run.result.dagster_run, sensor)


def close(world: World, run: dg.DagsterRun, sensor: str) -> None:
    daemon.notice(world.instance, run, sensor)


@pytest.mark.parametrize(
    ("sensor", "jobs"),
    [
        (
            "sync_requests",
            {f"{s}_partial" for s in (*(s.name for s in SYSTEMS), "desktop_reverse")},
        ),
        ("bubble_changes", {"bubble_partial"}),
    ],
)
def test_sensors_request_runs_of_the_jobs_for_partial_syncs(sensor: str, jobs: set[str]) -> None:
    assert {t.job_name for t in defs.resolve_sensor_def(sensor).targets} == jobs


def test_a_queued_request_becomes_a_run_of_just_these_records(synced: World) -> None:
    [one, other, *_] = synced.ids("customer")
    synced.touch_there("customer", one, State="Atlantis")
    synced.touch_there("customer", other, State="Lemuria")
    number = queue(synced, "customer", one)

    tick = look(synced, "sync_requests")

    [request] = tick.run_requests
    assert request.run_key == f"request:{number}:0"
    assert request.tags["sync/trigger"] == "request: somebody asked"
    assert request.tags["sync/source"] == "bubble"
    run = launched(synced, request)
    assert run.counts("customer") == {"read": 1, "updated": 1}
    assert run.materialized == {"customer"}
    assert synced.here("customer", one)["state"] == "Atlantis"
    assert synced.here("customer", other)["state"] != "Lemuria"


def test_a_request_for_an_end_of_a_patch_is_followed_by_the_patch(tiny: World) -> None:
    tiny.edit_here("invoice", INVOICE, linked_seda_registration=None)
    tiny.db.run("update sync_base.bubble__invoice set linked_seda_registration = null")
    tiny.edit_there("invoice", INVOICE, **{"Linked SEDA registration": None, "visit": 7})
    queue(tiny, "invoice", INVOICE)

    [request] = look(tiny, "sync_requests").run_requests
    run = launched(tiny, request)

    assert run.materialized == {"invoice", *PATCHES}
    assert run.report.patches["invoice_seda_links"]["set"] == 1
    assert tiny.here("invoice", INVOICE)["linked_seda_registration"] is not None


def test_a_request_may_ask_to_force(tiny: World) -> None:
    tiny.edit_here("customer", CUSTOMER, name="Edited here")
    number = queue(tiny, "customer", CUSTOMER)
    tiny.db.run("update sync.request set force = true where id = %s", number)

    [request] = look(tiny, "sync_requests").run_requests
    launched(tiny, request)

    assert tiny.here("customer", CUSTOMER)["name"] == "Belvon"


@pytest.mark.parametrize(
    ("system", "entity"), [("bubble", "invioce"), ("bubbel", "invoice"), ("bubble", "")]
)
def test_a_request_for_what_does_not_exist_is_refused_and_the_others_go_on(
    tiny: World, system: str, entity: str
) -> None:
    bad = queue(tiny, entity, INVOICE, system=system)
    good = queue(tiny, "invoice", INVOICE)

    tick = look(tiny, "sync_requests")

    assert [r.tags[REQUEST_TAG] for r in tick.run_requests] == [str(good)]
    refused = request_row(tiny, bad)
    assert refused["finished_at"] is not None
    assert refused["error"] == "no such system and entity"
    assert look(tiny, "sync_requests").run_requests[0].tags[REQUEST_TAG] == str(good)


def test_a_request_that_was_done_is_not_requested_again(tiny: World) -> None:
    number = queue(tiny, "customer", CUSTOMER)
    [request] = look(tiny, "sync_requests").run_requests
    run = launched(tiny, request)

    ended(tiny, run)

    done = request_row(tiny, number)
    assert done["finished_at"] is not None
    assert (str(done["run_id"]), done["error"]) == (run.result.run_id, None)
    tick = look(tiny, "sync_requests")
    assert tick.run_requests == []
    assert tick.skip_message == "nothing waits in sync.request"


def test_a_request_whose_run_is_going_keeps_its_key_so_that_it_runs_once(tiny: World) -> None:
    queue(tiny, "customer", CUSTOMER)

    [first] = look(tiny, "sync_requests").run_requests
    [again] = look(tiny, "sync_requests").run_requests

    assert first.run_key == again.run_key


def test_a_request_whose_run_failed_is_tried_three_times_under_new_keys(tiny: World) -> None:
    tiny.bubble.options.disabled_types = ("payment",)
    number = queue(tiny, "payment", PAYMENT)
    keys = []
    for attempt in range(1, 4):
        [request] = look(tiny, "sync_requests").run_requests
        keys.append(request.run_key)
        run = launched(tiny, request)
        assert not run.success
        ended(tiny, run)
        ended(tiny, run)  # reported twice, it still counts once
        assert request_row(tiny, number)["attempts"] == attempt

    assert len(set(keys)) == 3
    given_up = request_row(tiny, number)
    assert given_up["finished_at"] is not None
    assert given_up["error"]
    assert look(tiny, "sync_requests").run_requests == []


def test_a_request_that_fails_once_and_then_succeeds_is_done(tiny: World) -> None:
    tiny.bubble.options.disabled_types = ("payment",)
    number = queue(tiny, "payment", PAYMENT)
    [request] = look(tiny, "sync_requests").run_requests
    ended(tiny, launched(tiny, request))
    tiny.bubble.options.disabled_types = ()

    [request] = look(tiny, "sync_requests").run_requests
    ended(tiny, launched(tiny, request))

    done = request_row(tiny, number)
    assert done["finished_at"] is not None
    assert (done["attempts"], done["error"]) == (2, None)


def test_a_request_whose_run_ended_unnoticed_is_settled_by_the_next_tick(tiny: World) -> None:
    number = queue(tiny, "customer", CUSTOMER)
    [request] = look(tiny, "sync_requests").run_requests
    tags = {"dagster/run_key": request.run_key}
    run = launched(tiny, request.with_replaced_attrs(tags={**request.tags, **tags}))

    tick = look(tiny, "sync_requests")

    assert tick.run_requests == []
    done = request_row(tiny, number)
    assert done["finished_at"] is not None
    assert str(done["run_id"]) == run.result.run_id


def test_a_request_whose_run_failed_unnoticed_is_tried_again(tiny: World) -> None:
    tiny.bubble.options.disabled_types = ("payment",)
    queue(tiny, "payment", PAYMENT)
    [request] = look(tiny, "sync_requests").run_requests
    tags = {"dagster/run_key": request.run_key}
    launched(tiny, request.with_replaced_attrs(tags={**request.tags, **tags}))

    [again] = look(tiny, "sync_requests").run_requests

    assert again.run_key != request.run_key


def test_a_tick_takes_a_bounded_number_of_requests_the_oldest_first(tiny: World) -> None:
    numbers = [queue(tiny, "customer", CUSTOMER) for _ in range(REQUESTS_PER_TICK + 3)]

    requested = look(tiny, "sync_requests").run_requests

    assert [int(r.tags[REQUEST_TAG]) for r in requested] == numbers[:REQUESTS_PER_TICK]


@pytest.mark.parametrize("sensor", ["sync_requests", "bubble_changes"])
def test_a_sensor_whose_target_is_away_skips_and_says_so(
    tiny: World, sensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_TARGET_DSN", "postgresql://nobody@127.0.0.1:1/nothing")

    tick = look(tiny, sensor)

    assert tick.run_requests == []
    assert "127.0.0.1:1/nothing" in tick.skip_message
    assert "SYNC_TARGET_DSN" in tick.skip_message


# -- changes at the source


def requested(tick: Any) -> dict[str, list[str]]:
    """The ids that a tick requests, by entity."""
    found: dict[str, list[str]] = {}
    for request in tick.run_requests:
        [table] = [k.path[-1] for k in request.asset_selection if k.path[-1] not in PATCHES]
        scope = request.run_config["resources"]["scope"]["config"]
        assert scope["mode"] == "keys"
        found[table] = scope["ids"]
    return found


def test_nothing_is_requested_while_nothing_changes(synced: World) -> None:
    tick = look(synced, "bubble_changes")

    assert tick.run_requests == []
    assert tick.skip_message == "nothing changed in Bubble"


def test_what_was_never_synced_is_left_to_its_first_run(world: World) -> None:
    world.touch_there("agent", *world.ids("agent"), Name="Renamed")
    world.bubble.stats.reset()

    tick = look(world, "bubble_changes")

    assert tick.run_requests == []
    assert world.bubble.stats.total == 0


def test_a_tick_requests_exactly_what_changed_and_the_next_one_nothing(synced: World) -> None:
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


def test_the_same_record_changed_again_is_requested_again_under_another_key(synced: World) -> None:
    [customer, *_] = synced.ids("customer")
    synced.edit_there("customer", customer, State="Atlantis")
    first = look(synced, "bubble_changes")
    synced.edit_there("customer", customer, State="Lemuria")

    second = look(synced, "bubble_changes", first.cursor)

    assert requested(first) == requested(second) == {"customer": [customer]}
    assert first.run_requests[0].run_key != second.run_requests[0].run_key


def test_the_same_change_seen_twice_has_the_same_key_so_that_it_runs_once(synced: World) -> None:
    synced.edit_there("customer", synced.ids("customer")[0], State="Atlantis")

    first = look(synced, "bubble_changes")
    again = look(synced, "bubble_changes")

    assert [r.run_key for r in first.run_requests] == [r.run_key for r in again.run_requests]


def test_what_a_sync_has_merged_meanwhile_is_not_requested(synced: World) -> None:
    before = look(synced, "bubble_changes")
    synced.edit_there("customer", synced.ids("customer")[0], State="Atlantis")
    synced.clock.advance(hours=1)
    synced.run("bubble_sync", "customer")

    tick = look(synced, "bubble_changes", before.cursor)

    assert tick.run_requests == []


def all_ticks(world: World, entity: str) -> list[list[str]]:
    """What tick after tick requests of one entity, until one requests nothing."""
    found: list[list[str]] = []
    cursor: str | None = None
    while len(found) < 20:
        tick = look(world, "bubble_changes", cursor)
        cursor = tick.cursor
        keys = requested(tick).get(entity)
        if not keys:
            return found
        found.append(keys)
    raise AssertionError("it never ends")


def test_more_changes_than_a_tick_takes_come_with_the_next_ones_oldest_first(
    synced: World,
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
    synced: World,
) -> None:
    items = synced.ids("invoice_item")
    synced.clock.advance(hours=1)
    synced.touch_there("invoice_item", *items, **{"Voucher Remark": "changed"})
    assert len({r["Modified Date"] for r in synced.records("invoice_item")}) == 1

    ticks = all_ticks(synced, "invoice_item")

    assert sorted(key for keys in ticks for key in keys) == items
    assert max(map(len, ticks)) == MAX_KEYS


def test_bulk_changes_around_the_bound_of_a_tick_lose_nothing(synced: World) -> None:
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


def test_what_changes_between_two_ticks_of_a_bulk_is_requested_too(synced: World) -> None:
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
def test_a_cursor_that_cannot_be_read_starts_at_what_was_merged(synced: World, cursor: str) -> None:
    [customer, *_] = synced.ids("customer")
    synced.edit_there("customer", customer, State="Atlantis")

    tick = look(synced, "bubble_changes", cursor)

    assert requested(tick) == {"customer": [customer]}
    assert json.loads(tick.cursor)["version"] == 2


def test_a_cursor_that_was_written_can_be_read(synced: World) -> None:
    moment = synced.clock()
    cursor = Cursor({"invoice": ChangePosition(moment, INVOICE), "agent": ChangePosition(moment)})

    assert Cursor.parse(cursor.dump()) == cursor


def test_the_sensor_waits_while_a_run_is_going_that_will_see_the_changes_itself(
    synced: World,
) -> None:
    synced.edit_there("customer", synced.ids("customer")[0], State="Atlantis")
    job = defs.resolve_job_def("bubble_sync")
    started = dg.DagsterRunStatus.STARTED
    synced.instance.create_run_for_job(job, status=started, tags={"sync/source": "bubble"})

    tick = look(synced, "bubble_changes")

    assert tick.run_requests == []
    assert "will see the changes itself" in tick.skip_message


def test_a_source_that_is_down_makes_the_sensor_skip_and_forget_nothing(
    synced: World, monkeypatch: pytest.MonkeyPatch
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
    synced: World,
) -> None:
    synced.bubble.options.disabled_types = ("payment",)

    tick = look(synced, "bubble_changes")

    assert "status 404" in tick.skip_message
    assert "Enable the type “payment”" in tick.skip_message


# -- closing the history


def unclosed(world: World, **scope: Any) -> dg.DagsterRun:
    """A run as a daemon starts it: nobody in its process closes the history."""
    config = {"resources": {"scope": {"config": scope}}}
    result = defs.resolve_job_def("bubble_sync").execute_in_process(
        instance=world.instance,
        run_config=config | SILENT,
        asset_selection=[dg.AssetKey(["bubble", name]) for name in ("agent", "invoice_item")],
        raise_on_error=False,
    )
    run = world.instance.get_run_by_id(result.run_id)
    assert run
    return run


def status(world: World, run: dg.DagsterRun) -> dict[str, Any]:
    return world.db.row(
        "select status, items_processed, duration_ms, metadata from sync_history where id = %s",
        run.run_id,
    )


def test_a_run_that_succeeded_is_closed_with_its_sums(tiny: World) -> None:
    tiny.edit_there("agent", AGENT, Name="Renamed")
    run = unclosed(tiny)
    assert status(tiny, run)["status"] == "running"

    close(tiny, run, "close_history")

    closed = status(tiny, run)
    assert closed["status"] == "completed"
    assert closed["items_processed"] == 1
    assert closed["duration_ms"] > 0
    assert closed["metadata"]["api_calls"] == 2  # one question for each type


def test_a_run_that_failed_in_part_is_closed_as_partial(tiny: World) -> None:
    tiny.bubble.options.disabled_types = ("invoice_item",)
    run = unclosed(tiny)

    close(tiny, run, "close_history_of_failed")

    closed = status(tiny, run)
    assert closed["status"] == "partial_success"
    assert "invoice_item" in closed["metadata"]["error"]


def test_closing_twice_changes_nothing(tiny: World) -> None:
    run = unclosed(tiny)
    close(tiny, run, "close_history")
    first = status(tiny, run)

    close(tiny, run, "close_history")

    assert status(tiny, run) == first


def test_a_run_that_failed_before_its_first_table_is_in_the_history_with_the_reason(
    tiny: World,
) -> None:
    run = unclosed(tiny, mode="keys")  # and no ids

    close(tiny, run, "close_history_of_failed")

    closed = status(tiny, run)
    assert closed["status"] == "failed"
    assert closed["metadata"]["error"]


def test_a_run_whose_process_was_killed_is_closed_as_failed(tiny: World) -> None:
    run = tiny.instance.create_run_for_job(
        defs.resolve_job_def("bubble_sync"), tags={"sync/source": "bubble"}
    )
    runs.open_run(tiny.db.connection, uuid4(), "delta")  # another run, which goes on
    tiny.db.run(
        "insert into sync_history (id, sync_type, status) values (%s, 'delta', 'running')",
        run.run_id,
    )
    tiny.instance.report_run_failed(run, "run worker unexpectedly exited")

    close(tiny, run, "close_history_of_failed")

    closed = status(tiny, run)
    assert closed["status"] == "failed"
    assert "unexpectedly exited" in closed["metadata"]["error"]
    assert tiny.count("sync_history", "status = 'running'") == 1


def test_a_run_that_ended_unnoticed_is_closed_as_it_ended(tiny: World) -> None:
    ended_unnoticed = unclosed(tiny)

    look(tiny, "settle_abandoned")

    closed = status(tiny, ended_unnoticed)
    assert closed["status"] == "completed"
    assert "error" not in closed["metadata"]


def test_a_run_that_failed_unnoticed_is_closed_as_it_ended(tiny: World) -> None:
    tiny.bubble.options.disabled_types = ("invoice_item",)
    failed_unnoticed = unclosed(tiny)

    look(tiny, "settle_abandoned")

    closed = status(tiny, failed_unnoticed)
    assert closed["status"] == "partial_success"
    assert "failed" in closed["metadata"]["error"]


def test_a_run_that_was_canceled_is_closed_as_failed(tiny: World) -> None:
    run = tiny.instance.create_run_for_job(
        defs.resolve_job_def("bubble_sync"), tags={"sync/source": "bubble"}
    )
    tiny.instance.report_run_canceled(run)

    close(tiny, run, "close_history_of_canceled")

    assert status(tiny, run)["status"] == "failed"
    assert status(tiny, run)["metadata"]["error"] == "canceled"
