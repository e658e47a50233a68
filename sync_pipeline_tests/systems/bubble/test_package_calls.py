"""How many calls the package of an invoice costs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from sync_pipeline.model.scope import Scope
from sync_pipeline.simulators.bubble.company import Company, make_company
from sync_pipeline.systems.bubble.resource import BubbleSource
from sync_pipeline_tests.fixtures.bubble_system import (
    BubbleSystem,
    BubbleSystems,
)
from sync_pipeline_tests.systems.bubble.package_runs import belonging, resync

ONE, HUNDRED = 12, 80
"""Calls that one invoice and a hundred may cost."""


# -- what it costs


@pytest.fixture(scope="session")
def larger_company() -> Company:
    """About 1,650 records, 212 of them invoices."""
    return make_company(seed=5, scale=0.05)


@pytest.fixture(scope="module")
def larger(bubble_systems: BubbleSystems, larger_company: Company) -> Iterator[BubbleSystem]:
    """A larger app before its first sync."""
    with bubble_systems.of(larger_company) as bubble_system:
        yield bubble_system


@contextmanager
def counting(bubble_system: BubbleSystem) -> Iterator[Callable[..., int]]:
    """Counts, at the server, the calls that fetching packages takes."""
    source = BubbleSource()

    def calls(*invoices: str) -> int:
        bubble_system.bubble.stats.reset()
        packages = source.packages(Scope(mode="keys", keys=invoices, of="invoice"))
        assert set(packages.members) == set(invoices)
        return bubble_system.bubble.stats.total

    yield calls
    source.close()


def test_no_invoice_costs_more_than_twelve_calls_where_nothing_is_known_yet(
    bubble_system: BubbleSystem,
) -> None:
    with counting(bubble_system) as calls:
        cost = {invoice: calls(invoice) for invoice in bubble_system.ids("invoice")}

    assert max(cost.values()) <= ONE, {i: n for i, n in cost.items() if n > ONE}


def test_no_invoice_costs_more_than_twelve_calls_where_all_is_known(synced: BubbleSystem) -> None:
    with counting(synced) as calls:
        cost = {invoice: calls(invoice) for invoice in synced.ids("invoice")}

    assert max(cost.values()) <= ONE, {i: n for i, n in cost.items() if n > ONE}


@pytest.mark.parametrize("first", [0, 60, 112])
def test_a_hundred_invoices_cost_at_most_eighty_calls_where_nothing_is_known_yet(
    larger: BubbleSystem, first: int
) -> None:
    invoices = larger.ids("invoice")[first : first + 100]
    assert len(invoices) == 100

    with counting(larger) as calls:
        assert calls(*invoices) <= HUNDRED


def test_a_hundred_invoices_cost_at_most_eighty_calls_where_all_is_known(
    bubble_systems: BubbleSystems, larger_company: Company
) -> None:
    with bubble_systems.of(larger_company) as bubble_system:
        assert bubble_system.run("bubble_full").success
        invoices = bubble_system.ids("invoice")
        with counting(bubble_system) as calls:
            for first in (0, 60, 112):
                assert calls(*invoices[first : first + 100]) <= HUNDRED


def test_a_run_makes_no_call_beyond_those_of_its_package(synced: BubbleSystem) -> None:
    invoice = synced.ids("invoice")[0]
    with counting(synced) as calls:
        cost = calls(invoice)
    synced.bubble.stats.reset()

    run = resync(synced, invoice)

    assert run.success, run.errors
    assert synced.bubble.stats.total == cost == run.report.api_calls <= ONE


def test_a_hundred_invoices_in_one_run_cost_at_most_eighty_calls(
    bubble_systems: BubbleSystems, larger_company: Company
) -> None:
    with bubble_systems.of(larger_company) as bubble_system:
        invoices = bubble_system.ids("invoice")[-100:]
        bubble_system.bubble.stats.reset()

        run = resync(bubble_system, *invoices)

        assert run.success, run.errors
        assert run.report.packages
        assert run.report.packages["total"] == 100
        assert bubble_system.bubble.stats.total == run.report.api_calls <= HUNDRED
        assert bubble_system.keys("invoice") == set(invoices)
        unconvertible = {b.uid for b in larger_company.unconvertible}
        conflicting = {
            uid for case in larger_company.planted_links.ambiguous for uid in case.registrations
        }
        for entity in ("payment", "invoice_item", "seda_registration"):
            wanted = belonging(bubble_system, entity, set(invoices)) - unconvertible - conflicting
            assert wanted <= bubble_system.keys(entity), entity
