"""Refusals before anything is read: tokens, types, lengths and limits."""

import time
from datetime import UTC, datetime

import httpx2
import pytest

from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.clock import ManualClock
from sync_pipeline_tests.fixtures.bubble import http_client
from sync_pipeline_tests.simulators.bubble.queries import ask, where

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "x"}])
def test_a_wrong_token_is_answered_in_the_other_shape(
    bubble: BubbleSimulator, header: dict[str, str]
):
    with httpx2.Client(base_url=bubble.url, headers=header, trust_env=False) as http:
        reply = http.get("/obj/invoice")
    assert reply.status_code == 401
    body = reply.json()
    assert set(body) == {"error_class", "args", "message", "translation"}
    assert (body["error_class"], body["message"]) == ("Unauthorized", None)
    assert body["args"]["code"]


def test_an_expired_user_token_is_named(bubble: BubbleSimulator):
    with http_client(bubble, token="bus|1700000000000x1|old") as http:
        translation = http.get("/obj/invoice").json()["translation"]
    assert translation == "Invalid or expired token: bus|1700000000000x1|old"


def test_the_token_may_come_as_a_parameter(bubble: BubbleSimulator):
    with httpx2.Client(base_url=bubble.url, trust_env=False) as http:
        assert http.get("/obj/agent", params={"api_token": bubble.token}).status_code == 200


@pytest.mark.parametrize("path", ["/obj/nope", "/obj/nope/1x2", "/obj/invoice_template"])
def test_an_unknown_type_is_not_found(bubble_http: httpx2.Client, path: str):
    reply = bubble_http.get(path)
    assert reply.status_code == 404
    assert reply.json()["body"]["status"] == "NOT_FOUND"


def test_a_type_that_is_not_exposed_is_not_found(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.disabled_types = ("Customer_Profile",)
    assert bubble_http.get("/obj/customer_profile").status_code == 404
    assert bubble_http.post("/obj/customer_profile", json={}).status_code == 404
    assert "customer_profile" not in bubble_http.get("/meta").json()["get"]


def test_a_long_url_is_refused(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    uids = [f"{1700000000000 + n}x{10**17 + n}" for n in range(250)]
    assert ask(bubble_http, "invoice", where("_id", "in", uids[:50])).status_code == 200
    assert ask(bubble_http, "invoice", where("_id", "in", uids)).status_code == 414
    bubble.options.url_limit = 100
    assert ask(bubble_http, "invoice", where("_id", "in", uids[:2])).status_code == 414


def test_calls_beyond_the_rate_are_refused_in_plain_text(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.rate_limit_per_minute = 3
    replies = [ask(bubble_http, "agent") for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert replies[-1].headers["content-type"].startswith("text/plain")
    assert "retry-after" not in replies[-1].headers


def test_a_refusal_may_say_when_to_come_back(company: Company):
    clock = ManualClock(NOON)
    with BubbleSimulator(company, clock=clock) as bubble, http_client(bubble) as http:
        bubble.options.update(
            {
                "rate_limit_per_minute": 1,
                "rate_limit_retry_after": True,
                "rate_limit_body": "json",
            }
        )
        assert ask(http, "agent").status_code == 200
        clock.advance(seconds=20)
        refused = ask(http, "agent")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
        assert refused.json()["statusCode"] == 429
        clock.advance(seconds=40)
        assert ask(http, "agent").status_code == 200


def test_the_window_of_the_rate_can_be_short(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    bubble.options.rate_limit_per_minute = 1
    bubble.options.rate_limit_window_s = 0.05
    assert ask(bubble_http, "agent").status_code == 200
    assert ask(bubble_http, "agent").status_code == 429
    time.sleep(0.06)
    assert ask(bubble_http, "agent").status_code == 200


def test_every_reply_carries_the_date_of_the_simulators_clock(company: Company):
    with BubbleSimulator(company, clock=ManualClock(NOON)) as bubble, http_client(bubble) as http:
        for reply in (ask(http, "agent"), ask(http, "nope"), ask(http, "agent", x="y" * 9_000)):
            assert reply.headers.get_list("date") == ["Fri, 20 Nov 2026 12:00:00 GMT"]


def test_latency_delays_every_call(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    bubble.options.latency_ms = 50
    started = time.perf_counter()
    ask(bubble_http, "agent")
    assert time.perf_counter() - started >= 0.05
