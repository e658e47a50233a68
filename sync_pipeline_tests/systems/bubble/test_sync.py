"""The sync of the whole system: what it brings, what it leaves alone, and what makes it stop."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.merge.schema.metadata import base_name
from sync_pipeline.model.entity import source_value
from sync_pipeline.simulators.clock import ManualClock
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    A_DAY_LATER,
    CUSTOMER,
    ENTITIES,
    INVOICE,
    PATCHES,
    SEDA,
    Run,
    World,
    Worlds,
    uid,
)
from sync_pipeline_tests.fixtures.dagster_run import SILENT

# -- what it brings


@pytest.fixture(scope="module")
def first_load(worlds: Worlds) -> Iterator[tuple[World, Run]]:
    """A first run with no configuration into an empty target."""
    with worlds.empty() as world:
        yield world, world.run("bubble_sync")


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_first_run_loads_every_record_and_accounts_for_it(
    first_load: tuple[World, Run], entity: str
) -> None:
    world, run = first_load
    records = {r["_id"] for r in world.records(entity)}
    ruined = {b.uid for b in world.bubble_company.beyond_use} & records

    counts = run.report.entities[entity]

    assert counts["read"] == sum(n for name, n in counts.items() if name != "read")
    assert counts["read"] == len(records)
    assert (counts["inserted"], counts["rejected"]) == (len(records - ruined), len(ruined))
    assert world.keys(entity) == records - ruined
    assert run.metadata(entity)["balanced"] is True


def test_a_first_run_names_what_nobody_can_convert_and_loads_the_rest(
    first_load: tuple[World, Run],
) -> None:
    world, run = first_load

    assert run.success
    assert run.status == "partial_success"
    for ruined in world.bubble_company.beyond_use:
        assert ruined.uid in run.errors
        assert ruined.field in run.errors
    assert {
        (r["entity"], *r["key"].values()) for r in world.rows("select * from sync.rejected")
    } == {
        (entity.name, b.uid)
        for b in world.bubble_company.beyond_use
        for entity in BUBBLE.entities
        if entity.source == b.type
    }


def test_a_first_run_materializes_every_table_and_both_patches(
    first_load: tuple[World, Run],
) -> None:
    world, run = first_load

    assert run.materialized == {*ENTITIES, *PATCHES}
    assert set(run.report.patches) == set(PATCHES)
    history = world.history(run)
    assert history["items_created"] == run.total("inserted")
    assert history["items_failed"] == 3


def test_a_first_run_sets_each_watermark_to_the_newest_record(
    first_load: tuple[World, Run],
) -> None:
    world, _ = first_load
    for entity, watermark in world.watermarks().items():
        newest = max(r["Modified Date"] for r in world.records(entity))
        assert watermark == dt.datetime.fromisoformat(newest), entity


def test_a_delta_reads_only_what_changed_and_moves_the_watermark(synced: World) -> None:
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


def test_a_change_that_comes_into_view_late_is_not_passed_over(synced: World) -> None:
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


def put_as_it_is(world: World, entity: str, record: dict[str, Any]) -> None:
    """Set a record in the app with the modification time that it names."""
    store = world.bubble.store
    store._settle_write(BUBBLE[entity].source, record["_id"], record)


@pytest.mark.parametrize("job", ["bubble_sync", "bubble_full"])
def test_a_second_run_writes_no_tuple_of_any_table_or_base(synced: World, job: str) -> None:
    before = synced.writes()

    run = synced.run(job)

    assert run.success
    assert run.total("updated") == run.total("inserted") == 0
    assert run.total("unchanged") == (657 if job == "bubble_full" else 0)
    assert synced.writes() == before


def test_a_dry_run_shows_the_plan_and_writes_nothing(synced: World) -> None:
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


def test_materializing_one_table_from_its_page_needs_no_configuration(synced: World) -> None:
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


# -- what it leaves alone

MODES = ["delta", "full", "package"]
LOCAL = uid(70)


@dataclass
class Worked:
    """What people did on both sides before the run, by the rows it was done to."""

    world: World
    mode: str
    run: Run
    doomed: str
    disputed_doomed: str
    conflicted: str
    cleared: str


@pytest.fixture(scope="module", params=MODES)
def worked(worlds: Worlds, request: pytest.FixtureRequest) -> Iterator[Worked]:
    """Work on both sides, and then one run in some mode."""
    with worlds.tiny() as world:
        package = {"Linked Invoice": INVOICE}
        made = [world.create_there("invoice_item", AMOUNT=n, **package) for n in range(4)]
        doomed, disputed_doomed, conflicted, cleared = made
        world.touch_there("invoice_item", *made, **{"Voucher Remark": "from the app"})
        world.touch_there("invoice", INVOICE, **{"Linked SEDA registration": None})
        assert world.run().report.patches["invoice_seda_links"]["set"] == 1

        world.edit_here("customer", CUSTOMER, notes="call after six", name="Edited here")
        world.edit_here("invoice", INVOICE, internal_notes="mind the roof")
        world.db.run("insert into invoice_item (bubble_id, description) values (%s, 'ours')", LOCAL)
        world.delete_here("invoice_item", doomed)
        world.delete_here("invoice_item", disputed_doomed)
        world.edit_here("invoice_item", conflicted, voucher_remark="from here")

        world.edit_there("customer", CUSTOMER, State="Atlantis")
        world.touch_there("invoice", INVOICE, visit=7)
        world.touch_there("invoice_item", disputed_doomed, AMOUNT=99)
        world.touch_there("invoice_item", conflicted, **{"Voucher Remark": "changed in the app"})
        world.touch_there("invoice_item", cleared, **{"Voucher Remark": None})
        run = resync(world, request.param)
        assert run.success, run.errors
        yield Worked(world, request.param, run, doomed, disputed_doomed, conflicted, cleared)


def resync(world: World, mode: str) -> Run:
    if mode == "package":
        return world.run("invoice_resync", mode="keys", of="invoice", ids=[INVOICE])
    return world.run("bubble_full" if mode == "full" else "bubble_sync")


def test_a_note_in_a_local_only_column_survives(worked: Worked) -> None:
    assert worked.world.here("customer", CUSTOMER)["notes"] == "call after six"
    assert worked.world.here("invoice", INVOICE)["internal_notes"] == "mind the roof"


def test_a_field_edited_here_survives_while_the_source_changes_another_field_of_the_row(
    worked: Worked,
) -> None:
    row = worked.world.here("customer", CUSTOMER)
    assert (row["name"], row["state"]) == ("Edited here", "Atlantis")
    assert conflicts(worked.world, "customer") == []
    assert worked.run.metadata("customer")["local_overrides_by_column"] == {"name": 1}


def test_a_patched_link_survives_while_the_source_changes_the_row(worked: Worked) -> None:
    row = worked.world.here("invoice", INVOICE)
    assert (row["linked_seda_registration"], row["visit"]) == (SEDA, 7)
    assert worked.world.base("invoice", INVOICE)["linked_seda_registration"] is None
    assert conflicts(worked.world, "invoice") == []


def test_a_row_inserted_here_survives(worked: Worked) -> None:
    assert worked.world.here("invoice_item", LOCAL)["description"] == "ours"


def test_a_row_deleted_here_stays_deleted(worked: Worked) -> None:
    assert worked.doomed not in worked.world.keys("invoice_item")


def test_a_row_deleted_here_that_the_source_changed_stays_deleted_and_is_a_conflict(
    worked: Worked,
) -> None:
    assert worked.disputed_doomed not in worked.world.keys("invoice_item")
    [conflict] = [c for c in conflicts(worked.world, "invoice_item") if c["kind"] == "deleted"]
    assert conflict["key"] == {"bubble_id": worked.disputed_doomed}
    assert conflict["source"]["amount"] == 99
    assert conflict["kept"] == "local"
    assert worked.run.counts("invoice_item")["deleted_locally"] == 2


def test_a_field_changed_on_both_sides_is_a_conflict_with_both_values(worked: Worked) -> None:
    row = worked.world.here("invoice_item", worked.conflicted)
    assert row["voucher_remark"] == "changed in the app"
    [conflict] = [c for c in conflicts(worked.world, "invoice_item") if c["kind"] == "field"]
    assert conflict["key"] == {"bubble_id": worked.conflicted}
    assert conflict["field"] == "voucher_remark"
    assert (conflict["base"], conflict["local"], conflict["source"], conflict["kept"]) == (
        "from the app",
        "from here",
        "changed in the app",
        "source",
    )


def test_a_field_that_was_cleared_in_the_app_is_cleared_here(worked: Worked) -> None:
    assert worked.world.here("invoice_item", worked.cleared)["voucher_remark"] is None


def test_all_that_is_true_after_a_run_is_true_after_the_next_one(worked: Worked) -> None:
    before = {e: worked.world.rows(f'select * from "{e}" order by id') for e in ENTITIES}
    disputes = conflicts(worked.world)

    next_mode = MODES[(MODES.index(worked.mode) + 1) % len(MODES)]
    assert resync(worked.world, next_mode).status == "completed"

    assert {e: worked.world.rows(f'select * from "{e}" order by id') for e in ENTITIES} == before
    assert conflicts(worked.world) == disputes


def conflicts(world: World, entity: str | None = None) -> list[dict[str, Any]]:
    return world.rows(
        "select * from sync.conflict where %s::text is null or entity = %s order by id",
        entity,
        entity,
    )


def test_force_reasserts_the_source_but_not_on_local_only_columns(tiny: World) -> None:
    tiny.edit_here("customer", CUSTOMER, notes="call after six", name="Edited here")

    run = tiny.run("bubble_full", "customer", mode="full", force=True)

    row = tiny.here("customer", CUSTOMER)
    assert (row["name"], row["notes"]) == ("Belvon", "call after six")
    assert run.counts("customer") == {"read": 1, "updated": 1}


TRIGGERS = """
create table customer_snapshot (
    snapshot_id serial, customer_id int not null references customer (id) on delete cascade,
    image jsonb, snapshot_operation text not null, snapshot_created_at timestamptz default now()
);
create function snapshot_customer() returns trigger language plpgsql as $$
begin
    insert into customer_snapshot (customer_id, image, snapshot_operation)
    values (old.id, to_jsonb(old), tg_op);
    if tg_op = 'DELETE' then return old; end if;
    new.version := old.version + 1;
    return new;
end $$;
create trigger customer_before_update before update on customer
    for each row execute function snapshot_customer();
create trigger customer_before_delete before delete on customer
    for each row execute function snapshot_customer();
"""


@pytest.mark.parametrize("job", ["bubble_sync", "bubble_full"])
def test_an_unchanged_customer_fires_no_trigger(synced: World, job: str) -> None:
    synced.db.run(TRIGGERS)

    synced.run(job, "customer")

    assert synced.count("customer_snapshot") == 0
    assert synced.count("customer", "version <> 1") == 0


def test_a_changed_customer_fires_its_trigger_once_and_the_trigger_has_its_way(
    synced: World,
) -> None:
    synced.db.run(TRIGGERS)
    changed = synced.usable("customer", having=["State"])[0]
    synced.edit_there("customer", changed["_id"], State="Atlantis")

    run = synced.run("bubble_sync", "customer")

    assert run.counts("customer") == {"read": 1, "updated": 1}
    [snapshot] = synced.rows("select * from customer_snapshot")
    assert snapshot["image"]["customer_id"] == changed["_id"]
    assert snapshot["image"]["state"] == changed["State"]
    row = synced.here("customer", changed["_id"])
    assert (row["state"], row["version"]) == ("Atlantis", 2)
    assert synced.run("bubble_full", "customer").total("updated") == 0
    assert synced.count("customer_snapshot") == 1


# -- what makes it stop


def test_a_field_that_vanishes_from_every_record_is_stopped_with_nothing_written(
    synced: World,
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


def test_approving_exactly_the_plan_that_was_stopped_lets_it_pass(synced: World) -> None:
    synced.bubble.store.hide_field("invoice", "Type")
    digest = synced.run("bubble_full", "invoice").report.plans["invoice"]
    assert not synced.run("bubble_full", "invoice", mode="full", approve=["0" * 12]).success

    run = synced.run("bubble_full", "invoice", mode="full", approve=[digest])

    assert run.success
    assert synced.count("invoice", "type is not null") == 0


def test_an_approval_is_not_good_for_another_plan(synced: World) -> None:
    synced.bubble.store.hide_field("invoice", "Type")
    digest = synced.run("bubble_full", "invoice").report.plans["invoice"]
    synced.bubble.store.hide_field("invoice", "Logs")

    run = synced.run("bubble_full", "invoice", mode="full", approve=[digest])

    assert not run.success
    assert "'Logs'" in run.failure("invoice")
    assert synced.count("invoice", "type is not null") > 0


def test_a_field_that_was_renamed_in_the_editor_is_stopped_and_named_in_the_coverage(
    synced: World,
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


def test_a_type_that_answers_404_fails_at_once_and_its_level_goes_on(synced: World) -> None:
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
    synced: World, job: str, monkeypatch: pytest.MonkeyPatch
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


def test_faults_that_pass_cost_a_retry_and_no_record(world: World) -> None:
    for kind, fault in PASSING.items():
        world.bubble.faults.add(replace(fault, type=kind, times=1))

    run = world.run()

    assert world.bubble.faults.fired == len(PASSING) == len(ENTITIES)
    assert run.success, run.errors
    assert run.total("inserted") == 657
    assert run.total("rejected") == len(world.bubble_company.beyond_use)


def test_a_page_that_fails_for_ever_fails_its_table_and_nothing_of_it_is_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    world.bubble.options.page_limit = 50
    world.bubble.faults.add(Fault(kind="status", type="invoice_item", status=500, nth=5))

    run = world.run(checks=True)

    assert world.bubble.faults.fired > 1
    assert run.failed == {"invoice_item"}
    said = run.failure("invoice_item")
    assert "kept failing" in said
    assert "status 500" in said
    assert world.count("invoice_item") == 0
    assert world.rows("select from sync_base.bubble__invoice_item") == []
    assert world.watermarks()["invoice_item"] is None
    assert run.materialized == set(ENTITIES) - {"invoice_item", "seda_registration"}
    assert run.status == "partial_success"
    assert run.checks("invoice_item") == {}
    step = world.db.row("select status, error, facts from sync.step where entity = 'invoice_item'")
    assert step["status"] == "failed"
    assert "status 500" in step["error"]
    assert step["facts"]["api_calls"] > 5

    world.bubble.faults.clear()
    again = world.run("bubble_sync", "invoice_item")

    assert again.counts("invoice_item")["inserted"] == len(world.records("invoice_item")) - 1
    assert again.success


def test_a_delta_that_fails_half_way_leaves_the_watermark_where_it_was(
    synced: World, monkeypatch: pytest.MonkeyPatch
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
def test_a_listing_that_is_empty_or_ends_early_proves_nothing(synced: World, kind: Any) -> None:
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
    world: World, kind: Any
) -> None:
    world.bubble.faults.add(Fault(kind=kind, type="customer_profile"))
    world.run("bubble_sync", "customer")
    assert world.count("customer") < len(world.records("customer"))
    assert world.watermarks()["customer"] is None
    world.bubble.faults.clear()

    world.run("bubble_sync", "customer")

    assert world.count("customer") == len(world.records("customer"))


def test_a_type_that_really_shrinks_too_much_is_stopped(synced: World) -> None:
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
    ruined = {b.uid for b in synced.bubble_company.beyond_use}
    assert missing(synced, "invoice_item") == set(gone) - ruined
    assert synced.keys("invoice_item") == set(items) - ruined


def test_a_record_that_vanished_is_marked_by_a_full_scan_alone_and_its_row_stays(
    synced: World,
) -> None:
    customer = synced.ids("customer")[0]
    synced.delete_there("customer", customer)

    assert synced.run("bubble_sync", "customer").metadata("customer")["missing"] == 0
    assert missing(synced, "customer") == set()

    run = synced.run("bubble_full", "customer")

    assert run.metadata("customer")["missing"] == 1
    assert missing(synced, "customer") == {customer}
    assert customer in synced.keys("customer")
    assert synced.run("bubble_full", "customer").metadata("customer")["missing"] == 0


def missing(world: World, entity: str) -> set[str]:
    declared = BUBBLE[entity]
    key = declared.key[0]
    rows = world.rows(
        f"select {key} from sync_base.{base_name(declared)} where _missing_since is not null"
    )
    return {row[key] for row in rows}


class TickingClock(ManualClock):
    """Every look at it takes a millisecond, so that no two edits have the same time."""

    def __call__(self) -> dt.datetime:
        return self.advance(milliseconds=1)


def test_edits_while_the_app_is_read_are_in_by_the_next_delta_and_full(worlds: Worlds) -> None:
    with worlds.empty(TickingClock(A_DAY_LATER)) as world:
        options = world.bubble.options
        options.page_limit, options.edits_per_page = 20, 1
        edited = world.run("bubble_full")
        assert edited.success, edited.errors
        edited = world.run("bubble_sync")
        assert edited.success, edited.errors
        options.edits_per_page = 0
        assert len(world.bubble.store.journal) > 50

        delta = world.run("bubble_sync")
        full = world.run("bubble_full")

        assert delta.success, delta.errors
        assert full.success, full.errors
        for entity in ENTITIES:
            assert_converged(world, entity)


def assert_converged(world: World, entity: str) -> None:
    """The bases, and what is missing, are what the app has now."""
    declared = BUBBLE[entity]
    ruined = {b.uid for b in world.bubble_company.beyond_use}
    records = {r["_id"]: r for r in world.records(entity)}
    rows = world.rows(f"select * from sync_base.{base_name(declared)}")
    present = {r[declared.key[0]]: r for r in rows if r["_missing_since"] is None}
    # A copy of a record that nobody can convert cannot be converted either.
    unusable = {
        row["key"][declared.key[0]]
        for row in world.rows("select key from sync.rejected where entity = %s", entity)
    }
    assert present.keys() == records.keys() - unusable - ruined
    for key, row in present.items():
        for f in declared.values:
            value = source_value(f, records[key])
            expected = None if value is None else f.type.convert(value)
            assert row[f.column] == expected, (key, f.column)


def test_a_table_that_fails_does_not_keep_the_others_of_its_level_from_syncing(
    synced: World,
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
    synced: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    synced.bubble.stop()

    run = synced.run("bubble_sync", "agent")

    assert run.status == synced.history(run)["status"] == "failed"
    assert "Bubble" in run.failure("agent")
    assert "kept failing" in run.failure("agent")
