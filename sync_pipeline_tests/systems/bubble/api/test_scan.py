"""Scans: what they see, what they prove, and what they do when the source or the reader stops."""

import math
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sync_pipeline.errors import SourceBroken, SourceUnavailable
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.systems.bubble.api.dates import moment_of
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.systems.bubble.simulated_apps import (
    FIRST_INSTANT,
    KIND,
    app_with,
    client_of,
    ids_of,
    payments,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("count", [1, 9, 10, 11, 119, 250, 1_003])
def test_a_full_scan_sees_every_record_exactly_once(count: int) -> None:
    records = payments([1] * count)
    with app_with(records) as bubble:
        for concurrency in (1, 3, 8):
            with client_of(bubble, concurrency=concurrency) as client:
                scan = client.scan(KIND)
                assert sorted(ids_of(scan)) == sorted(r["_id"] for r in records)
                assert scan.complete
                assert scan.distinct_ids == scan.count_reported == count


def test_a_scan_of_many_pages_needs_hardly_more_calls_than_there_are_pages() -> None:
    with app_with(payments([1] * 6_000)) as bubble, client_of(bubble, page_size=100) as client:
        assert len(ids_of(client.scan(KIND))) == 6_000
        assert bubble.stats.total <= 1.1 * math.ceil(6_000 / 100)


def test_a_scan_of_one_page_costs_the_page_and_its_confirmation() -> None:
    with app_with(payments([1] * 10)) as bubble, client_of(bubble) as client:
        assert list(client.scan(KIND))
        assert bubble.stats.total == 2


def test_segments_are_read_at_the_same_time() -> None:
    records = payments([1] * 600)
    with app_with(records, Options(latency_ms=60)) as bubble, client_of(bubble) as client:
        list(client.scan(KIND))
        assert 4 <= bubble.stats.max_concurrent <= 8


@pytest.mark.parametrize("known_cap", [120, 50_000])
def test_a_full_scan_goes_past_the_cursor_cap_whether_or_not_it_knows_it(known_cap: int) -> None:
    records = payments([1] * 900)
    with (
        app_with(records, Options(cursor_cap=120)) as bubble,
        client_of(bubble, cursor_cap=known_cap) as client,
    ):
        scan = client.scan(KIND)
        assert sorted(ids_of(scan)) == sorted(r["_id"] for r in records)
        assert scan.complete


@pytest.mark.parametrize(
    "sizes",
    [[95], [1] * 50 + [350] + [1] * 300, [4] * 100, [1] * 200 + [10] + [1] * 5, [12] * 60],
    ids=[
        "only a tie",
        "a bulk import",
        "small ties",
        "a tie of one page",
        "ties of a page and more",
    ],
)
def test_records_created_in_the_same_instant_are_all_seen(sizes: list[int]) -> None:
    records = payments(sizes)
    with app_with(records) as bubble, client_of(bubble) as client:
        scan = client.scan(KIND)
        assert sorted(ids_of(scan)) == sorted(r["_id"] for r in records)
        assert scan.complete


def test_more_records_in_one_instant_than_the_cursor_reaches_fail_loudly() -> None:
    with (
        app_with(payments([1, 80, 1]), Options(cursor_cap=50)) as bubble,
        client_of(bubble) as client,
        pytest.raises(SourceBroken, match="records with the same “Created Date”"),
    ):
        list(client.scan(KIND))


@pytest.mark.parametrize("sizes", [[1] * 800, [7] * 110, [1] * 100 + [500] + [1] * 200])
@pytest.mark.parametrize("changed_only", [False, True], ids=["full", "delta"])
def test_records_that_exist_throughout_are_seen_whatever_is_edited_meanwhile(
    sizes: list[int], changed_only: bool
) -> None:
    options = Options(edits_per_page=3)
    with app_with(payments(sizes), options) as bubble, client_of(bubble) as client:
        before = set(bubble.store.ids(KIND))
        scan = client.scan(KIND, modified_since=LONG_AGO if changed_only else None)
        seen = ids_of(scan)
        throughout = before & set(bubble.store.ids(KIND))
        assert len(before) - len(throughout) > 20, "the test has to delete some"
        assert throughout <= set(seen)
        if not changed_only:
            assert len(seen) == len(set(seen)) == scan.distinct_ids


def test_inserts_and_changes_do_not_spoil_the_proof_of_completeness() -> None:
    options = Options(edits_per_page=2, edit_kinds=("create", "modify"))
    with app_with(payments([1] * 500), options) as bubble, client_of(bubble) as client:
        scan = client.scan(KIND)
        assert len(ids_of(scan)) >= 500
        assert scan.complete


class TestDelta:
    def test_it_finds_only_what_changed(self, bubble: BubbleSimulator) -> None:
        changed = bubble.store.ids("invoice_item")[5:40]
        since = datetime.now(UTC) - timedelta(seconds=1)
        for uid in changed:
            bubble.store.patch("invoice_item", uid, {"Description": "changed"})
        with client_of(bubble) as client:
            scan = client.scan("invoice_item", modified_since=since)
            assert sorted(ids_of(scan)) == sorted(changed)
            assert not scan.complete, "a delta proves nothing about what is missing"

    def test_it_costs_one_call_when_nothing_changed(self, bubble: BubbleSimulator) -> None:
        with client_of(bubble) as client:
            scan = client.scan("invoice_item", modified_since=datetime.now(UTC))
            assert list(scan) == []
            assert bubble.stats.total == client.traffic.calls == 1
            assert scan.highest_modified is None

    def test_its_first_instant_is_exclusive_and_its_last_inclusive(self) -> None:
        records = payments([1] * 30)
        with app_with(records) as bubble, client_of(bubble) as client:
            scan = client.scan(
                KIND,
                modified_since=moment_of(FIRST_INSTANT + 4),
                modified_until=moment_of(FIRST_INSTANT + 20),
            )
            assert ids_of(scan) == [r["_id"] for r in records[5:21]]
            assert scan.highest_modified == moment_of(FIRST_INSTANT + 20)

    def test_the_highest_modification_is_that_seen_and_the_start_is_the_servers(self) -> None:
        with (
            app_with(payments([1] * 30, modified_later=777)) as bubble,
            client_of(bubble) as client,
        ):
            scan = client.scan(KIND)
            list(scan)
            assert scan.highest_modified == moment_of(FIRST_INSTANT + 29 + 777)
            assert scan.started_at is not None
            assert abs(datetime.now(UTC) - scan.started_at) < timedelta(seconds=5)


class TestCompleteness:
    def test_an_empty_listing_proves_nothing(self) -> None:
        with app_with([]) as bubble, client_of(bubble) as client:
            scan = client.scan(KIND)
            assert list(scan) == []
            assert not scan.complete
            assert bubble.stats.total == 1

    @pytest.mark.parametrize("kind", ["empty_results", "shrink"])
    @pytest.mark.parametrize("nth", [1, 2, 7, 30])
    def test_a_listing_that_ends_early_for_good_is_not_complete(self, kind: str, nth: int) -> None:
        with app_with(payments([1] * 400)) as bubble, client_of(bubble) as client:
            bubble.faults.add(Fault(kind=kind, nth=nth))  # pyright: ignore[reportArgumentType]
            scan = client.scan(KIND)
            list(scan)
            assert not scan.complete

    @pytest.mark.parametrize("kind", ["empty_results", "shrink"])
    @pytest.mark.parametrize("nth", [2, 7, 30])
    def test_one_page_that_ends_early_is_doubted_and_the_rest_is_read(
        self, kind: str, nth: int
    ) -> None:
        records = payments([1] * 400)
        with app_with(records) as bubble, client_of(bubble, concurrency=1) as client:
            bubble.faults.add(Fault(kind=kind, nth=nth, times=1))  # pyright: ignore[reportArgumentType]
            scan = client.scan(KIND)
            assert ids_of(scan) == [r["_id"] for r in records]
            assert scan.complete

    @pytest.mark.parametrize("count", [8, 400])
    def test_a_first_page_that_hides_the_rest_is_found_out(self, count: int) -> None:
        with app_with(payments([1] * count)) as bubble, client_of(bubble) as client:
            bubble.faults.add(Fault(kind="shrink", times=1))
            scan = client.scan(KIND)
            assert len(ids_of(scan)) < count
            assert not scan.complete

    def test_a_listing_that_shrinks_meanwhile_is_not_complete(self) -> None:
        with app_with(payments([1] * 400)) as bubble, client_of(bubble, concurrency=1) as client:
            scan = client.scan(KIND)
            next(scan)
            for uid in bubble.store.ids(KIND)[300:]:
                bubble.store.delete(KIND, uid)
            ids_of(scan)
            assert not scan.complete

    @pytest.mark.parametrize("times", [1, None], ids=["once", "for ever"])
    def test_a_page_that_repeats_another_is_asked_for_again(self, times: int | None) -> None:
        records = payments([1] * 400)
        with app_with(records) as bubble, client_of(bubble, concurrency=1) as client:
            bubble.faults.add(Fault(kind="duplicate_page", nth=9, times=times))
            scan = client.scan(KIND)
            assert ids_of(scan) == [r["_id"] for r in records]

    def test_a_range_that_the_source_does_not_apply_fails(self) -> None:
        options = Options(unconstrainable_fields=("Modified Date",))
        with (
            app_with(payments([1] * 30), options) as bubble,
            client_of(bubble) as client,
            pytest.raises(SourceBroken, match="BUBBLE_API_TOKEN"),
        ):
            list(client.scan(KIND, modified_since=moment_of(FIRST_INSTANT + 4)))


class TestFailure:
    def test_a_page_that_fails_for_ever_ends_the_scan_with_an_error_within_the_budget(self) -> None:
        retry_policy = replace(QUICK, time_budget=timedelta(seconds=0.5))
        with (
            app_with(payments([1] * 400)) as bubble,
            client_of(bubble, retry_policy=retry_policy, concurrency=1) as client,
        ):
            bubble.faults.add(Fault(kind="status", status=500, nth=5))
            scan = client.scan(KIND)
            pages = [next(scan) for _ in range(4)]
            begun = time.monotonic()
            with pytest.raises(SourceUnavailable, match="status 500"):
                next(scan)
            assert time.monotonic() - begun < 1.5
            assert len(ids_of(pages)) == 37
            with pytest.raises(RuntimeError):
                next(scan)
            assert not scan.complete

    def test_an_error_in_one_of_many_segments_ends_them_all(self) -> None:
        retry_policy = replace(QUICK, time_budget=timedelta(seconds=0.3))
        with (
            app_with(payments([1] * 900)) as bubble,
            client_of(bubble, retry_policy=retry_policy) as client,
        ):
            bubble.faults.add(Fault(kind="status", status=502, nth=40))
            with pytest.raises(SourceUnavailable):
                list(client.scan(KIND))

    @pytest.mark.parametrize("kind", ["reset", "truncate", "cut", "garbage", "stall", "status"])
    def test_a_scan_survives_passing_faults(self, kind: str) -> None:
        records = payments([1] * 400)
        with app_with(records) as bubble, client_of(bubble) as client:
            for nth in (1, 9, 25):
                bubble.faults.add(Fault(kind=kind, nth=nth, times=1, seconds=5))  # pyright: ignore[reportArgumentType]
            scan = client.scan(KIND)
            assert sorted(ids_of(scan)) == sorted(r["_id"] for r in records)
            assert scan.complete
            assert client.traffic.retries == 3
            assert client.traffic.calls == bubble.stats.total


class TestReader:
    def test_a_slow_reader_is_not_overrun(self) -> None:
        with app_with(payments([1] * 3_000)) as bubble, client_of(bubble, concurrency=2) as client:
            scan = client.scan(KIND)
            next(scan)
            time.sleep(0.3)
            assert bubble.stats.total < 15
            scan.close()

    def test_closing_a_half_read_scan_cancels_its_requests(self) -> None:
        with app_with(payments([1] * 400)) as bubble, client_of(bubble) as client:
            bubble.faults.add(Fault(kind="stall", seconds=30, nth=8))
            begun = time.monotonic()
            with closing(client.scan(KIND)) as scan:
                next(scan)
            calls = client.traffic.calls
            assert time.monotonic() - begun < 2
            time.sleep(0.1)
            assert client.traffic.calls == calls
            with pytest.raises(RuntimeError, match="closed before its end"):
                next(scan)

    def test_closing_the_client_ends_its_scans_and_its_thread(self) -> None:
        with app_with(payments([1] * 900)) as bubble:
            with client_of(bubble) as client:
                scan = client.scan(KIND)
                next(scan)
            assert "bubble-client" not in [thread.name for thread in threading.enumerate()]
            with pytest.raises(RuntimeError, match="closed before its end"):
                next(scan)

    def test_two_scans_run_side_by_side(self, bubble: BubbleSimulator) -> None:
        with client_of(bubble) as client:
            pairs = zip(client.scan("invoice"), client.scan("invoice_item"), strict=False)
            for invoices, items in pairs:
                assert "Invoice Id" in invoices[0] or invoices
                assert items

    def test_a_scan_that_is_not_begun_asks_nothing(self, bubble: BubbleSimulator) -> None:
        with client_of(bubble) as client:
            client.scan("invoice")
            assert bubble.stats.total == 0
