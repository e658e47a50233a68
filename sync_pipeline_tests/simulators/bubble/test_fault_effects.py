"""What a client sees of each fault, down to the connection."""

import time

import httpx2
import orjson
import pytest

from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.faults import BodyKind, Fault
from sync_pipeline_tests.simulators.bubble.queries import ask, ids, listing


def test_a_status_comes_with_its_headers(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    bubble.faults.add(Fault(kind="status", status=503, headers={"Retry-After": "7"}, times=1))
    reply = ask(bubble_http, "invoice")
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "7")
    assert ask(bubble_http, "invoice").status_code == 200


@pytest.mark.parametrize(
    ("body", "media_type"),
    [("json", "application/json"), ("plain", "text/plain"), ("html", "text/html")],
)
def test_a_status_has_any_kind_of_body(
    bubble: BubbleSimulator, bubble_http: httpx2.Client, body: BodyKind, media_type: str
):
    bubble.faults.add(Fault(kind="status", status=429, body=body))
    reply = ask(bubble_http, "invoice")
    assert reply.headers["content-type"].startswith(media_type)
    assert "Too Many Requests" in reply.text


def test_a_reset_tears_the_connection_down(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    bubble.faults.add(Fault(kind="reset", times=1))
    with pytest.raises(httpx2.ReadError, match="reset"):
        ask(bubble_http, "invoice")
    assert ask(bubble_http, "invoice").status_code == 200
    assert bubble.stats.by_status == {"reset": 1, "200": 1}


def test_a_truncated_body_is_shorter_than_promised(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.faults.add(Fault(kind="truncate", times=1))
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete"):
        ask(bubble_http, "invoice")
    assert ask(bubble_http, "invoice").status_code == 200


def test_a_cut_body_is_broken_json_in_an_intact_reply(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.faults.add(Fault(kind="cut"))
    reply = ask(bubble_http, "invoice")
    assert reply.status_code == 200
    assert len(reply.content) == int(reply.headers["content-length"])
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(reply.content)


@pytest.mark.parametrize("body", ["html", "plain"])
def test_garbage_is_a_success_without_json(
    bubble: BubbleSimulator, bubble_http: httpx2.Client, body: BodyKind
):
    bubble.faults.add(Fault(kind="garbage", body=body))
    reply = ask(bubble_http, "invoice")
    assert reply.status_code == 200
    assert "json" not in reply.headers["content-type"]


def test_a_stall_sends_headers_and_then_nothing(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.faults.add(Fault(kind="stall", seconds=10, times=1))
    started = time.perf_counter()
    with bubble_http.stream("GET", "/obj/invoice", timeout=0.2) as reply:
        assert reply.status_code == 200
        with pytest.raises(httpx2.ReadTimeout):
            reply.read()
    assert time.perf_counter() - started < 2


def test_a_stall_ends_with_a_lost_connection(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    bubble.faults.add(Fault(kind="stall", seconds=0.05, times=1))
    with pytest.raises(httpx2.TransportError):
        ask(bubble_http, "invoice")
    assert ask(bubble_http, "invoice").status_code == 200


def test_empty_results_look_like_a_type_without_data(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.faults.add(Fault(kind="empty_results", type="invoice"))
    page = listing(bubble_http, "invoice")
    assert page == {"cursor": 0, "results": [], "count": 0, "remaining": 0}
    assert listing(bubble_http, "agent")["count"] == 3


def test_a_shrunken_page_looks_like_the_last(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    bubble.faults.add(Fault(kind="shrink", path="cursor=100"))
    assert listing(bubble_http, "invoice_item")["remaining"] == 253
    page = listing(bubble_http, "invoice_item", cursor=100)
    assert (page["count"], len(page["results"]), page["remaining"]) == (50, 50, 0)


def test_a_duplicate_page_repeats_the_previous_results(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.faults.add(Fault(kind="duplicate_page", nth=2, times=1))
    first = ids(bubble_http, "invoice_item", limit=10)
    assert ids(bubble_http, "invoice_item", limit=10, cursor=10) == first
    assert not set(ids(bubble_http, "invoice_item", limit=10, cursor=20)) & set(first)


def test_faults_can_be_about_the_ids_in_a_list(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    uid = bubble.store.ids("invoice")[3]
    bubble.faults.add(Fault(kind="status", status=500, ids=(uid,)))
    assert ask(bubble_http, "invoice").status_code == 200
    asked = {"key": "_id", "constraint_type": "in", "value": [uid]}
    assert ask(bubble_http, "invoice", asked).status_code == 500
    assert bubble_http.get(f"/obj/invoice/{uid}").status_code == 500
