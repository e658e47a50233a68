"""Patches: what they set, what they leave, and that both can be told apart afterwards."""

from uuid import uuid4

import pytest

from sync_pipeline.merge.review import resolve
from sync_pipeline.merge.review.resolve import Side
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    CUSTOMER,
    INVOICE,
    SEDA,
    BubbleSystem,
    uid,
)
from sync_pipeline_tests.systems.bubble.patch_runs import (
    BACK,
    CUSTOMERS,
    LINK,
    LINKS,
    conflicting_registration,
    customer_of,
    found,
    link_conflicts,
    link_of,
    patch,
    reports,
    sync,
)

# -- invoice → registration


def test_an_empty_link_is_set_from_the_registrations_list(unlinked: BubbleSystem) -> None:
    run = patch(unlinked)

    assert link_of(unlinked) == SEDA
    assert found(run, LINKS) == {"candidates": 1, "set": 1}


def test_a_link_that_is_an_empty_text_is_empty(unlinked: BubbleSystem) -> None:
    unlinked.edit_here("invoice", INVOICE, linked_seda_registration="")

    assert found(patch(unlinked), LINKS) == {"candidates": 1, "set": 1}
    assert link_of(unlinked) == SEDA


def test_a_link_that_is_there_already_is_left(tiny: BubbleSystem) -> None:
    before = tiny.writes("invoice")

    assert found(patch(tiny), LINKS) == {"candidates": 1, "same": 1}
    assert tiny.writes("invoice") == before


def test_an_invoice_that_is_not_there_is_counted(tiny: BubbleSystem) -> None:
    tiny.edit_here("seda_registration", SEDA, linked_invoice=[uid(90), INVOICE, uid(91), ""])

    assert found(patch(tiny), LINKS) == {"candidates": 4, "same": 1, "not_found": 3}


def test_an_invoice_that_is_listed_twice_counts_once(unlinked: BubbleSystem) -> None:
    unlinked.edit_here("seda_registration", SEDA, linked_invoice=[INVOICE, INVOICE])

    assert found(patch(unlinked), LINKS) == {"candidates": 1, "set": 1}


def test_a_registration_without_a_list_is_no_candidate(tiny: BubbleSystem) -> None:
    tiny.edit_here("seda_registration", SEDA, linked_invoice=None)

    assert found(patch(tiny), LINKS) == {}


def test_another_registration_is_a_conflict_and_the_link_is_kept(tiny: BubbleSystem) -> None:
    other = conflicting_registration(tiny)

    run = patch(tiny)

    assert link_of(tiny) == SEDA
    assert found(run, LINKS) == {"candidates": 2, "same": 1, "conflict": 1}
    assert reports(run, LINKS) == [f"{INVOICE} is claimed by {other} but holds {SEDA}"]
    [conflict] = link_conflicts(tiny)
    assert conflict["key"] == {"bubble_id": INVOICE}
    assert conflict["field"] == "linked_seda_registration"
    assert (conflict["local"], conflict["source"], conflict["kept"]) == (SEDA, other, "local")


def test_a_conflict_is_recorded_once_however_often_it_is_found(tiny: BubbleSystem) -> None:
    conflicting_registration(tiny)
    for _ in range(3):
        assert found(patch(tiny), LINKS)["conflict"] == 1

    assert len(link_conflicts(tiny)) == 1


def test_a_resolved_conflict_does_not_reopen(tiny: BubbleSystem) -> None:
    conflicting_registration(tiny)
    patch(tiny)
    tiny.db.run("update sync.conflict set resolved_at = now(), resolution = 'local'")

    patch(tiny)

    assert len(link_conflicts(tiny)) == 1


@pytest.mark.parametrize("side", ["local", "source"])
def test_a_person_resolves_a_conflict_and_that_stands(tiny: BubbleSystem, side: Side) -> None:
    other = conflicting_registration(tiny)
    patch(tiny)
    number = tiny.db.row("select id from sync.conflict")["id"]

    resolve.resolve(tiny.db.connection, BUBBLE, number, side, run_id=uuid4())

    chosen = other if side == "source" else SEDA
    assert link_of(tiny) == chosen
    tiny.edit_there("invoice", INVOICE, visit=7)
    for job in ("bubble_sync", "bubble_full"):
        sync(tiny, job)
        assert link_of(tiny) == chosen
    assert len(link_conflicts(tiny)) == 1


def test_of_two_registrations_that_name_an_unlinked_invoice_the_oldest_is_taken_and_it_is_reported(
    unlinked: BubbleSystem,
) -> None:
    other = conflicting_registration(unlinked)

    run = patch(unlinked)

    assert link_of(unlinked) == SEDA
    assert found(run, LINKS) == {"candidates": 2, "set": 1, "conflict": 1}
    assert reports(run, LINKS) == [f"{INVOICE} is claimed by {other} but holds {SEDA}"]
    assert [(c["local"], c["source"]) for c in link_conflicts(unlinked)] == [(SEDA, other)]
    assert found(patch(unlinked), LINKS) == {"candidates": 2, "same": 1, "conflict": 1}


def test_the_oldest_is_taken_even_if_only_the_younger_one_was_touched(
    unlinked: BubbleSystem,
) -> None:
    other = unlinked.create_there("seda_registration", **{BACK: [INVOICE]})

    run = sync(unlinked)

    assert run.counts("seda_registration") == {"read": 1, "inserted": 1}
    assert link_of(unlinked) == SEDA
    assert [(c["local"], c["source"]) for c in link_conflicts(unlinked)] == [(SEDA, other)]


def test_registrations_of_the_same_age_are_told_apart_by_their_ids(unlinked: BubbleSystem) -> None:
    other = conflicting_registration(unlinked)
    unlinked.db.run("update seda_registration set created_date = '2026-01-01'")

    patch(unlinked)

    assert link_of(unlinked) == min(SEDA, other)


def test_a_registration_without_a_date_comes_last(unlinked: BubbleSystem) -> None:
    conflicting_registration(unlinked)
    unlinked.edit_here("seda_registration", SEDA, created_date=None)

    patch(unlinked)

    assert link_of(unlinked) != SEDA


# -- registration → customer


@pytest.fixture
def without_customer(tiny: BubbleSystem) -> BubbleSystem:
    """The registration names no customer, in the app and here; its invoice does."""
    tiny.touch_there("seda_registration", SEDA, **{"Linked Customer": None})
    assert tiny.run("bubble_full", "seda_registration").success
    tiny.db.run("update seda_registration set linked_customer = null")
    return tiny


def test_a_registration_without_a_customer_takes_its_invoices(
    without_customer: BubbleSystem,
) -> None:
    updated_at = without_customer.here("seda_registration", SEDA)["updated_at"]

    run = patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS) == {"candidates": 1, "set": 1}
    assert without_customer.here("seda_registration", SEDA)["updated_at"] == updated_at


def test_a_registration_whose_customer_is_an_empty_text_has_none(
    without_customer: BubbleSystem,
) -> None:
    without_customer.edit_here("seda_registration", SEDA, linked_customer="")

    patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER


def test_a_registration_with_a_customer_keeps_it(tiny: BubbleSystem) -> None:
    tiny.edit_here("seda_registration", SEDA, linked_customer=uid(90))

    assert found(patch(tiny), CUSTOMERS) == {}
    assert customer_of(tiny) == uid(90)


@pytest.mark.parametrize("customer", [None, ""])
def test_an_invoice_without_a_customer_has_none_to_give(
    without_customer: BubbleSystem, customer: str | None
) -> None:
    without_customer.edit_here("invoice", INVOICE, linked_customer=customer)

    run = patch(without_customer)

    assert customer_of(without_customer) is None
    assert found(run, CUSTOMERS) == {"candidates": 1, "no_candidate": 1}


def second_invoice(bubble_system: BubbleSystem, customer: str | None) -> str:
    """A later invoice with the same registration."""
    invoice = bubble_system.create_there("invoice", **{LINK: SEDA, "Linked Customer": customer})
    assert bubble_system.run("bubble_sync", "invoice").success
    return invoice


def test_of_several_customers_the_oldest_invoices_is_taken_and_the_tie_is_reported(
    without_customer: BubbleSystem,
) -> None:
    second_invoice(without_customer, uid(90))

    run = patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS) == {"candidates": 1, "set": 1, "ties": 1}
    assert reports(run, CUSTOMERS) == [f"{SEDA}: 2 candidates, took {CUSTOMER} from the oldest"]


def test_the_oldest_invoice_is_taken_even_if_only_the_younger_one_was_touched(
    without_customer: BubbleSystem,
) -> None:
    without_customer.create_there("invoice", **{LINK: SEDA, "Linked Customer": uid(90)})

    run = sync(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS)["ties"] == 1


def test_several_invoices_of_one_customer_are_no_tie(without_customer: BubbleSystem) -> None:
    second_invoice(without_customer, CUSTOMER)

    run = patch(without_customer)

    assert customer_of(without_customer) == CUSTOMER
    assert found(run, CUSTOMERS) == {"candidates": 1, "set": 1}


def test_the_second_patch_sees_what_the_first_has_set(without_customer: BubbleSystem) -> None:
    without_customer.touch_there("invoice", INVOICE, **{LINK: None})
    without_customer.run("bubble_full", "invoice")
    assert link_of(without_customer) is None

    run = patch(without_customer)

    assert found(run, LINKS)["set"] == 1
    assert found(run, CUSTOMERS)["set"] == 1
    assert customer_of(without_customer) == CUSTOMER
