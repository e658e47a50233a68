"""How numbers are listed: fields, pages, cursors, and what is odd about them."""

from typing import Any

import httpx2
import pytest

from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.meta_assets.credentials import PHONES, TOKENS
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline_tests.fixtures.meta_assets import HARBOUR, NORTH


def listing(http: httpx2.Client, waba: str = HARBOUR, **query: Any) -> dict[str, Any]:
    reply = http.get(f"{waba}/phone_numbers", params=query)
    assert reply.status_code == 200, reply.text
    return reply.json()


def ids(page: dict[str, Any]) -> list[str]:
    return [number["id"] for number in page["data"]]


def test_a_page_has_25_numbers_and_all_of_them_together_are_the_account(
    graph_http: httpx2.Client,
) -> None:
    pages = [listing(graph_http)]
    while "next" in pages[-1]["paging"]:
        assert len(pages[-1]["data"]) == 25
        pages.append(graph_http.get(pages[-1]["paging"]["next"]).json())
    assert tuple(uid for page in pages for uid in ids(page)) == PHONES[HARBOUR]


def test_the_last_page_has_a_cursor_but_no_next(graph_http: httpx2.Client) -> None:
    last = listing(graph_http, NORTH)["paging"]
    assert "next" not in last
    beyond = listing(graph_http, NORTH, after=last["cursors"]["after"])
    assert beyond == {"data": []}


def test_one_can_go_back_by_before(graph_http: httpx2.Client) -> None:
    first = listing(graph_http, limit=40)
    second = listing(graph_http, limit=40, after=first["paging"]["cursors"]["after"])
    assert "previous" in second["paging"]
    back = listing(graph_http, limit=40, before=second["paging"]["cursors"]["before"])
    assert ids(back) == ids(first)


def test_fields_not_requested_are_absent_and_the_id_always_comes(graph_http: httpx2.Client) -> None:
    assert {frozenset(n) for n in listing(graph_http, NORTH, fields="verified_name")["data"]} == {
        frozenset({"verified_name", "id"})
    }
    assert "status" not in listing(graph_http, NORTH)["data"][0]
    assert graph_http.get(PHONES[NORTH][0], params={"fields": "status"}).json() == {
        "status": "CONNECTED",
        "id": PHONES[NORTH][0],
    }


def test_some_numbers_have_no_rating_and_some_have_odd_ones(graph_http: httpx2.Client) -> None:
    ratings = {n.get("quality_rating") for n in listing(graph_http, limit=100)["data"]}
    assert {None, "GREEN", "UNKNOWN", "NA"} <= ratings


def test_the_link_to_the_next_page_holds_the_token_even_if_the_header_had_it(
    meta: MetaSimulator, graph_http: httpx2.Client
) -> None:
    assert f"access_token={meta.token}" in listing(graph_http)["paging"]["next"]


def test_an_empty_page_may_have_a_next_one(meta: MetaSimulator, graph_http: httpx2.Client) -> None:
    meta.options.empty_page_first = True
    first = listing(graph_http, NORTH)
    assert first["data"] == []
    assert ids(graph_http.get(first["paging"]["next"]).json()) == list(PHONES[NORTH])


def test_a_page_may_lead_back_to_itself(meta: MetaSimulator, graph_http: httpx2.Client) -> None:
    meta.options.repeat_cursor = True
    first = listing(graph_http, limit=10)
    again = graph_http.get(first["paging"]["next"]).json()
    assert again["paging"]["next"] == first["paging"]["next"]


def test_faults_may_end_a_listing_early(meta: MetaSimulator, graph_http: httpx2.Client) -> None:
    meta.faults.add(Fault(kind="shrink", times=1), Fault(kind="empty_results", nth=2, times=1))
    shrunk = listing(graph_http)
    assert len(shrunk["data"]) == 12
    assert "next" not in shrunk["paging"]
    assert listing(graph_http) == {"data": []}


@pytest.mark.parametrize("query", [{"limit": 101}, {"limit": 0}, {"limit": "x"}, {"after": "x"}])
def test_parameters_that_cannot_be_are_refused(
    graph_http: httpx2.Client, query: dict[str, Any]
) -> None:
    reply = graph_http.get(f"{NORTH}/phone_numbers", params=query)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, 100)


def test_edits_show_in_the_next_listing(meta: MetaSimulator, graph_http: httpx2.Client) -> None:
    one, other = PHONES[NORTH]
    meta.accounts.rename(one, "Moonlight Tours")
    meta.accounts.rate(one, None)
    meta.accounts.remove(other)
    meta.accounts.add(NORTH, "900719925474099301", {"verified_name": "New Desk"})
    first, second = listing(graph_http, NORTH)["data"]
    assert (first["id"], first["verified_name"]) == (one, "Moonlight Tours")
    assert "quality_rating" not in first
    assert (second["id"], second["verified_name"]) == ("900719925474099301", "New Desk")


def test_a_token_opens_its_own_account_only(meta: MetaSimulator) -> None:
    with httpx2.Client(base_url=meta.url, trust_env=False, verify=False) as http:
        token = {"access_token": TOKENS[NORTH]}
        assert len(listing(http, NORTH, **token)["data"]) == 2
        error = http.get(f"{HARBOUR}/phone_numbers", params=token).json()["error"]
    assert (error["code"], error["error_subcode"]) == (100, 33)
