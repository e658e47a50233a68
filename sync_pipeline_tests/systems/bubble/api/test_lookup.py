"""Lookups: lists of ids, ids without a record, and ids on which the source chokes."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from sync_pipeline.errors import SourceRefused, SourceUnavailable
from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.systems.bubble.api.lookup import lists_of
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.systems.bubble.simulated_apps import client_of

ITEMS = "invoice_item"


@pytest.fixture
def item_ids(company: Company) -> list[str]:
    return [record["_id"] for record in company.of(ITEMS)][:200]


def test_ids_are_asked_for_in_lists(bubble: BubbleSimulator, item_ids: list[str]) -> None:
    with client_of(bubble, page_size=100, list_size=50) as client:
        found = client.lookup(ITEMS, item_ids)
        assert sorted(r["_id"] for r in found.records) == sorted(item_ids)
        assert found.missing == []
        assert found.failed == {}
        assert bubble.stats.total == 4


def test_ids_without_a_record_are_named_in_the_order_asked_for(
    bubble: BubbleSimulator, item_ids: list[str]
) -> None:
    with client_of(bubble) as client:
        found = client.lookup(ITEMS, ["2x2", *item_ids[:5], "1x1", *item_ids[:5]])
        assert len(found.records) == 5
        assert found.missing == ["2x2", "1x1"]


def test_no_ids_cost_no_call(bubble: BubbleSimulator) -> None:
    with client_of(bubble) as client:
        assert client.lookup(ITEMS, []).records == []
        assert bubble.stats.total == 0


def test_records_are_found_by_the_record_they_point_at_however_many_there_are(
    bubble: BubbleSimulator, company: Company
) -> None:
    invoices = [record["_id"] for record in company.of("invoice")]
    expected = [r["_id"] for r in company.of(ITEMS) if r.get("Linked Invoice") in invoices]
    assert len(expected) > 250
    with client_of(bubble, page_size=100, list_size=100, url_budget=8_000) as client:
        found = client.lookup(ITEMS, invoices, field="Linked Invoice")
        assert sorted(r["_id"] for r in found.records) == sorted(expected)
        assert found.missing == []
        assert bubble.stats.total <= math.ceil(len(expected) / 99) + 1


class TestLists:
    def test_they_keep_the_size_and_the_url_short(self, bubble: BubbleSimulator) -> None:
        bubble.options.url_limit = 1_400
        ids = [f"{1_700_000_000_000 + n}x{10**17 + n}" for n in range(100)]
        with client_of(bubble, list_size=50, url_budget=1_100) as client:
            assert client.lookup(ITEMS, ids).missing == ids
        assert {call.outcome for call in bubble.stats.recent} == {"200"}

    def test_they_lose_nothing_and_a_value_too_long_stands_alone(self) -> None:
        ids = ["a", "b" * 500, "c", "d", "e", "f", "g"]
        lists = list(lists_of(ids, key="_id", list_size=3, url_budget=200))
        assert lists == [["a"], ["b" * 500], ["c", "d", "e"], ["f", "g"]]

    def test_a_url_that_is_refused_for_its_length_says_what_to_do(
        self, bubble: BubbleSimulator, item_ids: list[str]
    ) -> None:
        bubble.options.url_limit = 1_000
        with client_of(bubble) as client, pytest.raises(SourceRefused, match="shorter lists"):
            client.lookup(ITEMS, item_ids)


class TestPoison:
    @pytest.mark.parametrize("kind", ["status", "cut", "reset"])
    def test_an_id_that_the_source_chokes_on_costs_only_itself(
        self, bubble: BubbleSimulator, item_ids: list[str], kind: str
    ) -> None:
        bubble.faults.add(Fault(kind=kind, status=500, ids=(item_ids[33],)))  # pyright: ignore[reportArgumentType]
        with client_of(bubble) as client:
            found = client.lookup(ITEMS, item_ids)
            assert list(found.failed) == [item_ids[33]]
            assert "kept failing" in found.failed[item_ids[33]]
            assert sorted(r["_id"] for r in found.records) == sorted({*item_ids} - {item_ids[33]})
            assert found.missing == []
            # 20 pages of ten, thrice the list, the question whether it lives, twice each half.
            assert client.traffic.calls < 20 + 3 + 1 + 4 * 6 + 20

    def test_several_such_ids_cost_only_themselves(
        self, bubble: BubbleSimulator, item_ids: list[str]
    ) -> None:
        poison = [item_ids[3], item_ids[4], item_ids[199]]
        for uid in poison:
            bubble.faults.add(Fault(kind="status", status=504, ids=(uid,), body="html"))
        with client_of(bubble) as client:
            found = client.lookup(ITEMS, item_ids)
            assert sorted(found.failed) == sorted(poison)
            assert len(found.records) == 197

    def test_a_lone_id_can_fail_too(self, bubble: BubbleSimulator, item_ids: list[str]) -> None:
        bubble.faults.add(Fault(kind="status", status=500, ids=(item_ids[0],)))
        with client_of(bubble) as client:
            assert list(client.lookup(ITEMS, item_ids[:1]).failed) == item_ids[:1]


class TestOutage:
    def test_a_source_that_is_down_is_not_asked_for_every_part(
        self, bubble: BubbleSimulator, item_ids: list[str]
    ) -> None:
        retry_policy = replace(QUICK, time_budget=timedelta(seconds=0.5))
        bubble.faults.add(Fault(kind="status", status=503))
        with (
            client_of(bubble, retry_policy=retry_policy) as client,
            pytest.raises(SourceUnavailable, match="status 503"),
        ):
            client.lookup(ITEMS, item_ids[:50])
        about_ids = ['"in"' in answered.call.url for answered in bubble.stats.recent]
        assert about_ids == sorted(about_ids, reverse=True)
        assert about_ids.count(True) <= 3

    def test_an_outage_that_passes_costs_no_record(
        self, bubble: BubbleSimulator, item_ids: list[str]
    ) -> None:
        bubble.faults.add(Fault(kind="status", status=503, times=12))
        with client_of(bubble) as client:
            found = client.lookup(ITEMS, item_ids[:50])
            assert len(found.records) == 50
            assert found.failed == {}

    def test_lists_that_all_fail_although_the_source_answers_are_not_divided_to_the_last(
        self, bubble: BubbleSimulator, item_ids: list[str]
    ) -> None:
        bubble.faults.add(Fault(kind="status", status=500, path='"in"'))
        with client_of(bubble) as client, pytest.raises(SourceUnavailable):
            client.lookup(ITEMS, item_ids)
        assert bubble.stats.total < 150

    def test_being_told_to_slow_down_blames_no_id(
        self, bubble: BubbleSimulator, item_ids: list[str]
    ) -> None:
        bubble.faults.add(Fault(kind="status", status=429, times=30))
        with client_of(bubble) as client:
            found = client.lookup(ITEMS, item_ids[:50])
            assert len(found.records) == 50
            assert found.failed == {}


class TestRefusal:
    def test_an_unknown_field_is_refused_at_once(self, bubble: BubbleSimulator) -> None:
        with client_of(bubble) as client, pytest.raises(SourceRefused, match="spelling"):
            client.lookup(ITEMS, ["1x1"], field="Linked Invioce")
        assert bubble.stats.total == 1

    def test_a_wrong_token_is_refused_at_once(self, bubble: BubbleSimulator) -> None:
        with (
            client_of(bubble, token="wrong") as client,
            pytest.raises(SourceRefused, match="BUBBLE_API_TOKEN"),
        ):
            client.lookup(ITEMS, ["1x1"])
        assert bubble.stats.total == 1

    def test_records_that_were_not_asked_for_are_refused(
        self, bubble: BubbleSimulator, item_ids: list[str]
    ) -> None:
        bubble.options.unconstrainable_fields = ("_id",)
        with client_of(bubble) as client, pytest.raises(SourceRefused, match="not asked for"):
            client.lookup(ITEMS, item_ids[:3])
        assert bubble.stats.total == 1
