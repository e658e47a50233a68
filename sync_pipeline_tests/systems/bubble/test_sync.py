"""The sync of the whole system: what it brings, what it leaves alone, and what makes it stop."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    ENTITIES,
    PATCHES,
    BubbleSystem,
    BubbleSystems,
    Run,
)
from sync_pipeline_tests.fixtures.dagster_run import SILENT

# -- what it brings


@pytest.fixture(scope="module")
def first_load(bubble_systems: BubbleSystems) -> Iterator[tuple[BubbleSystem, Run]]:
    """A first run with no configuration into an empty target."""
    with bubble_systems.empty() as bubble_system:
        yield bubble_system, bubble_system.run("bubble_sync")


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_first_run_loads_every_record_and_accounts_for_it(
    first_load: tuple[BubbleSystem, Run], entity: str
) -> None:
    bubble_system, run = first_load
    records = {r["_id"] for r in bubble_system.records(entity)}
    unconvertible = {b.uid for b in bubble_system.bubble_company.unconvertible} & records

    counts = run.report.entities[entity]

    assert counts["read"] == sum(n for name, n in counts.items() if name != "read")
    assert counts["read"] == len(records)
    assert (counts["inserted"], counts["rejected"]) == (
        len(records - unconvertible),
        len(unconvertible),
    )
    assert bubble_system.keys(entity) == records - unconvertible
    assert run.metadata(entity)["balanced"] is True


def test_a_first_run_names_what_nobody_can_convert_and_loads_the_rest(
    first_load: tuple[BubbleSystem, Run],
) -> None:
    bubble_system, run = first_load

    assert run.success
    assert run.status == "partial_success"
    for unconvertible in bubble_system.bubble_company.unconvertible:
        assert unconvertible.uid in run.errors
        assert unconvertible.field in run.errors
    assert {
        (r["entity"], *r["key"].values()) for r in bubble_system.rows("select * from sync.rejected")
    } == {
        (entity.name, b.uid)
        for b in bubble_system.bubble_company.unconvertible
        for entity in BUBBLE.entities
        if entity.source == b.type
    }


def test_a_first_run_materializes_every_table_and_both_patches(
    first_load: tuple[BubbleSystem, Run],
) -> None:
    bubble_system, run = first_load

    assert run.materialized == {*ENTITIES, *PATCHES}
    assert set(run.report.patches) == set(PATCHES)
    history = bubble_system.history(run)
    assert history["items_created"] == run.total("inserted")
    assert history["items_failed"] == 3


def test_a_first_run_sets_each_watermark_to_the_newest_record(
    first_load: tuple[BubbleSystem, Run],
) -> None:
    bubble_system, _ = first_load
    for entity, watermark in bubble_system.watermarks().items():
        newest = max(r["Modified Date"] for r in bubble_system.records(entity))
        assert watermark == dt.datetime.fromisoformat(newest), entity


def test_a_delta_reads_only_what_changed_and_moves_the_watermark(synced: BubbleSystem) -> None:
    before = synced.watermarks()
    customer, payment = synced.ids("customer")[0], synced.ids("payment")[0]
    synced.edit_there("customer", customer, State="Atlantis")
    synced.edit_there("payment", payment, Remark="changed")
    changed_at = synced.clock()
    synced.clock.advance(hours=1)

    run = synced.run()

    assert {e: run.counts(e) for e in ENTITIES if run.counts(e)} == {
        "customer": {"read": 1, "updated": 1},
        "payment": {"read": 1, "updated": 1},
    }
    after = synced.watermarks()
    assert after["payment"] == changed_at
    assert {e for e in ENTITIES if after[e] != before[e]} == {"customer", "payment"}
    assert synced.run("bubble_sync", "customer", "payment").total("read") == 0


def test_a_change_that_comes_into_view_late_is_not_passed_over(synced: BubbleSystem) -> None:
    """Its modification time is older than the newest one that was already seen."""
    late, seen = synced.ids("customer")[:2]
    synced.clock.advance(hours=1)
    hidden = synced.there("customer", late) | {
        "State": "Atlantis",
        "Modified Date": synced.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    synced.clock.advance(seconds=30)
    synced.touch_there("customer", seen, State="Lemuria")
    assert synced.run("bubble_sync", "customer").counts("customer")["updated"] == 1

    synced.clock.advance(seconds=30)
    put_as_it_is(synced, "customer", hidden)
    run = synced.run("bubble_sync", "customer")

    assert run.counts("customer") == {"read": 2, "updated": 1, "unchanged": 1}
    assert synced.here("customer", late)["state"] == "Atlantis"


def put_as_it_is(bubble_system: BubbleSystem, entity: str, record: dict[str, Any]) -> None:
    """Set a record in the app with the modification time that it names."""
    store = bubble_system.bubble.store
    store._write_version(BUBBLE[entity].source, record["_id"], record)


@pytest.mark.parametrize("job", ["bubble_sync", "bubble_full"])
def test_a_second_run_writes_no_tuple_of_any_table_or_base(synced: BubbleSystem, job: str) -> None:
    before = synced.writes()

    run = synced.run(job)

    assert run.success
    assert run.total("updated") == run.total("inserted") == 0
    assert run.total("unchanged") == (657 if job == "bubble_full" else 0)
    assert synced.writes() == before


def test_a_dry_run_shows_the_plan_and_writes_nothing(synced: BubbleSystem) -> None:
    customer = synced.ids("customer")[0]
    synced.edit_there("customer", customer, State="Atlantis")
    new = synced.create_there("payment", Amount=5)
    before, watermarks = synced.writes(), synced.watermarks()

    chosen = ("customer", "payment", "invoice", "seda_registration", *PATCHES)
    run = synced.run("bubble_sync", *chosen, dry_run=True)

    assert run.counts("customer") == {"read": 1, "updated": 1}
    assert run.counts("payment") == {"read": 1, "inserted": 1}
    assert "Atlantis" in run.metadata("customer")["changes"]
    assert synced.writes() == before
    assert synced.watermarks() == watermarks
    assert new not in synced.keys("payment")
    assert all("skipped" in run.metadata(patch)["status"] for patch in PATCHES)
    assert synced.run("bubble_sync", "customer").counts("customer") == {"read": 1, "updated": 1}


def test_materializing_one_table_from_its_page_needs_no_configuration(synced: BubbleSystem) -> None:
    customer = synced.ids("customer")[0]
    synced.edit_there("customer", customer, State="Atlantis")
    key = dg.AssetKey(["bubble", "customer"])

    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=synced.instance, run_config=SILENT, asset_selection=[key]
    )

    assert result.success
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["updated"].value == 1
    assert event.materialization.metadata["scope"].value == "delta"
    assert synced.here("customer", customer)["state"] == "Atlantis"


def test_a_table_that_fails_does_not_keep_the_others_of_its_level_from_syncing(
    synced: BubbleSystem,
) -> None:
    synced.bubble.options.disabled_types = ("payment",)
    synced.edit_there("invoice_item", synced.ids("invoice_item")[0], **{"Voucher Remark": "x"})

    run = synced.run()

    assert run.failed == {"payment"}
    assert run.counts("invoice_item") == {"read": 1, "updated": 1}
    assert {"invoice", "invoice_item", "submitted_payment"} <= run.materialized
    assert "seda_registration" not in run.materialized
    assert synced.history(run)["status"] == "partial_success"


def test_a_run_that_could_write_nothing_at_all_is_failed(
    synced: BubbleSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    synced.bubble.stop()

    run = synced.run("bubble_sync", "agent")

    assert run.status == synced.history(run)["status"] == "failed"
    assert "Bubble" in run.failure("agent")
    assert "kept failing" in run.failure("agent")
