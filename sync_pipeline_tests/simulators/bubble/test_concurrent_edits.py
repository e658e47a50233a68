"""Edits between the pages of a scan, and the change log that lists them."""

import httpx2

from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline_tests.fixtures.bubble import http_client
from sync_pipeline_tests.simulators.bubble.queries import BY_ID, listing, read, scan

STEADY = {"sort_field": "Created Date", "additional_sort_fields": BY_ID}


def test_each_page_is_preceded_by_so_many_edits(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.edits_per_page = 3
    for _ in range(4):
        listing(bubble_http, "invoice_item")
    assert len(bubble.store.change_log) == 12
    assert {change.origin for change in bubble.store.change_log} == {"reading"}
    for action in ("created", "modified", "deleted"):
        assert len(bubble.store.change_log.ids(action, "invoice_item")) == 4


def test_an_edit_changes_a_value_and_the_modification_date(
    bubble: BubbleSimulator, bubble_http: httpx2.Client, company: Company
):
    bubble.options.edits_per_page = 1
    bubble.options.edit_kinds = ("modify",)
    listing(bubble_http, "invoice", limit=1)
    (uid,) = bubble.store.change_log.ids("modified")
    before = next(invoice for invoice in company.of("invoice") if invoice["_id"] == uid)
    after = read(bubble_http, "invoice", uid)
    assert after["Modified Date"] > before["Modified Date"]
    assert sum(after.get(name) != before.get(name) for name in {**before, **after}) == 2


def test_deletions_make_a_scan_by_offsets_lose_records_without_a_trace(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    before = set(bubble.store.ids("invoice_item"))
    bubble.options.edits_per_page = 10
    bubble.options.edit_kinds = ("delete",)
    found = scan(bubble_http, "invoice_item", **STEADY)
    assert len(set(found)) == len(found)
    still_there = before - bubble.store.change_log.ids("deleted")
    assert still_there - set(found), "some that were never deleted were skipped"


def test_scanning_by_modification_meets_moved_records_again(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.edits_per_page = 20
    bubble.options.edit_kinds = ("modify",)
    asked = {"sort_field": "Modified Date", "additional_sort_fields": BY_ID}
    found = scan(bubble_http, "invoice_item", **asked)
    assert len(set(found)) < len(found)


def test_the_same_seed_makes_the_same_edits(company: Company):
    def edited(seed: int) -> list[str]:
        with BubbleSimulator(company) as bubble, http_client(bubble) as http:
            bubble.options.update({"edits_per_page": 5, "edits_seed": seed})
            listing(http, "invoice")
            return [change.uid for change in bubble.store.change_log if change.action != "created"]

    assert edited(1) == edited(1)
    assert edited(1) != edited(2)


def test_the_company_that_a_simulator_was_made_from_stays_as_it_is(company: Company):
    before = company.copy()
    with BubbleSimulator(company) as bubble, http_client(bubble) as http:
        bubble.options.edits_per_page = 50
        listing(http, "invoice")
    assert company.records == before.records
