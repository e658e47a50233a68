"""The admin API over HTTP, and the editor's actions that it offers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline_tests.simulators.bubble.queries import ask, ids, listing, read, results, where


@pytest.fixture
def admin(bubble: BubbleSimulator, bubble_http: httpx2.Client) -> Any:
    def call(verb: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        reply = bubble_http.request(verb, f"{bubble.admin_url}/{path}", json=body)
        assert reply.status_code == status, reply.text
        return reply.json()

    return call


def test_options_are_read_and_set(admin: Any, bubble: BubbleSimulator):
    assert admin("GET", "options")["cursor_cap"] == 50_000
    changes = {"index_lag_ms": 5, "disabled_types": ["agent"], "rate_limit_per_minute": None}
    assert admin("PUT", "options", changes)["index_lag_ms"] == 5
    assert (bubble.options.index_lag_ms, bubble.options.disabled_types) == (5, ("agent",))


@pytest.mark.parametrize(
    "changes",
    [
        {"latency": 1},
        {"latency_ms": "long"},
        {"read_only": 1},
        {"page_limit": True},
        {"rate_limit_per_minute": 1.5},
        {"malformed_constraint": "hide"},
        {"edit_kinds": ["rename"]},
    ],
)
def test_options_that_do_not_fit_change_nothing(
    admin: Any, bubble: BubbleSimulator, changes: dict[str, Any]
):
    before = bubble.options.as_dict()
    error = admin("PUT", "options", {"cursor_cap": 1, **changes}, status=400)["error"]
    assert next(iter(changes)) in error
    assert bubble.options.as_dict() == before


def test_faults_are_armed_listed_and_cleared(admin: Any, bubble_http: httpx2.Client):
    fault = {"kind": "status", "status": 502, "type": "invoice", "ids": [], "nth": 2}
    admin("POST", "faults", [fault])
    assert [ask(bubble_http, "invoice").status_code for _ in range(3)] == [200, 502, 502]
    listed = admin("GET", "faults")
    assert (listed[0]["seen"], listed[0]["fired"]) == (3, 2)
    admin("DELETE", "faults")
    assert ask(bubble_http, "invoice").status_code == 200
    admin("POST", "faults", {"kind": "explode"}, status=400)


def test_statistics_tell_what_was_asked(admin: Any, bubble_http: httpx2.Client):
    body = ask(bubble_http, "Customer_Profile", limit=2).content
    missing = bubble_http.get("/obj/payment/1x2").content
    assert admin("GET", "stats") == {
        "total": 2,
        "by_type": {"customer_profile": 1, "payment": 1},
        "by_path": {"GET /obj/customer_profile": 1, "GET /obj/payment/{id}": 1},
        "by_status": {"200": 1, "404": 1},
        "bytes": len(body) + len(missing),
        "max_concurrent": 1,
    }
    admin("POST", "reset-stats")
    assert admin("GET", "stats")["total"] == 0


def test_statistics_know_how_many_calls_were_under_way_at_once(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.latency_ms = 100
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda _: ask(bubble_http, "agent"), range(4)))
    assert bubble.stats.max_concurrent == 4


def test_statistics_keep_the_calls_themselves(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    ask(bubble_http, "invoice", where("_id", "in", ["1x2"]))
    (entry,) = bubble.stats.recent
    assert (entry.outcome, entry.call.method, entry.call.type) == ("200", "GET", "invoice")
    assert '"value":["1x2"]' in entry.call.url


def test_an_edit_stores_any_value_and_is_noted(admin: Any, bubble: BubbleSimulator):
    uid = bubble.store.ids("invoice")[0]
    before = bubble.store.get("invoice", uid)
    values = {"Amount": "a lot", "A new field": 1}
    admin("POST", "edit", {"type": "invoice", "id": uid, "set": values, "unset": ["Logs", "Type"]})
    after = bubble.store.get("invoice", uid)
    assert (after["Amount"], after["A new field"]) == ("a lot", 1)
    assert not {"Logs", "Type"} & after.keys()
    assert after["Modified Date"] > before["Modified Date"]
    (change,) = admin("GET", "journal")
    assert (change["uid"], change["action"], change["origin"]) == (uid, "modified", "editor")


def test_things_are_created_and_deleted(admin: Any, bubble_http: httpx2.Client):
    uid = admin("POST", "create", {"type": "Customer_Profile", "set": {"Name": "Contoh"}})["id"]
    assert read(bubble_http, "customer_profile", uid)["Name"] == "Contoh"
    admin("POST", "delete", {"type": "customer_profile", "id": uid})
    assert bubble_http.get(f"/obj/customer_profile/{uid}").status_code == 404
    admin("POST", "delete", {"type": "customer_profile", "id": uid}, status=404)
    admin("POST", "delete", {"type": "customer_profile"}, status=400)


def test_a_hidden_field_is_missing_from_all_responses(admin: Any, bubble_http: httpx2.Client):
    uid = ids(bubble_http, "invoice", where("Amount", "is_not_empty"), limit=1)[0]
    admin("POST", "hide-field", {"type": "invoice", "field": "Amount"})
    assert not [invoice for invoice in results(bubble_http, "invoice") if "Amount" in invoice]
    assert "Amount" not in read(bubble_http, "invoice", uid)
    assert ask(bubble_http, "invoice", where("Amount", "is_empty")).status_code == 404
    assert bubble_http.patch(f"/obj/invoice/{uid}", json={"Amount": 1}).status_code == 400
    admin("POST", "unhide-field", {"type": "invoice", "field": "Amount"})
    assert "Amount" in read(bubble_http, "invoice", uid)


def test_a_renamed_field_changes_its_key_at_once(admin: Any, bubble_http: httpx2.Client):
    (before,) = results(bubble_http, "invoice", where("Amount", "is_not_empty"), limit=1)
    uid = before["_id"]
    admin("POST", "rename-field", {"type": "invoice", "field": "Amount", "to": "Grand Total"})
    after = read(bubble_http, "invoice", uid)
    assert after["Grand Total"] == before["Amount"]
    assert "Amount" not in after
    assert listing(bubble_http, "invoice", where("grandtotal", "is_not_empty"))["count"] > 0
    assert listing(bubble_http, "invoice", where("amount_number", "is_not_empty"))["count"] > 0
    assert ask(bubble_http, "invoice", where("Amount", "is_empty")).status_code == 404
    assert bubble_http.patch(f"/obj/invoice/{uid}", json={"Grand Total": 1}).status_code == 204
    admin("POST", "rename-field", {"type": "invoice", "field": "Nope", "to": "x"}, status=400)


def test_the_admin_api_is_neither_counted_nor_disturbed(admin: Any, bubble: BubbleSimulator):
    admin("POST", "faults", {"kind": "reset"})
    admin("PUT", "options", {"latency_ms": 10_000, "rate_limit_per_minute": 0, "url_limit": 1})
    assert admin("GET", "stats")["total"] == 0
