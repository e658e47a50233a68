"""Sources that refuse, fail, lose a field or end early: nothing is written, nothing counts as missing."""

from dataclasses import replace
from typing import Any

import pytest

from sync_pipeline.simulators.faults import Fault
from sync_pipeline_tests.fixtures.bubble_system import (
    ENTITIES,
    BubbleSystem,
)
from sync_pipeline_tests.systems.bubble.sync_runs import missing

# -- what makes it stop


def test_a_field_missing_from_every_record_is_stopped_with_nothing_written(
    synced: BubbleSystem,
) -> None:
    synced.bubble.store.hide_field("invoice", "Type")
    before, filled = synced.writes(), synced.count("invoice", "type is not null")

    run = synced.run("bubble_full")

    assert not run.success
    assert run.report.stopped
    assert synced.writes() == before
    assert synced.count("invoice", "type is not null") == filled > 0
    said = run.failure("invoice")
    digest = run.report.plans["invoice"]
    assert "stopped by the guard, nothing was written" in said
    assert f"'Type' is in none of the delivered records although {filled}" in said
    assert f"--approve {digest}" in said
    assert run.materialized == {"agent", "customer", "user"}  # what hangs on invoices waits
    assert run.status == "partial_success"


def test_approving_exactly_the_plan_that_was_stopped_lets_it_pass(synced: BubbleSystem) -> None:
    synced.bubble.store.hide_field("invoice", "Type")
    digest = synced.run("bubble_full", "invoice").report.plans["invoice"]
    assert not synced.run("bubble_full", "invoice", mode="full", approve=["0" * 12]).success

    run = synced.run("bubble_full", "invoice", mode="full", approve=[digest])

    assert run.success
    assert synced.count("invoice", "type is not null") == 0


def test_an_approval_is_not_good_for_another_plan(synced: BubbleSystem) -> None:
    synced.bubble.store.hide_field("invoice", "Type")
    digest = synced.run("bubble_full", "invoice").report.plans["invoice"]
    synced.bubble.store.hide_field("invoice", "Logs")

    run = synced.run("bubble_full", "invoice", mode="full", approve=[digest])

    assert not run.success
    assert "'Logs'" in run.failure("invoice")
    assert synced.count("invoice", "type is not null") > 0


def test_a_field_that_was_renamed_in_the_editor_is_stopped_and_named_in_the_coverage(
    synced: BubbleSystem,
) -> None:
    synced.bubble.store.rename_field("seda_registration", "TNB Bill 1", "TNB BiIl 1")

    run = synced.run("bubble_full", "seda_registration")

    assert "'TNB Bill 1' is in none of the delivered records" in run.failure("seda_registration")
    step = synced.db.row(
        "select facts from sync.step where run_id = %s and entity = 'seda_registration'", run.id
    )
    coverage = {row["field"]: row for row in step["facts"]["coverage"]}
    assert coverage["TNB Bill 1"]["state"] == "never filled"
    assert coverage["TNB BiIl 1"]["state"] == "unmapped"
    assert coverage["TNB BiIl 1"]["fill_percent"] > 0


def test_a_type_that_answers_404_fails_at_once_and_its_level_goes_on(synced: BubbleSystem) -> None:
    synced.bubble.options.disabled_types = ("customer_profile",)
    before = synced.writes("customer")
    synced.bubble.stats.reset()

    run = synced.run("bubble_full")

    assert run.failed == {"customer"}
    said = run.failure("customer")
    assert "status 404" in said
    assert "Enable the type “Customer_Profile” in Settings → API → Data API" in said
    assert synced.bubble.stats.by_type["customer_profile"] == 1
    assert run.materialized == {"agent", "user"}
    assert synced.writes("customer") == before
    assert run.status == "partial_success"


@pytest.mark.parametrize("job", ["bubble_sync", "bubble_full"])
def test_a_wrong_token_fails_every_root_at_once_and_says_what_to_check(
    synced: BubbleSystem, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUBBLE_API_TOKEN", "not-the-token")

    run = synced.run(job)

    assert run.failed == {"agent", "customer"}
    assert "Check BUBBLE_API_TOKEN" in run.failure("agent")
    assert run.status == "failed"
    assert run.materialized == set()


PASSING = {
    "agent": Fault(kind="truncate"),
    "customer_profile": Fault(kind="reset"),
    "user": Fault(kind="status", status=429, body="plain"),
    "invoice": Fault(kind="status", status=429, headers={"Retry-After": "0"}),
    "payment": Fault(kind="cut"),
    "submit_payment": Fault(kind="garbage", body="html"),
    "invoice_item": Fault(kind="status", status=502, body="html"),
    "seda_registration": Fault(kind="status", status=503, body="plain"),
}


def test_faults_that_pass_cost_a_retry_and_no_record(bubble_system: BubbleSystem) -> None:
    for kind, fault in PASSING.items():
        bubble_system.bubble.faults.add(replace(fault, type=kind, times=1))

    run = bubble_system.run()

    assert bubble_system.bubble.faults.fired == len(PASSING) == len(ENTITIES)
    assert run.success, run.errors
    assert run.total("inserted") == 657
    assert run.total("rejected") == len(bubble_system.bubble_company.unconvertible)


def test_a_page_that_fails_for_ever_fails_its_table_and_nothing_of_it_is_written(
    bubble_system: BubbleSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    bubble_system.bubble.options.page_limit = 50
    bubble_system.bubble.faults.add(Fault(kind="status", type="invoice_item", status=500, nth=5))

    run = bubble_system.run(checks=True)

    assert bubble_system.bubble.faults.fired > 1
    assert run.failed == {"invoice_item"}
    said = run.failure("invoice_item")
    assert "kept failing" in said
    assert "status 500" in said
    assert bubble_system.count("invoice_item") == 0
    assert bubble_system.rows("select from sync_base.bubble__invoice_item") == []
    assert bubble_system.watermarks()["invoice_item"] is None
    assert run.materialized == set(ENTITIES) - {"invoice_item", "seda_registration"}
    assert run.status == "partial_success"
    assert run.checks("invoice_item") == {}
    step = bubble_system.db.row(
        "select status, error, facts from sync.step where entity = 'invoice_item'"
    )
    assert step["status"] == "failed"
    assert "status 500" in step["error"]
    assert step["facts"]["api_calls"] > 5

    bubble_system.bubble.faults.clear()
    again = bubble_system.run("bubble_sync", "invoice_item")

    assert (
        again.counts("invoice_item")["inserted"] == len(bubble_system.records("invoice_item")) - 1
    )
    assert again.success


def test_a_delta_that_fails_half_way_leaves_the_watermark_where_it_was(
    synced: BubbleSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    before = synced.watermarks()["invoice_item"]
    items = synced.ids("invoice_item")
    for item in items:
        synced.clock.advance(seconds=1)
        synced.touch_there("invoice_item", item, **{"Voucher Remark": "changed"})
    synced.bubble.faults.add(Fault(kind="status", type="invoice_item", status=503, nth=3))

    run = synced.run("bubble_sync", "invoice_item")

    assert run.status == "failed"
    assert synced.watermarks()["invoice_item"] == before
    assert synced.count("invoice_item", "voucher_remark = 'changed'") == 0


@pytest.mark.parametrize("kind", ["empty_results", "shrink"])
def test_a_listing_that_is_empty_or_ends_early_proves_nothing(
    synced: BubbleSystem, kind: Any
) -> None:
    before = synced.watermarks()
    writes = synced.writes("customer")
    synced.bubble.faults.add(Fault(kind=kind, type="customer_profile"))

    run = synced.run("bubble_full", "customer")

    assert run.success
    assert run.counts("customer").get("read", 0) < len(synced.records("customer"))
    assert run.metadata("customer")["complete_scan"] is False
    assert run.metadata("customer")["missing"] == 0
    assert missing(synced, "customer") == set()
    assert synced.writes("customer") == writes
    assert synced.watermarks() == before


@pytest.mark.parametrize("kind", ["empty_results", "shrink"])
def test_a_first_listing_that_ends_early_is_no_reason_to_pass_over_the_rest_for_ever(
    bubble_system: BubbleSystem, kind: Any
) -> None:
    bubble_system.bubble.faults.add(Fault(kind=kind, type="customer_profile"))
    bubble_system.run("bubble_sync", "customer")
    assert bubble_system.count("customer") < len(bubble_system.records("customer"))
    assert bubble_system.watermarks()["customer"] is None
    bubble_system.bubble.faults.clear()

    bubble_system.run("bubble_sync", "customer")

    assert bubble_system.count("customer") == len(bubble_system.records("customer"))


def test_a_type_that_really_shrinks_too_much_is_stopped(synced: BubbleSystem) -> None:
    items = synced.ids("invoice_item")
    gone = items[: len(items) // 5]
    for item in gone:
        synced.delete_there("invoice_item", item)
    before = synced.writes("invoice_item")

    run = synced.run("bubble_full", "invoice_item")

    said = run.failure("invoice_item")
    assert f"{len(gone)} of {len(items) - 1} rows are no longer at the source" in said
    assert "--approve" in said
    assert missing(synced, "invoice_item") == set()
    assert synced.writes("invoice_item") == before

    digest = run.report.plans["invoice_item"]
    assert synced.run("bubble_full", "invoice_item", mode="full", approve=[digest]).success
    unconvertible = {b.uid for b in synced.bubble_company.unconvertible}
    assert missing(synced, "invoice_item") == set(gone) - unconvertible
    assert synced.keys("invoice_item") == set(items) - unconvertible
