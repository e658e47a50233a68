"""Errors, rate headers, and the calls of an embedded sign-up."""

from typing import Any

import httpx2
import orjson
import pytest

from sync_pipeline.simulators.meta_assets.api import APP_ID, APP_SECRET
from sync_pipeline.simulators.meta_assets.errors import GraphError
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline_tests.fixtures.meta_assets import NORTH


def error_of(http: httpx2.Client, path: str = f"{NORTH}/phone_numbers") -> dict[str, Any]:
    reply = http.get(path)
    assert reply.status_code == 400
    return reply.json()["error"]


def test_an_expired_token_is_a_bad_request_with_a_trace_of_its_own_each_time(
    meta: MetaSimulator, graph_http: httpx2.Client
) -> None:
    meta.accounts.break_token(meta.token)
    first, second = error_of(graph_http), error_of(graph_http)
    assert (first["type"], first["code"], first["error_subcode"]) == ("OAuthException", 190, 463)
    assert "The current time is" in first["message"]
    assert first["fbtrace_id"] != second["fbtrace_id"]
    meta.accounts.restore_token(meta.token)
    assert graph_http.get(f"{NORTH}/phone_numbers").status_code == 200


def test_tokens_that_never_were_are_refused_too(meta: MetaSimulator) -> None:
    with httpx2.Client(base_url=meta.url, trust_env=False, verify=False) as http:
        assert error_of(http)["code"] == 104
        assert error_of(http, f"{NORTH}/phone_numbers?access_token=EAAnone")["code"] == 190


def test_a_permission_can_be_withheld(meta: MetaSimulator, graph_http: httpx2.Client) -> None:
    meta.accounts.withhold(meta.token)
    reply = graph_http.get(NORTH)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, 200)


@pytest.mark.parametrize("echo", ["plain", "quoted"])
def test_an_error_may_repeat_the_token(
    meta: MetaSimulator, graph_http: httpx2.Client, echo: Any
) -> None:
    meta.options.echo = echo
    assert meta.token in error_of(graph_http, "999")["message"]


def test_errors_can_be_armed_for_some_calls(meta: MetaSimulator, graph_http: httpx2.Client) -> None:
    limit = GraphError(code=4, subcode=2446079, message="Too many", status=429, transient=True)
    meta.errors.arm(limit, times=1, path="phone_numbers")
    reply = graph_http.get(f"{NORTH}/phone_numbers")
    assert reply.status_code == 429
    assert reply.json()["error"] == {
        "message": "Too many",
        "type": "OAuthException",
        "code": 4,
        "error_subcode": 2446079,
        "is_transient": True,
        "fbtrace_id": reply.json()["error"]["fbtrace_id"],
    }
    assert graph_http.get(f"{NORTH}/phone_numbers").status_code == 200


def test_headers_have_the_usage(meta: MetaSimulator, graph_http: httpx2.Client) -> None:
    meta.options.update({"app_usage": 81, "business_usage": 97, "regain_minutes": 3})
    headers = graph_http.get(f"{NORTH}/phone_numbers").headers
    assert orjson.loads(headers["x-app-usage"])["call_count"] == 81
    (cases,) = orjson.loads(headers["x-business-use-case-usage"]).values()
    assert cases[0]["total_time"] == 97
    assert cases[0]["estimated_time_to_regain_access"] == 3
    meta.options.update({"app_usage": None, "business_usage": None})
    assert "x-app-usage" not in graph_http.get(f"{NORTH}/phone_numbers").headers


def test_a_sign_up_is_exchanged_subscribed_and_registered(
    meta: MetaSimulator, graph_http: httpx2.Client
) -> None:
    phone = "900719925474099555"
    meta.accounts.connect("900719925474099777", (phone,), "EAAnewcomer", code="once")
    app = {"client_id": APP_ID, "client_secret": APP_SECRET, "code": "once"}
    token = graph_http.get("oauth/access_token", params=app).json()["access_token"]
    assert graph_http.get("oauth/access_token", params=app).json()["error"]["code"] == 100
    header = {"Authorization": f"Bearer {token}"}
    meta.accounts.change(phone, status="PENDING")
    assert graph_http.post("900719925474099777/subscribed_apps", headers=header).json() == {
        "success": True
    }
    wrong = graph_http.post(f"{phone}/register", headers=header, json={"pin": "1"})
    assert wrong.json()["error"]["code"] == 100
    body = {"messaging_product": "whatsapp", "pin": "123456"}
    assert graph_http.post(f"{phone}/register", headers=header, json=body).json()["success"]
    status = graph_http.get(phone, params={"fields": "status"}, headers=header).json()["status"]
    assert status == "CONNECTED"
