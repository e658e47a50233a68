"""Patches: what they set, what they leave, and that both can be told apart afterwards."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from sync_pipeline.merge.review import resolve, undo
from sync_pipeline.merge.review.resolve import Side
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    CUSTOMER,
    INVOICE,
    PATCHES,
    SEDA,
    Run,
    World,
    uid,
)

LINKS, CUSTOMERS = PATCHES
LINK, BACK = "Linked SEDA registration", "Linked Invoice"
ENDS = ("invoice", "seda_registration")


def patch(world: World, *, everything: bool = True) -> Run:
    """Both patches alone, over everything unless only a run's own rows are wanted."""
    ops = {f"bubble__{name}": {"config": {"everything": everything}} for name in PATCHES}
    keys = [dg.AssetKey(["bubble", name]) for name in PATCHES]
    return world.launch("bubble_sync", {"ops": ops}, keys)


def sync(world: World, job: str = "bubble_sync", **scope: Any) -> Run:
    """Sync both ends, and patch what that touched."""
    return world.run(job, *ENDS, *PATCHES, **scope)


def found(run: Run, name: str) -> dict[str, int]:
    """The counts of a patch that are not zero."""
    facts = run.report.patches[name]
    return {k: n for k, n in facts.items() if n and k != "reports"}


def reports(run: Run, name: str) -> list[str]:
    return run.report.patches[name]["reports"]


def link_of(world: World, invoice: str = INVOICE) -> str | None:
    return world.here("invoice", invoice)["linked_seda_registration"]


def customer_of(world: World, seda: str = SEDA) -> str | None:
    return world.here("seda_registration", seda)["linked_customer"]


def disputes(world: World) -> list[dict[str, Any]]:
    return world.rows(
        "select key, field, local, source, kept, resolved_at from sync.conflict"
        " where kind = 'patch' order by id"
    )


@pytest.fixture
def unlinked(tiny: World) -> World:
    """The invoice does not name its registration, in the app and here; the registration names it."""
    tiny.touch_there("invoice", INVOICE, **{LINK: None})
    assert tiny.run("bubble_full", "invoice").success
    assert link_of(tiny) is None
    return tiny


# -- invoice → registration


def test_an_empty_link_is_set_from_the_registrations_list(unlinked: World) -> None:
    run = patch(unlinked)

    assert link_of(unlinked) == SEDA
    assert found(run, LINKS) == {"candidates": 1, "set": 1}


def test_a_link_that_is_an_empty_text_is_empty(unlinked: World) -> None:
    unlinked.edit_here("invoice", INVOICE, linked_seda_registration="")

    assert found(patch(unlinked), LINKS) == {"candidates": 1, "set": 1}
    assert link_of(unlinked) == SEDA


def test_a_link_that_is_there_already_is_left(tiny: World) -> None:
    before = tiny.writes("invoice")

    assert found(patch(tiny), LINKS) == {"candidates": 1, "same": 1}
    assert tiny.writes("invoice") == before


def test_an_invoice_that_is_not_there_is_counted(tiny: World) -> None:
    tiny.edit_here("seda_registration", SEDA, linked_invoice=[uid(90), INVOICE, uid(91), ""])

    assert found(patch(tiny), LINKS) == {"candidates": 4, "same": 1, "not_found": 3}


def test_an_invoice_that_is_listed_twice_counts_once(unlinked: World) -> None:
    unlinked.edit_here("seda_registration", SEDA, linked_invoice=[INVOICE, INVOICE])

    assert found(patch(unlinked), LINKS) == {"candidates": 1, "set": 1}


def test_a_registration_without_a_list_is_no_candidate(tiny: World) -> None:
    tiny.edit_here("seda_registration", SEDA, linked_invoice=None)

    assert found(patch(tiny), LINKS) == {}


def test_another_registration_is_a_conflict_and_the_link_is_kept(tiny: World) -> None:
    rival = rival_of(tiny)

    run = patch(tiny)

    assert link_of(tiny) == SEDA
    assert found(run, LINKS) == {"candidates": 2, "same": 1, "conflict": 1}
    assert reports(run, LINKS) == [f"{INVOICE} is claimed by {rival} but holds {SEDA}"]
    [conflict] = disputes(tiny)
    assert conflict["key"] == {"bubble_id": INVOICE}
    assert conflict["field"] == "linked_seda_registration"
    assert (conflict["local"], conflict["source"], conflict["kept"]) == (SEDA, rival, "local")


def rival_of(world: World, **fields: Any) -> str:
    """A second registration that names the invoice, later than the first."""
    rival = world.create_there("seda_registration", **({BACK: [INVOICE]} | fields))
    assert world.run("bubble_sync", "seda_registration").success
    return rival


def test_a_conflict_is_recorded_once_however_often_it_is_found(tiny: World) -> None:
    rival_of(tiny)
    for _ in range(3):
        assert found(patch(tiny), LINKS)["conflict"] == 1

    assert len(disputes(tiny)) == 1


def test_a_conflict_that_was_settled_does_not_come_back(tiny: World) -> None:
    rival_of(tiny)
    patch(tiny)
    tiny.db.run("update sync.conflict set resolved_at = now(), resolution = 'local'")

    patch(tiny)

    assert len(disputes(tiny)) == 1


@pytest.mark.parametrize("side", ["local", "source"])
def test_a_person_decides_between_rivals_and_that_stands(tiny: World, side: Side) -> None:
    rival = rival_of(tiny)
    patch(tiny)
    number = tiny.db.row("select id from sync.conflict")["id"]

    resolve.resolve(tiny.db.connection, BUBBLE, number, side, run_id=uuid4())

    chosen = rival if side == "source" else SEDA
    assert link_of(tiny) == chosen
    tiny.edit_there("invoice", INVOICE, visit=7)
    for job in ("bubble_sync", "bubble_full"):
        sync(tiny, job)
        assert link_of(tiny) == chosen
    assert len(disputes(tiny)) == 1


def test_of_two_registrations_that_name_an_unlinked_invoice_the_oldest_is_taken_and_it_is_reported(
    unlinked: World,
) -> None:
    rival = rival_of(unlinked)

    run = patch(unlinked)

    assert link_of(unlinked) == SEDA
    assert found(run, LINKS) == {"candidates": 2, "set": 1, "conflict": 1}
    assert reports(run, LINKS) == [f"{INVOICE} is claimed by {rival} but holds {SEDA}"]
    assert [(c["local"], c["source"]) for c in disputes(unlinked)] == [(SEDA, rival)]
    assert found(patch(unlinked), LINKS) == {"candidates": 2, "same": 1, "conflict": 1}


def test_the_oldest_is_taken_even_if_only_the_younger_one_was_touched(unlinked: World) -> None:
    rival = unlinked.create_there("seda_registration", **{BACK: [INVOICE]})

    run = sync(unlinked)

    assert run.counts("seda_registration") == {"read": 1, "inserted": 1}
    assert link_of(unlinked) == SEDA
    assert [(c["local"], c["source"]) for c in disputes(unlinked)] == [(SEDA, rival)]


def test_registrations_of_the_same_age_are_told_apart_by_their_ids(unlinked: World) -> None:
    rival = rival_of(unlinked)
    unlinked.db.run("update seda_registration set created_date = '2026-01-01'")

    patch(unlinked)

    assert link_of(unlinked) == min(SEDA, rival)


def test_a_registration_without_a_date_comes_last(unlinked: World) -> None:
    rival_of(unlinked)
    unlinked.edit_here("seda_registration", SEDA, created_date=None)

    patch(unlinked)

    assert link_of(unlinked) != SEDA


# -- registration → customer


@pytest.fixture
def without_customer(tiny: World) -> World:
    """The registration names no customer, in the app and here; its invoice does."""
    tiny.touch_there("seda_registration", SEDA, **{"Linked Customer": None})
    assert tiny.run("bubble_full", "seda_registration").success
    tiny.db.run("update seda_registration set linked_customer = null")
    return tiny


def test_a_registration_without_a_customer_takes_its_invoices(without_customer: World) -> None:
    updated_at = without_customer.here("seda_registration", SEDA)["updated_at"]

    run = patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS) == {"candidates": 1, "set": 1}
    assert without_customer.here("seda_registration", SEDA)["updated_at"] == updated_at


def test_a_registration_whose_customer_is_an_empty_text_has_none(without_customer: World) -> None:
    without_customer.edit_here("seda_registration", SEDA, linked_customer="")

    patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER


def test_a_registration_with_a_customer_keeps_it(tiny: World) -> None:
    tiny.edit_here("seda_registration", SEDA, linked_customer=uid(90))

    assert found(patch(tiny), CUSTOMERS) == {}
    assert customer_of(tiny) == uid(90)


@pytest.mark.parametrize("customer", [None, ""])
def test_an_invoice_without_a_customer_has_none_to_give(
    without_customer: World, customer: str | None
) -> None:
    without_customer.edit_here("invoice", INVOICE, linked_customer=customer)

    run = patch(without_customer)

    assert customer_of(without_customer) is None
    assert found(run, CUSTOMERS) == {"candidates": 1, "no_candidate": 1}


def second_invoice(world: World, customer: str | None) -> str:
    """A later invoice with the same registration."""
    invoice = world.create_there("invoice", **{LINK: SEDA, "Linked Customer": customer})
    assert world.run("bubble_sync", "invoice").success
    return invoice


def test_of_several_customers_the_oldest_invoices_is_taken_and_the_tie_is_reported(
    without_customer: World,
) -> None:
    second_invoice(without_customer, uid(90))

    run = patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS) == {"candidates": 1, "set": 1, "ties": 1}
    assert reports(run, CUSTOMERS) == [f"{SEDA}: 2 candidates, took {CUSTOMER} from the oldest"]


def test_the_oldest_invoice_is_taken_even_if_only_the_younger_one_was_touched(
    without_customer: World,
) -> None:
    without_customer.create_there("invoice", **{LINK: SEDA, "Linked Customer": uid(90)})

    run = sync(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS)["ties"] == 1


def test_several_invoices_of_one_customer_are_no_tie(without_customer: World) -> None:
    second_invoice(without_customer, CUSTOMER)

    run = patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS) == {"candidates": 1, "set": 1}


def test_the_second_patch_sees_what_the_first_has_set(without_customer: World) -> None:
    without_customer.touch_there("invoice", INVOICE, **{LINK: None})
    without_customer.run("bubble_full", "invoice")
    assert link_of(without_customer) is None

    run = patch(without_customer)

    assert found(run, LINKS)["set"] == 1
    assert found(run, CUSTOMERS)["set"] == 1
    assert customer_of(without_customer) == CUSTOMER


# -- both


def test_patching_again_writes_nothing(unlinked: World) -> None:
    patch(unlinked)
    before = unlinked.writes()

    again = patch(unlinked)

    assert found(again, LINKS) == {"candidates": 1, "same": 1}
    assert unlinked.writes() == before


def test_a_run_patches_the_rows_that_it_touched_and_no_others(unlinked: World) -> None:
    assert found(sync(unlinked), LINKS) == {}
    assert link_of(unlinked) is None

    unlinked.edit_there("invoice", INVOICE, visit=7)

    assert found(sync(unlinked), LINKS) == {"candidates": 1, "set": 1}
    assert link_of(unlinked) == SEDA


def test_a_registration_that_was_touched_patches_its_invoices_too(unlinked: World) -> None:
    unlinked.edit_there("seda_registration", SEDA, CITY="Kota Contoh")

    assert found(sync(unlinked), LINKS) == {"candidates": 1, "set": 1}


def test_a_full_sync_patches_everything(unlinked: World) -> None:
    run = sync(unlinked, "bubble_full")

    assert run.total("updated") == 0
    assert found(run, LINKS) == {"candidates": 1, "set": 1}


def test_patches_alone_look_at_everything_unless_told_otherwise(unlinked: World) -> None:
    run = unlinked.run("bubble_sync", *PATCHES)

    assert found(run, LINKS) == {"candidates": 1, "set": 1}


def test_patched_links_stay_through_everything_while_the_app_has_nothing_there(
    unlinked: World,
) -> None:
    patch(unlinked)
    unlinked.edit_there("invoice", INVOICE, visit=7)
    for job in ("bubble_sync", "bubble_full", "bubble_sync"):
        assert sync(unlinked, job).success
        assert link_of(unlinked) == SEDA
    assert unlinked.here("invoice", INVOICE)["visit"] == 7
    assert unlinked.rows("select from sync.conflict") == []


def test_the_app_that_fills_the_link_with_the_same_agrees_and_with_another_is_a_conflict(
    unlinked: World,
) -> None:
    patch(unlinked)
    unlinked.edit_there("invoice", INVOICE, **{LINK: SEDA})
    unlinked.run("bubble_sync", "invoice")
    assert unlinked.base("invoice", INVOICE)["linked_seda_registration"] == SEDA
    assert unlinked.rows("select from sync.conflict") == []

    rival = rival_of(unlinked, **{BACK: []})
    unlinked.edit_there("invoice", INVOICE, **{LINK: rival})
    unlinked.run("bubble_sync", "invoice")

    assert link_of(unlinked) == rival
    assert found(patch(unlinked), LINKS) == {"candidates": 1, "conflict": 1}


def test_the_app_that_fills_a_patched_link_with_another_is_a_conflict_with_both(
    unlinked: World,
) -> None:
    patch(unlinked)
    unlinked.edit_there("invoice", INVOICE, **{LINK: uid(90)})

    unlinked.run("bubble_sync", "invoice")

    conflict = unlinked.db.row("select * from sync.conflict")
    assert (conflict["kind"], conflict["local"], conflict["source"]) == ("field", SEDA, uid(90))
    assert link_of(unlinked) == uid(90)


def test_patches_are_undone_like_any_run_and_a_full_sync_patches_again(
    unlinked: World,
) -> None:
    unlinked.touch_there("seda_registration", SEDA, **{"Linked Customer": None})
    unlinked.run("bubble_full", "seda_registration")
    run = patch(unlinked)
    assert (link_of(unlinked), customer_of(unlinked)) == (SEDA, CUSTOMER)

    undone = undo.undo(unlinked.db.connection, BUBBLE, run.id, undo_id=uuid4())

    assert {name: u.restored for name, u in undone.items()} == {
        "invoice": 1,
        "seda_registration": 1,
    }
    assert (link_of(unlinked), customer_of(unlinked)) == (None, None)
    unlinked.clock.advance(hours=1)
    sync(unlinked)
    assert (link_of(unlinked), customer_of(unlinked)) == (None, None)
    sync(unlinked, "bubble_full")
    assert (link_of(unlinked), customer_of(unlinked)) == (SEDA, CUSTOMER)


def test_undoing_gives_an_empty_text_back_as_it_was(unlinked: World) -> None:
    unlinked.edit_here("invoice", INVOICE, linked_seda_registration="")
    run = patch(unlinked)

    undo.undo(unlinked.db.connection, BUBBLE, run.id, undo_id=uuid4())

    assert link_of(unlinked) == ""


def test_a_patch_of_a_dry_run_writes_nothing(unlinked: World) -> None:
    run = sync(unlinked, "bubble_full", mode="full", dry_run=True)

    assert run.success
    assert run.report.patches == {}
    assert link_of(unlinked) is None


# -- a whole company


def test_the_planted_cases_of_a_company_are_not_guessed_at(synced: World) -> None:
    """They were patched by the first full sync."""
    created = {r["_id"]: r["Created Date"] for r in synced.records("seda_registration")}
    for case in synced.bubble_company.claims.disputed:
        oldest = min(case.registrations, key=lambda uid: (created[uid], uid))
        held = case.held or oldest
        [rival] = set(case.registrations) - {held}
        assert link_of(synced, case.invoice) == held
        [conflict] = [c for c in disputes(synced) if c["key"]["bubble_id"] == case.invoice]
        assert (conflict["local"], conflict["source"]) == (held, rival)
    tied = synced.bubble_company.claims.tied
    taken = customer_of(synced, tied.registration)
    assert taken == dict(zip(tied.invoices, tied.customers, strict=True))[min(tied.invoices)]


def test_a_whole_company_is_patched_as_a_second_reading_of_the_rules_has_it(
    synced: World,
) -> None:
    synced.db.run(
        "update invoice t set linked_seda_registration = b.linked_seda_registration"
        " from sync_base.bubble__invoice b where b.bubble_id = t.bubble_id"
    )
    synced.db.run(
        "update seda_registration t set linked_customer = b.linked_customer"
        " from sync_base.bubble__seda_registration b where b.bubble_id = t.bubble_id"
    )
    columns = "bubble_id, created_date, linked_invoice, linked_customer, linked_seda_registration"
    invoices = {
        r["bubble_id"]: r
        for r in synced.rows(f"select {columns.replace('linked_invoice, ', '')} from invoice")
    }
    sedas = synced.rows(
        f"select {columns.replace(', linked_seda_registration', '')} from seda_registration"
        " order by created_date, bubble_id"
    )
    expected = dict.fromkeys(("candidates", "set", "same", "not_found", "conflict"), 0)
    for seda in sedas:
        for wanted in dict.fromkeys(seda["linked_invoice"] or ()):
            expected["candidates"] += 1
            invoice = invoices.get(wanted)
            if invoice is None:
                outcome = "not_found"
            elif not invoice["linked_seda_registration"]:
                outcome, invoice["linked_seda_registration"] = "set", seda["bubble_id"]
            elif invoice["linked_seda_registration"] == seda["bubble_id"]:
                outcome = "same"
            else:
                outcome = "conflict"
            expected[outcome] += 1
    oldest_first = sorted(invoices.values(), key=lambda r: (r["created_date"], r["bubble_id"]))
    customers = {s["bubble_id"]: s["linked_customer"] for s in sedas}
    given = 0
    for invoice in oldest_first:
        seda, customer = invoice["linked_seda_registration"], invoice["linked_customer"]
        if customer and seda in customers and not customers[seda]:
            customers[seda] = customer
            given += 1

    run = patch(synced)

    assert expected["set"] > 20
    assert expected["conflict"] >= 2
    assert expected["not_found"] >= 1
    assert found(run, LINKS) == {k: n for k, n in expected.items() if n}
    assert {i: link_of(synced, i) for i in invoices} == {
        i: r["linked_seda_registration"] for i, r in invoices.items()
    }
    assert given > 10
    assert found(run, CUSTOMERS)["set"] == given
    assert {s: customer_of(synced, s) for s in customers} == customers
    assert found(run, CUSTOMERS)["ties"] >= 1
