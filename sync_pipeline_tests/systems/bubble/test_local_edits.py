"""Local edits, local-only columns and triggers of the target through every kind of run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sync_pipeline_tests.fixtures.bubble_system import (
    CUSTOMER,
    ENTITIES,
    INVOICE,
    SEDA,
    BubbleSystem,
    BubbleSystems,
    Run,
    uid,
)

# -- what it leaves alone

MODES = ["delta", "full", "package"]


LOCAL = uid(70)


@dataclass
class Worked:
    """What people did on both sides before the run, by the rows it was done to."""

    bubble_system: BubbleSystem
    mode: str
    run: Run
    doomed: str
    conflicting_doomed: str
    conflicted: str
    cleared: str


@pytest.fixture(scope="module", params=MODES)
def worked(bubble_systems: BubbleSystems, request: pytest.FixtureRequest) -> Iterator[Worked]:
    """Work on both sides, and then one run in some mode."""
    with bubble_systems.tiny() as bubble_system:
        package = {"Linked Invoice": INVOICE}
        made = [bubble_system.create_there("invoice_item", AMOUNT=n, **package) for n in range(4)]
        doomed, conflicting_doomed, conflicted, cleared = made
        bubble_system.touch_there("invoice_item", *made, **{"Voucher Remark": "from the app"})
        bubble_system.touch_there("invoice", INVOICE, **{"Linked SEDA registration": None})
        assert bubble_system.run().report.patches["invoice_seda_links"]["set"] == 1

        bubble_system.edit_here("customer", CUSTOMER, notes="call after six", name="Edited here")
        bubble_system.edit_here("invoice", INVOICE, internal_notes="mind the roof")
        bubble_system.db.run(
            "insert into invoice_item (bubble_id, description) values (%s, 'ours')", LOCAL
        )
        bubble_system.delete_here("invoice_item", doomed)
        bubble_system.delete_here("invoice_item", conflicting_doomed)
        bubble_system.edit_here("invoice_item", conflicted, voucher_remark="from here")

        bubble_system.edit_there("customer", CUSTOMER, State="Atlantis")
        bubble_system.touch_there("invoice", INVOICE, visit=7)
        bubble_system.touch_there("invoice_item", conflicting_doomed, AMOUNT=99)
        bubble_system.touch_there(
            "invoice_item", conflicted, **{"Voucher Remark": "changed in the app"}
        )
        bubble_system.touch_there("invoice_item", cleared, **{"Voucher Remark": None})
        run = resync(bubble_system, request.param)
        assert run.success, run.errors
        yield Worked(
            bubble_system, request.param, run, doomed, conflicting_doomed, conflicted, cleared
        )


def resync(bubble_system: BubbleSystem, mode: str) -> Run:
    if mode == "package":
        return bubble_system.run("invoice_resync", mode="keys", of="invoice", ids=[INVOICE])
    return bubble_system.run("bubble_full" if mode == "full" else "bubble_sync")


def test_a_note_in_a_local_only_column_survives(worked: Worked) -> None:
    assert worked.bubble_system.here("customer", CUSTOMER)["notes"] == "call after six"
    assert worked.bubble_system.here("invoice", INVOICE)["internal_notes"] == "mind the roof"


def test_a_field_edited_here_survives_while_the_source_changes_another_field_of_the_row(
    worked: Worked,
) -> None:
    row = worked.bubble_system.here("customer", CUSTOMER)
    assert (row["name"], row["state"]) == ("Edited here", "Atlantis")
    assert conflicts(worked.bubble_system, "customer") == []
    assert worked.run.metadata("customer")["local_overrides_by_column"] == {"name": 1}


def test_a_patched_link_survives_while_the_source_changes_the_row(worked: Worked) -> None:
    row = worked.bubble_system.here("invoice", INVOICE)
    assert (row["linked_seda_registration"], row["visit"]) == (SEDA, 7)
    assert worked.bubble_system.base("invoice", INVOICE)["linked_seda_registration"] is None
    assert conflicts(worked.bubble_system, "invoice") == []


def test_a_row_inserted_here_survives(worked: Worked) -> None:
    assert worked.bubble_system.here("invoice_item", LOCAL)["description"] == "ours"


def test_a_row_deleted_here_stays_deleted(worked: Worked) -> None:
    assert worked.doomed not in worked.bubble_system.keys("invoice_item")


def test_a_row_deleted_here_that_the_source_changed_stays_deleted_and_is_a_conflict(
    worked: Worked,
) -> None:
    assert worked.conflicting_doomed not in worked.bubble_system.keys("invoice_item")
    [conflict] = [
        c for c in conflicts(worked.bubble_system, "invoice_item") if c["kind"] == "deleted"
    ]
    assert conflict["key"] == {"bubble_id": worked.conflicting_doomed}
    assert conflict["source"]["amount"] == 99
    assert conflict["kept"] == "local"
    assert worked.run.counts("invoice_item")["deleted_locally"] == 2


def test_a_field_changed_on_both_sides_is_a_conflict_with_both_values(worked: Worked) -> None:
    row = worked.bubble_system.here("invoice_item", worked.conflicted)
    assert row["voucher_remark"] == "changed in the app"
    [conflict] = [
        c for c in conflicts(worked.bubble_system, "invoice_item") if c["kind"] == "field"
    ]
    assert conflict["key"] == {"bubble_id": worked.conflicted}
    assert conflict["field"] == "voucher_remark"
    assert (conflict["base"], conflict["local"], conflict["source"], conflict["kept"]) == (
        "from the app",
        "from here",
        "changed in the app",
        "source",
    )


def test_a_field_that_was_cleared_in_the_app_is_cleared_here(worked: Worked) -> None:
    assert worked.bubble_system.here("invoice_item", worked.cleared)["voucher_remark"] is None


def test_all_that_is_true_after_a_run_is_true_after_the_next_one(worked: Worked) -> None:
    before = {e: worked.bubble_system.rows(f'select * from "{e}" order by id') for e in ENTITIES}
    recorded = conflicts(worked.bubble_system)

    next_mode = MODES[(MODES.index(worked.mode) + 1) % len(MODES)]
    assert resync(worked.bubble_system, next_mode).status == "completed"

    assert {
        e: worked.bubble_system.rows(f'select * from "{e}" order by id') for e in ENTITIES
    } == before
    assert conflicts(worked.bubble_system) == recorded


def conflicts(bubble_system: BubbleSystem, entity: str | None = None) -> list[dict[str, Any]]:
    return bubble_system.rows(
        "select * from sync.conflict where %s::text is null or entity = %s order by id",
        entity,
        entity,
    )


def test_force_reasserts_the_source_but_not_on_local_only_columns(tiny: BubbleSystem) -> None:
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
def test_an_unchanged_customer_fires_no_trigger(synced: BubbleSystem, job: str) -> None:
    synced.db.run(TRIGGERS)

    synced.run(job, "customer")

    assert synced.count("customer_snapshot") == 0
    assert synced.count("customer", "version <> 1") == 0


def test_a_changed_customer_fires_its_trigger_once_and_the_trigger_has_its_way(
    synced: BubbleSystem,
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
