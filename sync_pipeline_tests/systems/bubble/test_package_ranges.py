"""Packages of the invoices that were modified in a range of time."""

import datetime as dt
from typing import Any

import pytest

from sync_pipeline_tests.fixtures.bubble_system import (
    CUSTOMER,
    ENTITIES,
    INVOICE,
    PATCHES,
    BubbleSystem,
    Run,
)
from sync_pipeline_tests.systems.bubble.package_runs import OUTCOME


def resync_range(
    bubble_system: BubbleSystem,
    since: str,
    until: str = "",
    *,
    only: tuple[str, ...] = (),
    **scope: Any,
) -> Run:
    ends = {"since": since, "until": until}
    return bubble_system.run(
        "invoice_batch_resync", *only, mode="range", of="invoice", **ends, **scope
    )


@pytest.fixture
def dated(tiny: BubbleSystem) -> tuple[BubbleSystem, list[str], list[dt.datetime]]:
    """Five more invoices, each modified a millisecond after the one before."""
    tiny.clock.advance(hours=1)
    invoices, moments = [], []
    for number in range(5):
        moments.append(tiny.clock.advance(milliseconds=1))
        invoices.append(tiny.bubble.store.create("invoice", {"visit": number}))
    return tiny, invoices, moments


def test_a_range_takes_both_of_its_ends_and_nothing_beyond(
    dated: tuple[BubbleSystem, list[str], list[dt.datetime]],
) -> None:
    bubble_system, invoices, moments = dated

    ends = (moments[1].isoformat(), moments[3].isoformat())
    run = resync_range(bubble_system, *ends, only=("invoice", *OUTCOME))

    assert run.status == "completed", run.errors
    assert bubble_system.keys("invoice") == {INVOICE, *invoices[1:4]}
    assert run.report.packages
    assert run.report.packages["total"] == run.report.packages["synced"] == 3


def test_a_range_of_days_takes_the_whole_last_day_and_no_end_means_now(
    dated: tuple[BubbleSystem, list[str], list[dt.datetime]],
) -> None:
    bubble_system, invoices, moments = dated
    day = moments[0].date().isoformat()

    days = resync_range(bubble_system, "2026-10-31", day, only=("invoice",), dry_run=True)
    assert days.counts("invoice")["read"] == 5
    run = resync_range(bubble_system, moments[4].isoformat(), only=("invoice",))

    assert bubble_system.keys("invoice") == {INVOICE, invoices[4]}
    assert run.counts("invoice") == {"read": 1, "inserted": 1}


def test_a_range_brings_the_packages_of_its_invoices_too(tiny: BubbleSystem) -> None:
    tiny.edit_there("customer", CUSTOMER, State="Atlantis")
    tiny.edit_there("invoice", INVOICE, visit=7)

    run = resync_range(tiny, tiny.clock().isoformat())

    assert tiny.here("customer", CUSTOMER)["state"] == "Atlantis"
    assert run.materialized == {*ENTITIES, *PATCHES, "package_outcome"}


def test_an_empty_range_is_no_failure(tiny: BubbleSystem) -> None:
    run = resync_range(tiny, "2026-12-24", "2026-12-25", only=("invoice", *OUTCOME))

    assert run.status == "completed", run.errors
    assert run.report.packages == {
        "total": 0,
        "synced": 0,
        "skipped": 0,
        "failed": 0,
        "errors": [],
    }
