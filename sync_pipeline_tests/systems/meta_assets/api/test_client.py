"""Listing numbers: pages and their traps, the traffic of many workspaces, and a host that fails."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from sync_pipeline.errors import SettingsError
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.meta_assets.credentials import PHONES, TOKENS
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.api.client import MetaClient, ReadResult
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.fixtures.meta_assets import HARBOUR, NORTH, SOUTH
from sync_pipeline_tests.systems.meta_assets.fast_client import (
    FIELDS,
    client_of,
    error_of,
    ids,
    request,
    results_of,
)


class TestPages:
    def test_all_numbers_come_and_then_the_end(self, meta: MetaSimulator) -> None:
        results = results_of(meta, request(HARBOUR, meta.token), page_size=25)
        assert tuple(ids(results)) == PHONES[HARBOUR]
        assert [len(a.records) for a in results] == [25, 25, 10, 0]
        assert [a.ended for a in results] == [False, False, False, True]

    def test_an_account_is_one_call_if_a_page_holds_it(self, meta: MetaSimulator) -> None:
        results_of(meta, request(HARBOUR, meta.token))
        assert meta.stats.total == 1

    def test_an_account_without_numbers_ends_well(self, meta: MetaSimulator) -> None:
        meta.accounts.connect("555", (), meta.token)
        asked = request("555", meta.token)
        assert results_of(meta, asked) == [ReadResult(asked, ended=True)]

    def test_an_empty_page_is_not_the_last(self, meta: MetaSimulator) -> None:
        meta.options.empty_page_first = True
        assert tuple(ids(results_of(meta, request(NORTH, meta.token)))) == PHONES[NORTH]

    def test_the_cursor_may_stand_in_the_link_only(self, meta: MetaSimulator) -> None:
        meta.options.next_without_cursors = True
        results = results_of(meta, request(HARBOUR, meta.token), page_size=50)
        assert tuple(ids(results)) == PHONES[HARBOUR]

    def test_pages_that_go_round_in_a_circle_are_an_error(self, meta: MetaSimulator) -> None:
        meta.options.repeat_cursor = True
        *records, last = results_of(meta, request(HARBOUR, meta.token), page_size=25)
        assert len(records) == 2
        assert last.error is not None
        assert last.error.text == "HTTP 200: the pages of the listing go round in a circle"

    def test_the_token_is_in_no_url_although_the_link_to_the_next_page_holds_it(
        self, meta: MetaSimulator
    ) -> None:
        results_of(meta, request(HARBOUR, meta.token), page_size=25)
        urls = [entry.call.url for entry in meta.stats.recent]
        assert len(urls) == 3
        assert not any("token" in url or meta.token in url for url in urls)

    def test_only_requested_fields_come_and_one_without_a_value_does_not(
        self, meta: MetaSimulator
    ) -> None:
        rated, unrated = PHONES[NORTH]
        meta.accounts.rate(rated, "YELLOW")
        meta.accounts.rate(unrated, None)
        first, second = results_of(meta, request(NORTH, meta.token))[0].records
        assert set(first) == set(FIELDS)
        assert set(second) == {*FIELDS} - {"quality_rating"}

    def test_one_number_can_be_requested(self, meta: MetaSimulator) -> None:
        phone = PHONES[SOUTH][0]
        meta.accounts.rename(phone, "Quiet Library")
        results = results_of(meta, request(SOUTH, TOKENS[SOUTH], phone=phone))
        assert [dict(r)["verified_name"] for a in results for r in a.records] == ["Quiet Library"]
        assert results[-1].ended


class TestWorkspaces:
    def test_one_bad_token_leaves_the_others(self, meta: MetaSimulator) -> None:
        meta.accounts.break_token(TOKENS[SOUTH])
        requests = [
            request(waba, TOKENS[waba], workspace=f"w{n}")
            for n, waba in enumerate((NORTH, SOUTH, HARBOUR))
        ]
        results = results_of(meta, *requests)
        assert {a.request.workspace_id for a in results if a.ended} == {"w0", "w2"}
        (bad,) = [a for a in results if a.error]
        assert bad.request.workspace_id == "w1"

    def test_the_accounts_of_one_are_read_in_their_order(self, meta: MetaSimulator) -> None:
        requests = [request(waba, meta.token) for waba in (HARBOUR, NORTH, SOUTH)]
        results = results_of(meta, *requests, page_size=10)
        assert tuple(ids(results)) == PHONES[HARBOUR] + PHONES[NORTH] + PHONES[SOUTH]

    def test_they_are_read_at_the_same_time_within_a_bound(self, meta: MetaSimulator) -> None:
        meta.options.latency_ms = 20
        requests = [request(NORTH, TOKENS[NORTH], workspace=f"w{n}") for n in range(6)]
        assert len(ids(results_of(meta, *requests, concurrency=3))) == 12
        assert meta.stats.max_concurrent == 3

    def test_a_token_that_was_refused_is_not_tried_on_further_accounts(
        self, meta: MetaSimulator
    ) -> None:
        meta.accounts.break_token(meta.token)
        results = results_of(meta, *(request(w, meta.token) for w in (NORTH, SOUTH, HARBOUR)))
        assert len({a.error for a in results}) == 1
        assert len(results) == 3
        assert meta.stats.total == 1

    def test_a_corrected_token_is_accepted_in_the_next_read(self, meta: MetaSimulator) -> None:
        meta.accounts.break_token(meta.token)
        with client_of(meta) as client:
            assert ids(client.read([request(NORTH, meta.token)])) == []
            meta.accounts.restore_token(meta.token)
            assert tuple(ids(client.read([request(NORTH, meta.token)]))) == PHONES[NORTH]

    @pytest.mark.parametrize("token", ["", "EAA with blanks", "EAAé", "EAA\nline"])
    def test_without_a_usable_token_nothing_is_asked(self, meta: MetaSimulator, token: str) -> None:
        assert error_of(meta, request(NORTH, token)).text.startswith("HTTP 403: no token")
        assert meta.stats.total == 0


class TestAHostThatFails:
    @pytest.mark.parametrize("kind", ["reset", "truncate", "cut", "garbage"])
    def test_a_passing_failure_is_survived(self, meta: MetaSimulator, kind: str) -> None:
        meta.faults.add(Fault.parse({"kind": kind, "times": 2}))
        assert tuple(ids(results_of(meta, request(NORTH, meta.token)))) == PHONES[NORTH]

    def test_a_body_that_is_always_cut_is_an_error_and_never_the_end(
        self, meta: MetaSimulator
    ) -> None:
        meta.faults.add(Fault(kind="cut"))
        error = error_of(meta, request(NORTH, meta.token))
        assert error.text == "HTTP 200: an answer that is not the protocol of the Graph API"
        assert not error.of_host

    def test_a_page_of_a_proxy_is_reported_in_its_own_words(self, meta: MetaSimulator) -> None:
        meta.faults.add(Fault(kind="status", status=503, body="html"))
        error = error_of(meta, request(NORTH, meta.token), retry_policy=_BRIEF)
        assert (error.text, error.of_host) == ("HTTP 503: Service Unavailable", True)

    def test_a_redirect_is_not_followed(self, meta: MetaSimulator) -> None:
        where = {"Location": "http://127.0.0.1:9/elsewhere"}
        meta.faults.add(Fault(kind="status", status=302, body="plain", headers=where))
        assert error_of(meta, request(NORTH, meta.token)).text == "HTTP 302: Found"

    def test_a_host_that_was_given_up_is_not_waited_for_by_each_workspace(
        self, meta: MetaSimulator
    ) -> None:
        meta.faults.add(Fault(kind="reset"))
        requests = [request(f"77{n}", meta.token, workspace=f"w{n}") for n in range(4)]
        results = results_of(meta, *requests, concurrency=1, retry_policy=_BRIEF)
        assert [a.error and a.error.text for a in results] == [
            "HTTP 0: no answer from the Graph API"
        ] * 4
        calls = Counter(entry.call.url.split("/")[2] for entry in meta.stats.recent)
        assert calls.pop("770") > 1
        assert calls == {"771": 1, "772": 1, "773": 1}

    def test_a_host_that_comes_back_is_given_time_again(self, meta: MetaSimulator) -> None:
        meta.faults.add(
            Fault(kind="reset", ids=(NORTH,)), Fault(kind="reset", nth=2, times=1, ids=(HARBOUR,))
        )
        requests = [
            request(waba, meta.token, workspace=f"w{n}")
            for n, waba in enumerate((NORTH, SOUTH, HARBOUR, HARBOUR))
        ]
        results = results_of(meta, *requests, concurrency=1, retry_policy=_BRIEF)
        assert {a.request.workspace_id for a in results if a.ended} == {"w1", "w2", "w3"}


_BRIEF = replace(QUICK, time_budget=timedelta(seconds=0.2))


def test_an_invalid_url_is_an_error_at_once() -> None:
    with pytest.raises(SettingsError, match="META_GRAPH_URL"):
        MetaClient("graph.facebook.com/v23.0", fields=FIELDS)


def test_a_closed_client_can_be_closed_again(meta: MetaSimulator) -> None:
    with client_of(meta) as client:
        assert len(ids(client.read([request(NORTH, meta.token)]))) == 2
        client.close()
