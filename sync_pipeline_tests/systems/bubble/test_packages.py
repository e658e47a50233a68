"""Packages: what belongs to an invoice is current after its resync, at a price counted at the server."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sync_pipeline.model.scope import Scope
from sync_pipeline.simulators.bubble.company import Company, make_company
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.resource import BubbleSource
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
    Run,
    World,
    Worlds,
    uid,
)

ONE, HUNDRED = 12, 80
"""Calls that one invoice and a hundred may cost."""


OUTCOME = (*PATCHES, "package_outcome")
"""The outcome is summed up after the patches, which come after every table."""


def resync(world: World, *ids: str, only: tuple[str, ...] = (), **scope: Any) -> Run:
    """Resync packages; `only` some of the assets, where a test asks for no more."""
    return world.run("invoice_resync", *only, mode="keys", of="invoice", ids=list(ids), **scope)


def resync_range(
    world: World, since: str, until: str = "", *, only: tuple[str, ...] = (), **scope: Any
) -> Run:
    ends = {"since": since, "until": until}
    return world.run("invoice_batch_resync", *only, mode="range", of="invoice", **ends, **scope)


# -- what it costs


@pytest.fixture(scope="session")
def larger_company() -> Company:
    """About 1,650 records, 212 of them invoices."""
    return make_company(seed=5, scale=0.05)


@pytest.fixture(scope="module")
def larger(worlds: Worlds, larger_company: Company) -> Iterator[World]:
    """A larger app before its first sync."""
    with worlds.of(larger_company) as world:
        yield world


@contextmanager
def counting(world: World) -> Iterator[Callable[..., int]]:
    """Counts, at the server, the calls that fetching packages takes."""
    source = BubbleSource()

    def calls(*invoices: str) -> int:
        world.bubble.stats.reset()
        packages = source.packages(Scope(mode="keys", keys=invoices, of="invoice"))
        assert set(packages.members) == set(invoices)
        return world.bubble.stats.total

    yield calls
    source.close()


def test_no_invoice_costs_more_than_twelve_calls_where_nothing_is_known_yet(world: World) -> None:
    with counting(world) as calls:
        cost = {invoice: calls(invoice) for invoice in world.ids("invoice")}

    assert max(cost.values()) <= ONE, {i: n for i, n in cost.items() if n > ONE}


def test_no_invoice_costs_more_than_twelve_calls_where_all_is_known(synced: World) -> None:
    with counting(synced) as calls:
        cost = {invoice: calls(invoice) for invoice in synced.ids("invoice")}

    assert max(cost.values()) <= ONE, {i: n for i, n in cost.items() if n > ONE}


@pytest.mark.parametrize("first", [0, 60, 112])
def test_a_hundred_invoices_cost_at_most_eighty_calls_where_nothing_is_known_yet(
    larger: World, first: int
) -> None:
    invoices = larger.ids("invoice")[first : first + 100]
    assert len(invoices) == 100

    with counting(larger) as calls:
        assert calls(*invoices) <= HUNDRED


def test_a_hundred_invoices_cost_at_most_eighty_calls_where_all_is_known(
    worlds: Worlds, larger_company: Company
) -> None:
    with worlds.of(larger_company) as world:
        assert world.run("bubble_full").success
        invoices = world.ids("invoice")
        with counting(world) as calls:
            for first in (0, 60, 112):
                assert calls(*invoices[first : first + 100]) <= HUNDRED


def test_a_run_makes_no_call_beyond_those_of_its_package(synced: World) -> None:
    invoice = synced.ids("invoice")[0]
    with counting(synced) as calls:
        cost = calls(invoice)
    synced.bubble.stats.reset()

    run = resync(synced, invoice)

    assert run.success, run.errors
    assert synced.bubble.stats.total == cost == run.report.api_calls <= ONE


def test_a_hundred_invoices_in_one_run_cost_at_most_eighty_calls(
    worlds: Worlds, larger_company: Company
) -> None:
    with worlds.of(larger_company) as world:
        invoices = world.ids("invoice")[-100:]
        world.bubble.stats.reset()

        run = resync(world, *invoices)

        assert run.success, run.errors
        assert run.report.packages
        assert run.report.packages["total"] == 100
        assert world.bubble.stats.total == run.report.api_calls <= HUNDRED
        assert world.keys("invoice") == set(invoices)
        ruined = {b.uid for b in larger_company.beyond_use}
        rivals = {uid for case in larger_company.claims.disputed for uid in case.registrations}
        for entity in ("payment", "invoice_item", "seda_registration"):
            wanted = belonging(world, entity, set(invoices)) - ruined - rivals
            assert wanted <= world.keys(entity), entity


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
    tiny: World, entity: str
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


def test_a_package_of_which_nothing_changed_is_skipped_and_writes_nothing(tiny: World) -> None:
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


def test_a_resync_takes_no_other_invoice_along(synced: World) -> None:
    [one, other, *_] = synced.ids("invoice")
    synced.touch_there("invoice", one, visit=7)
    synced.touch_there("invoice", other, visit=8)

    run = resync(synced, one, only=("invoice",))

    assert run.counts("invoice") == {"read": 1, "updated": 1}
    assert synced.here("invoice", one)["visit"] == 7
    assert synced.here("invoice", other)["visit"] != 8


def test_children_that_only_point_back_at_the_invoice_are_brought(tiny: World) -> None:
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


def test_children_that_are_only_listed_by_the_invoice_are_brought(tiny: World) -> None:
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
    tiny: World, registration: dict[str, Any]
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
    tiny: World,
) -> None:
    rival = tiny.create_there("seda_registration", **{"Linked Invoice": [INVOICE]})

    run = resync(tiny, INVOICE, only=("invoice", "seda_registration", *PATCHES))

    assert rival in tiny.keys("seda_registration")
    assert tiny.here("invoice", INVOICE)["linked_seda_registration"] == SEDA
    assert run.report.patches["invoice_seda_links"]["conflict"] == 1


def test_people_are_found_by_their_login_and_through_others(tiny: World) -> None:
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


def test_every_record_of_many_packages_is_current_after_their_resync(synced: World) -> None:
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
    ruined = {b.uid for b in synced.bubble_company.beyond_use}
    for entity, field in marks.items():
        column = next(f.column for f in BUBBLE[entity].fields if field in f.sources)
        touched = {k for k in synced.keys(entity) if synced.here(entity, k)[column] == "touched"}
        assert expected[entity] - ruined <= touched, entity


def belonging(world: World, entity: str, invoices: set[str]) -> set[str]:
    """Ids of an entity's records that some invoice links, or that point back at it."""
    own = [r for r in world.records("invoice") if r["_id"] in invoices]
    names = {
        "customer": "Linked Customer",
        "payment": "Linked Payment",
        "submitted_payment": "Linked Payment",
        "invoice_item": "Linked Invoice Item",
        "seda_registration": "Linked SEDA registration",
    }
    linked = {i for r in own for i in as_list(r.get(names.get(entity, "")))}
    return {
        r["_id"]
        for r in world.records(entity)
        if r["_id"] in linked | invoices or invoices & set(as_list(r.get("Linked Invoice")))
    }


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


# -- how far it goes


def test_without_force_a_local_edit_stays_and_with_force_the_source_is_reasserted(
    tiny: World,
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


def test_a_dry_run_of_a_package_plans_and_writes_nothing(tiny: World) -> None:
    tiny.edit_there("customer", CUSTOMER, State="Atlantis")
    new = tiny.create_there("payment", **{"Linked Invoice": INVOICE})
    before = tiny.writes()

    run = resync(tiny, INVOICE, only=("customer", "payment"), dry_run=True)

    assert run.success, run.errors
    assert run.counts("customer") == {"read": 1, "updated": 1}
    assert run.counts("payment") == {"read": 2, "inserted": 1, "unchanged": 1}
    assert tiny.writes() == before
    assert new not in tiny.keys("payment")


def test_a_resync_moves_no_watermark_and_misses_nobody(tiny: World) -> None:
    tiny.edit_there("customer", CUSTOMER, State="Atlantis")
    before = tiny.watermarks()

    run = resync(tiny, INVOICE, only=("customer", "invoice"))

    assert tiny.watermarks() == before
    assert {run.metadata(e)["missing"] for e in ("customer", "invoice")} == {0}


@pytest.fixture
def dated(tiny: World) -> tuple[World, list[str], list[dt.datetime]]:
    """Five more invoices, each modified a millisecond after the one before."""
    tiny.clock.advance(hours=1)
    invoices, moments = [], []
    for number in range(5):
        moments.append(tiny.clock.advance(milliseconds=1))
        invoices.append(tiny.bubble.store.create("invoice", {"visit": number}))
    return tiny, invoices, moments


def test_a_range_takes_both_of_its_ends_and_nothing_beyond(
    dated: tuple[World, list[str], list[dt.datetime]],
) -> None:
    world, invoices, moments = dated

    ends = (moments[1].isoformat(), moments[3].isoformat())
    run = resync_range(world, *ends, only=("invoice", *OUTCOME))

    assert run.status == "completed", run.errors
    assert world.keys("invoice") == {INVOICE, *invoices[1:4]}
    assert run.report.packages
    assert run.report.packages["total"] == run.report.packages["synced"] == 3


def test_a_range_of_days_takes_the_whole_last_day_and_no_end_means_now(
    dated: tuple[World, list[str], list[dt.datetime]],
) -> None:
    world, invoices, moments = dated
    day = moments[0].date().isoformat()

    days = resync_range(world, "2026-10-31", day, only=("invoice",), dry_run=True)
    assert days.counts("invoice")["read"] == 5
    run = resync_range(world, moments[4].isoformat(), only=("invoice",))

    assert world.keys("invoice") == {INVOICE, invoices[4]}
    assert run.counts("invoice") == {"read": 1, "inserted": 1}


def test_a_range_brings_the_packages_of_its_invoices_too(tiny: World) -> None:
    tiny.edit_there("customer", CUSTOMER, State="Atlantis")
    tiny.edit_there("invoice", INVOICE, visit=7)

    run = resync_range(tiny, tiny.clock().isoformat())

    assert tiny.here("customer", CUSTOMER)["state"] == "Atlantis"
    assert run.materialized == {*ENTITIES, *PATCHES, "package_outcome"}


def test_an_empty_range_is_no_failure(tiny: World) -> None:
    run = resync_range(tiny, "2026-12-24", "2026-12-25", only=("invoice", *OUTCOME))

    assert run.status == "completed", run.errors
    assert run.report.packages == {
        "total": 0,
        "synced": 0,
        "skipped": 0,
        "failed": 0,
        "errors": [],
    }


# -- what goes wrong


def test_an_invoice_that_does_not_exist_fails_and_the_others_go_on(tiny: World) -> None:
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


def test_an_id_given_twice_counts_once(tiny: World) -> None:
    packages = resync(tiny, INVOICE, INVOICE, only=("invoice", *OUTCOME)).report.packages

    assert packages
    assert packages["total"] == 1


def test_a_relation_that_fails_is_an_error_of_the_run_and_the_rest_goes_on(tiny: World) -> None:
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
    tiny: World, monkeypatch: pytest.MonkeyPatch
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


def test_a_record_that_cannot_be_converted_fails_its_invoice_alone(tiny: World) -> None:
    other = tiny.create_there("invoice", visit=1)
    tiny.touch_there("payment", PAYMENT, Amount="n/a")

    run = resync(tiny, INVOICE, other, only=("invoice", "payment", *OUTCOME))

    packages = run.report.packages
    assert packages
    assert (packages["total"], packages["synced"], packages["failed"]) == (2, 1, 1)
    assert f"invoice {INVOICE}: rejected payment {PAYMENT}" in packages["errors"]
    assert run.status == "partial_success"


def test_a_source_that_is_away_fails_the_run_and_writes_nothing(
    tiny: World, monkeypatch: pytest.MonkeyPatch
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
    tiny: World, job: str, scope: dict[str, Any], said: str
) -> None:
    before = tiny.writes()

    run = tiny.run(job, "agent", **scope)

    assert not run.success
    assert said in run.failure("agent")
    assert run.status == "failed"
    assert tiny.writes() == before


def test_a_job_run_as_the_launchpad_offers_it_says_that_ids_are_missing(tiny: World) -> None:
    run = tiny.run("invoice_resync", "agent")

    assert "this run names no records" in run.failure("agent")
