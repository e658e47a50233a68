"""The sensor for `sync.request`: from a queued request to a run, and to its end."""

from typing import Any

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.merge.bookkeeping import requests
from sync_pipeline.orchestration.run_history import REQUEST_TAG
from sync_pipeline.orchestration.sensors import REQUESTS_PER_TICK
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.fixtures import daemon
from sync_pipeline_tests.fixtures.bubble_system import (
    CUSTOMER,
    INVOICE,
    PATCHES,
    PAYMENT,
    BubbleSystem,
    Run,
)


def look(bubble_system: BubbleSystem, sensor: str, cursor: str | None = None) -> Any:
    """One tick of a sensor."""
    return daemon.look(bubble_system.instance, sensor, cursor)


def queue(bubble_system: BubbleSystem, entity: str, *keys: str, system: str = "bubble") -> int:
    return requests.queue(bubble_system.db.connection, system, entity, keys, "somebody asked")


def request_row(bubble_system: BubbleSystem, number: int) -> dict[str, Any]:
    return bubble_system.db.row("select * from sync.request where id = %s", number)


def launched(bubble_system: BubbleSystem, request: dg.RunRequest) -> Run:
    """The run that the daemon would make of a sensor's request."""
    return bubble_system.launch(
        "bubble_partial", dict(request.run_config), request.asset_selection, tags=dict(request.tags)
    )


def ended(bubble_system: BubbleSystem, run: Run) -> None:
    """What the daemon does when a run has ended."""
    sensor = "close_history" if run.success else "close_history_of_failed"
    close(bubble_system, run.result.dagster_run, sensor)


def close(bubble_system: BubbleSystem, run: dg.DagsterRun, sensor: str) -> None:
    daemon.notice(bubble_system.instance, run, sensor)


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


def test_a_queued_request_becomes_a_run_of_just_these_records(synced: BubbleSystem) -> None:
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


def test_a_request_for_an_end_of_a_patch_is_followed_by_the_patch(tiny: BubbleSystem) -> None:
    tiny.edit_here("invoice", INVOICE, linked_seda_registration=None)
    tiny.db.run("update sync_base.bubble__invoice set linked_seda_registration = null")
    tiny.edit_there("invoice", INVOICE, **{"Linked SEDA registration": None, "visit": 7})
    queue(tiny, "invoice", INVOICE)

    [request] = look(tiny, "sync_requests").run_requests
    run = launched(tiny, request)

    assert run.materialized == {"invoice", *PATCHES}
    assert run.report.patches["invoice_seda_links"]["set"] == 1
    assert tiny.here("invoice", INVOICE)["linked_seda_registration"] is not None


def test_a_request_may_ask_to_force(tiny: BubbleSystem) -> None:
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
    tiny: BubbleSystem, system: str, entity: str
) -> None:
    bad = queue(tiny, entity, INVOICE, system=system)
    good = queue(tiny, "invoice", INVOICE)

    tick = look(tiny, "sync_requests")

    assert [r.tags[REQUEST_TAG] for r in tick.run_requests] == [str(good)]
    refused = request_row(tiny, bad)
    assert refused["finished_at"] is not None
    assert refused["error"] == "no such system and entity"
    assert look(tiny, "sync_requests").run_requests[0].tags[REQUEST_TAG] == str(good)


def test_a_request_that_was_done_is_not_requested_again(tiny: BubbleSystem) -> None:
    number = queue(tiny, "customer", CUSTOMER)
    [request] = look(tiny, "sync_requests").run_requests
    run = launched(tiny, request)

    ended(tiny, run)

    done = request_row(tiny, number)
    assert done["finished_at"] is not None
    assert (str(done["run_id"]), done["error"]) == (run.result.run_id, None)
    tick = look(tiny, "sync_requests")
    assert tick.run_requests == []
    assert tick.skip_message == "no request in sync.request"


def test_a_request_whose_run_is_going_keeps_its_key_so_that_it_runs_once(
    tiny: BubbleSystem,
) -> None:
    queue(tiny, "customer", CUSTOMER)

    [first] = look(tiny, "sync_requests").run_requests
    [again] = look(tiny, "sync_requests").run_requests

    assert first.run_key == again.run_key


def test_a_request_whose_run_failed_is_tried_three_times_under_new_keys(tiny: BubbleSystem) -> None:
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


def test_a_request_that_fails_once_and_then_succeeds_is_done(tiny: BubbleSystem) -> None:
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


def test_a_request_whose_run_ended_unnoticed_is_closed_by_the_next_tick(
    tiny: BubbleSystem,
) -> None:
    number = queue(tiny, "customer", CUSTOMER)
    [request] = look(tiny, "sync_requests").run_requests
    tags = {"dagster/run_key": request.run_key}
    run = launched(tiny, request.with_replaced_attrs(tags={**request.tags, **tags}))

    tick = look(tiny, "sync_requests")

    assert tick.run_requests == []
    done = request_row(tiny, number)
    assert done["finished_at"] is not None
    assert str(done["run_id"]) == run.result.run_id


def test_a_request_whose_run_failed_unnoticed_is_tried_again(tiny: BubbleSystem) -> None:
    tiny.bubble.options.disabled_types = ("payment",)
    queue(tiny, "payment", PAYMENT)
    [request] = look(tiny, "sync_requests").run_requests
    tags = {"dagster/run_key": request.run_key}
    launched(tiny, request.with_replaced_attrs(tags={**request.tags, **tags}))

    [again] = look(tiny, "sync_requests").run_requests

    assert again.run_key != request.run_key


def test_a_tick_takes_a_bounded_number_of_requests_the_oldest_first(tiny: BubbleSystem) -> None:
    numbers = [queue(tiny, "customer", CUSTOMER) for _ in range(REQUESTS_PER_TICK + 3)]

    requested = look(tiny, "sync_requests").run_requests

    assert [int(r.tags[REQUEST_TAG]) for r in requested] == numbers[:REQUESTS_PER_TICK]


@pytest.mark.parametrize("sensor", ["sync_requests", "bubble_changes"])
def test_a_sensor_whose_target_is_away_skips_and_says_so(
    tiny: BubbleSystem, sensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_TARGET_DSN", "postgresql://nobody@127.0.0.1:1/nothing")

    tick = look(tiny, sensor)

    assert tick.run_requests == []
    assert "127.0.0.1:1/nothing" in tick.skip_message
    assert "SYNC_TARGET_DSN" in tick.skip_message
