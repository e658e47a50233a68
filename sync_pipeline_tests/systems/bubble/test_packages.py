"""Packages: what belongs to an invoice is current after its resync, at a price counted at the server."""

from typing import Any

import pytest

from sync_pipeline.simulators.faults import Fault
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    AGENT,
    CUSTOMER,
    ENTITIES,
    INVOICE,
    ITEM,
    PATCHES,
    PAYMENT,
    SEDA,
    SUBMITTED,
    USER,
    BubbleSystem,
    uid,
)
from sync_pipeline_tests.systems.bubble.package_runs import OUTCOME, belonging, resync

# -- what it brings


CHANGES: dict[str, tuple[str, dict[str, Any], str, Any]] = {
    "agent": (AGENT, {"Agent Type": "Dealer"}, "agent_type", "Dealer"),
    "user": (USER, {"Dealership": "North"}, "dealership", "North"),
    "customer": (CUSTOMER, {"State": "Johor"}, "state", "Johor"),
    "invoice": (INVOICE, {"visit": 7}, "visit", 7),
    "payment": (PAYMENT, {"Remark": "changed"}, "remark", "changed"),
    "submitted_payment": (SUBMITTED, {"Issuer Bank": "MBB"}, "issuer_bank", "MBB"),
    "invoice_item": (ITEM, {"DESCRIPTION": "changed"}, "description", "changed"),
    "seda_registration": (SEDA, {"CITY": "Kota Contoh"}, "city", "Kota Contoh"),
}


@pytest.mark.parametrize("entity", ENTITIES)
def test_whatever_changed_in_a_package_is_current_after_its_resync(
    tiny: BubbleSystem, entity: str
) -> None:
    """The invoice itself did not change: a package is not judged by its invoice."""
    key, fields, column, value = CHANGES[entity]
    tiny.edit_there(entity, key, **fields)

    run = resync(tiny, INVOICE, only=(entity, *OUTCOME))

    assert run.status == "completed", run.errors
    assert tiny.here(entity, key)[column] == value
    assert run.report.packages == {
        "total": 1,
        "synced": 1,
        "skipped": 0,
        "failed": 0,
        "errors": [],
    }


def test_a_package_of_which_nothing_changed_is_skipped_and_writes_nothing(
    tiny: BubbleSystem,
) -> None:
    before = tiny.writes()

    run = resync(tiny, INVOICE)

    assert run.report.packages == {
        "total": 1,
        "synced": 0,
        "skipped": 1,
        "failed": 0,
        "errors": [],
    }
    assert run.total("unchanged") == 8
    assert tiny.writes() == before


def test_a_resync_takes_no_other_invoice_along(synced: BubbleSystem) -> None:
    [one, other, *_] = synced.ids("invoice")
    synced.touch_there("invoice", one, visit=7)
    synced.touch_there("invoice", other, visit=8)

    run = resync(synced, one, only=("invoice",))

    assert run.counts("invoice") == {"read": 1, "updated": 1}
    assert synced.here("invoice", one)["visit"] == 7
    assert synced.here("invoice", other)["visit"] != 8


def test_children_that_only_point_back_at_the_invoice_are_brought(tiny: BubbleSystem) -> None:
    back = {"Linked Invoice": INVOICE}
    made = {
        "payment": tiny.create_there("payment", Amount=1, **back),
        "submitted_payment": tiny.create_there("submitted_payment", Amount=2, **back),
        "invoice_item": tiny.create_there("invoice_item", AMOUNT=3, **back),
    }

    run = resync(tiny, INVOICE, only=tuple(made))

    assert run.status == "completed", run.errors
    for entity, key in made.items():
        assert key in tiny.keys(entity)
        assert run.counts(entity)["inserted"] == 1


def test_children_that_are_only_listed_by_the_invoice_are_brought(tiny: BubbleSystem) -> None:
    payment, item = tiny.create_there("payment", Amount=1), tiny.create_there("invoice_item", QTY=1)
    submitted = tiny.create_there("submitted_payment", Amount=2)
    listed = {"Linked Payment": [payment, submitted, uid(99)], "Linked Invoice Item": [item]}
    tiny.edit_there("invoice", INVOICE, **listed)

    children = ("payment", "submitted_payment", "invoice_item")
    run = resync(tiny, INVOICE, only=("invoice", *children), checks=True)

    assert run.status == "completed", run.errors  # an id that dangles is no error of the run
    assert payment in tiny.keys("payment")
    assert submitted in tiny.keys("submitted_payment")
    assert submitted not in tiny.keys("payment")
    assert item in tiny.keys("invoice_item")
    links = run.checks("invoice")["links"]
    assert links.metadata["dangling"].value == 1


@pytest.mark.parametrize(
    "registration",
    [
        {"Linked Invoice": [INVOICE]},
        {"Linked Invoice": [uid(98), INVOICE], "Linked Customer": uid(97)},
        {"Linked Invoice": [INVOICE], "Linked Customer": CUSTOMER},
    ],
    ids=["only the back-link", "another customer", "the same customer"],
)
def test_a_registration_that_only_points_back_is_brought_and_linked(
    tiny: BubbleSystem, registration: dict[str, Any]
) -> None:
    tiny.touch_there("invoice", INVOICE, **{"Linked SEDA registration": None})
    tiny.touch_there("seda_registration", SEDA, **{"Linked Invoice": []})
    ends = ("invoice", "seda_registration")
    assert tiny.run("bubble_full", *ends).success
    new = tiny.create_there("seda_registration", **registration)

    run = resync(tiny, INVOICE, only=(*ends, *PATCHES))

    assert run.status == "completed", run.errors
    assert new in tiny.keys("seda_registration")
    assert tiny.here("invoice", INVOICE)["linked_seda_registration"] == new
    assert run.report.patches["invoice_seda_links"]["set"] == 1


def test_a_second_registration_that_names_the_invoice_is_brought_and_is_a_conflict(
    tiny: BubbleSystem,
) -> None:
    other = tiny.create_there("seda_registration", **{"Linked Invoice": [INVOICE]})

    run = resync(tiny, INVOICE, only=("invoice", "seda_registration", *PATCHES))

    assert other in tiny.keys("seda_registration")
    assert tiny.here("invoice", INVOICE)["linked_seda_registration"] == SEDA
    assert run.report.patches["invoice_seda_links"]["conflict"] == 1


def test_people_are_found_by_their_login_and_through_others(tiny: BubbleSystem) -> None:
    agent = tiny.create_there("agent", Name="Chandiv")
    login = tiny.create_there("user", **{"Linked Agent Profile": agent})
    tiny.touch_there("agent", agent, **{"Linked User Login": login})
    customer = tiny.create_there("customer", Name="Dahlara", **{"Created By": login})
    tiny.edit_there("invoice", INVOICE, **{"Linked Agent": login, "Linked Customer": customer})

    run = resync(tiny, INVOICE, only=("agent", "user", "customer", "invoice"), checks=True)

    assert run.status == "completed", run.errors
    assert agent in tiny.keys("agent")
    assert login in tiny.keys("user")
    assert customer in tiny.keys("customer")
    assert run.checks("invoice")["links"].passed


def test_every_record_of_many_packages_is_current_after_their_resync(synced: BubbleSystem) -> None:
    """Against a second reading of what belongs to an invoice, by the app's records alone."""
    invoices = synced.ids("invoice")[10:22]
    marks = {"customer": "State", "payment": "Remark", "invoice_item": "DESCRIPTION"}
    marks |= {"invoice": "Logs", "seda_registration": "CITY", "submitted_payment": "Issuer Bank"}
    for entity, field in marks.items():
        synced.touch_there(entity, *synced.ids(entity), **{field: "touched"})
    expected = {e: belonging(synced, e, set(invoices)) for e in marks}
    assert all(expected[e] for e in marks if e != "submitted_payment")

    run = resync(synced, *invoices, force=True)

    assert run.success, run.errors
    unconvertible = {b.uid for b in synced.bubble_company.unconvertible}
    for entity, field in marks.items():
        column = next(f.column for f in BUBBLE[entity].fields if field in f.sources)
        touched = {k for k in synced.keys(entity) if synced.here(entity, k)[column] == "touched"}
        assert expected[entity] - unconvertible <= touched, entity


# -- how far it goes


def test_without_force_a_local_edit_stays_and_with_force_the_source_is_reasserted(
    tiny: BubbleSystem,
) -> None:
    tiny.edit_here("customer", CUSTOMER, name="Edited here", notes="call after six")
    tiny.edit_here("payment", PAYMENT, remark="ours")

    assets = ("customer", "payment", *OUTCOME)
    assert resync(tiny, INVOICE, only=assets).report.packages == {
        "total": 1,
        "synced": 0,
        "skipped": 1,
        "failed": 0,
        "errors": [],
    }
    assert tiny.here("customer", CUSTOMER)["name"] == "Edited here"

    run = resync(tiny, INVOICE, only=assets, force=True)

    row = tiny.here("customer", CUSTOMER)
    assert (row["name"], row["notes"]) == ("Belvon", "call after six")
    assert tiny.here("payment", PAYMENT)["remark"] is None
    assert run.report.packages
    assert run.report.packages["synced"] == 1


def test_a_dry_run_of_a_package_plans_and_writes_nothing(tiny: BubbleSystem) -> None:
    tiny.edit_there("customer", CUSTOMER, State="Atlantis")
    new = tiny.create_there("payment", **{"Linked Invoice": INVOICE})
    before = tiny.writes()

    run = resync(tiny, INVOICE, only=("customer", "payment"), dry_run=True)

    assert run.success, run.errors
    assert run.counts("customer") == {"read": 1, "updated": 1}
    assert run.counts("payment") == {"read": 2, "inserted": 1, "unchanged": 1}
    assert tiny.writes() == before
    assert new not in tiny.keys("payment")


def test_a_resync_moves_no_watermark_and_misses_nobody(tiny: BubbleSystem) -> None:
    tiny.edit_there("customer", CUSTOMER, State="Atlantis")
    before = tiny.watermarks()

    run = resync(tiny, INVOICE, only=("customer", "invoice"))

    assert tiny.watermarks() == before
    assert {run.metadata(e)["missing"] for e in ("customer", "invoice")} == {0}


# -- what goes wrong


def test_an_invoice_that_does_not_exist_fails_and_the_others_go_on(tiny: BubbleSystem) -> None:
    tiny.edit_there("customer", CUSTOMER, State="Atlantis")

    run = resync(tiny, INVOICE, uid(99), only=("customer", "invoice", *OUTCOME))

    assert run.success
    assert run.status == "partial_success"
    packages = run.report.packages
    assert packages
    assert (packages["total"], packages["synced"], packages["failed"]) == (2, 1, 1)
    [error] = packages["errors"]
    assert error.startswith(f"invoice {uid(99)}: not found")
    assert error in run.errors
    assert tiny.here("customer", CUSTOMER)["state"] == "Atlantis"
    assert tiny.history(run)["metadata"]["packages"] == packages


def test_an_id_given_twice_counts_once(tiny: BubbleSystem) -> None:
    packages = resync(tiny, INVOICE, INVOICE, only=("invoice", *OUTCOME)).report.packages

    assert packages
    assert packages["total"] == 1


def test_a_relation_that_fails_is_an_error_of_the_run_and_the_rest_goes_on(
    tiny: BubbleSystem,
) -> None:
    tiny.bubble.options.disabled_types = ("customer_profile",)
    tiny.edit_there("payment", PAYMENT, Remark="changed")

    run = resync(tiny, INVOICE)

    assert run.success
    assert run.status == "partial_success"
    assert tiny.here("payment", PAYMENT)["remark"] == "changed"
    assert "status 404" in run.errors
    assert "Customer_Profile" in run.errors
    [step] = [s for s in run.report.steps if s["action"] == "merge customer"]
    assert "status 404" in step["problems"][0]
    packages = run.report.packages
    assert packages
    assert packages["synced"] == 1
    assert any("Customer_Profile" in e for e in packages["errors"])


def test_a_record_on_which_the_source_chokes_costs_only_itself(
    tiny: BubbleSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    other = tiny.create_there("invoice", visit=1, **{"Linked Payment": [uid(99)]})
    payment = tiny.create_there("payment", Remark="fine", **{"Linked Invoice": other})
    tiny.touch_there("payment", PAYMENT, Remark="changed", **{"Linked Invoice": None})
    tiny.bubble.faults.add(Fault(kind="status", status=500, type="payment", ids=(PAYMENT,)))

    run = resync(tiny, INVOICE, other, only=("invoice", "payment"))

    assert run.success
    assert run.status == "partial_success"
    assert payment in tiny.keys("payment")
    assert tiny.here("payment", PAYMENT)["remark"] != "changed"
    assert PAYMENT in run.errors
    assert "status 500" in run.errors


def test_a_record_that_cannot_be_converted_fails_its_invoice_alone(tiny: BubbleSystem) -> None:
    other = tiny.create_there("invoice", visit=1)
    tiny.touch_there("payment", PAYMENT, Amount="n/a")

    run = resync(tiny, INVOICE, other, only=("invoice", "payment", *OUTCOME))

    packages = run.report.packages
    assert packages
    assert (packages["total"], packages["synced"], packages["failed"]) == (2, 1, 1)
    assert f"invoice {INVOICE}: rejected payment {PAYMENT}" in packages["errors"]
    assert run.status == "partial_success"


def test_a_source_that_is_away_fails_the_run_and_writes_nothing(
    tiny: BubbleSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
    before = tiny.writes()
    tiny.bubble.stop()

    run = resync(tiny, INVOICE, only=("invoice",))

    assert run.status == "failed"
    assert "kept failing" in run.errors
    assert tiny.writes() == before


@pytest.mark.parametrize(
    ("job", "scope", "said"),
    [
        ("invoice_resync", {"mode": "keys", "of": "invoice"}, "names no records: set resources"),
        ("invoice_batch_resync", {"mode": "range", "of": "invoice"}, "names no range"),
        (
            "invoice_batch_resync",
            {"mode": "range", "of": "invoice", "since": "last week"},
            "since is 'last week'; write 2026-01-31",
        ),
        ("invoice_resync", {"mode": "keys", "of": "payment", "ids": [PAYMENT]}, "of='payment'"),
        ("invoice_resync", {"ids": [INVOICE], "mode": "delta"}, "its mode is delta"),
        ("invoice_resync", {"since": "2026-01-01", "mode": "full"}, "its mode is full"),
    ],
)
def test_a_scope_that_makes_no_sense_says_what_to_set(
    tiny: BubbleSystem, job: str, scope: dict[str, Any], said: str
) -> None:
    before = tiny.writes()

    run = tiny.run(job, "agent", **scope)

    assert not run.success
    assert said in run.failure("agent")
    assert run.status == "failed"
    assert tiny.writes() == before


def test_a_job_run_as_the_launchpad_offers_it_says_that_ids_are_missing(tiny: BubbleSystem) -> None:
    run = tiny.run("invoice_resync", "agent")

    assert "this run names no records" in run.failure("agent")
