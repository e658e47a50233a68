"""Creating, changing and deleting through the API."""

from datetime import UTC, datetime

import httpx2
import orjson
import pytest

from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.records import ADMIN
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.clock import ManualClock
from sync_pipeline_tests.fixtures.bubble import http_client
from sync_pipeline_tests.simulators.bubble.queries import ids, read, where

NOON = datetime(2026, 11, 20, 12, 0, 0, 7_000, tzinfo=UTC)


@pytest.fixture
def invoice(company: Company) -> str:
    return company.of("invoice")[0]["_id"]


def test_a_created_thing_has_its_built_in_fields(company: Company):
    with BubbleSimulator(company, clock=ManualClock(NOON)) as bubble, http_client(bubble) as http:
        reply = http.post("/obj/payment", json={"Amount": 5, "Remark": "paid"})
        assert reply.status_code == 201
        assert reply.json()["status"] == "success"
        uid = reply.json()["id"]
        assert read(http, "payment", uid) == {
            "_id": uid,
            "Created Date": "2026-11-20T12:00:00.007Z",
            "Modified Date": "2026-11-20T12:00:00.007Z",
            "Created By": ADMIN,
            "Amount": 5,
            "Remark": "paid",
        }
        assert uid.startswith("1795176000007x")


def test_the_test_branch_signs_as_its_own_admin(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    reply = bubble_http.post(f"{bubble.branch_url('/version-test')}/obj/payment", json={})
    assert read(bubble_http, "payment", reply.json()["id"])["Created By"].endswith("_test")


def test_a_change_sets_some_fields_and_empties_others(company: Company, invoice: str):
    with BubbleSimulator(company, clock=ManualClock(NOON)) as bubble, http_client(bubble) as http:
        before = read(http, "invoice", invoice)
        reply = http.patch(f"/obj/invoice/{invoice}", json={"Logs": "new", "Invoice Date": None})
        assert (reply.status_code, reply.content) == (204, b"")
        changed = {"Logs": "new", "Modified Date": "2026-11-20T12:00:00.007Z"}
        expected = before | changed
        expected.pop("Invoice Date", None)
        assert read(http, "invoice", invoice) == expected


def test_a_replacement_empties_what_it_does_not_name(bubble_http: httpx2.Client, invoice: str):
    before = read(bubble_http, "invoice", invoice)
    assert bubble_http.put(f"/obj/invoice/{invoice}", json={"Amount": "7.5"}).status_code == 204
    after = read(bubble_http, "invoice", invoice)
    assert set(after) == {"_id", "Created Date", "Modified Date", "Created By", "Amount"}
    assert after["Amount"] == 7.5
    assert after["Created Date"] == before["Created Date"]
    assert after["Modified Date"] > before["Modified Date"]


def test_a_deleted_thing_is_missing(bubble_http: httpx2.Client, invoice: str):
    assert bubble_http.delete(f"/obj/invoice/{invoice}").status_code == 204
    reply = bubble_http.get(f"/obj/invoice/{invoice}")
    assert reply.status_code == 404
    assert reply.json() == {
        "statusCode": 404,
        "body": {
            "status": "MISSING_DATA",
            "message": f"Missing object of type invoice: object with id {invoice} does not exist",
        },
    }
    assert ids(bubble_http, "invoice", where("_id", "equals", invoice)) == []


@pytest.mark.parametrize("verb", ["GET", "PATCH", "PUT", "DELETE"])
def test_what_is_missing_cannot_be_read_or_changed(bubble_http: httpx2.Client, verb: str):
    reply = bubble_http.request(verb, "/obj/invoice/1x2", content=b"{}")
    assert reply.status_code == 404
    assert reply.json()["body"]["status"] == "MISSING_DATA"


@pytest.mark.parametrize("field", ["Nope", "amount", "Slug", "Modified Date", "_id"])
@pytest.mark.parametrize("verb", ["PATCH", "PUT"])
def test_fields_that_cannot_be_written_are_named(
    bubble_http: httpx2.Client, invoice: str, field: str, verb: str
):
    reply = bubble_http.request(verb, f"/obj/invoice/{invoice}", json={field: "x"})
    assert reply.status_code == 400
    assert reply.json() == {
        "statusCode": 400,
        "body": {"status": "ERROR", "message": f"Unrecognized field: {field}"},
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [("Amount", "much"), ("Invoice Date", "soon"), ("Paid?", "perhaps"), ("Linked Payment", "x")],
)
def test_values_of_the_wrong_kind_are_refused(
    bubble_http: httpx2.Client, invoice: str, field: str, value: str
):
    reply = bubble_http.patch(f"/obj/invoice/{invoice}", json={field: value})
    assert reply.status_code == 400
    assert field in reply.json()["body"]["message"]


@pytest.mark.parametrize(
    "value",
    ["2016-01-13T21:45:09Z", "Wed Jan 13 2016 16:45:09 GMT-0500 (EST)", "1452721509000"],
)
def test_dates_are_accepted_in_many_forms(bubble_http: httpx2.Client, invoice: str, value: str):
    bubble_http.patch(f"/obj/invoice/{invoice}", json={"Invoice Date": value})
    assert read(bubble_http, "invoice", invoice)["Invoice Date"] == "2016-01-13T21:45:09.000Z"


def test_yes_no_is_accepted_as_text(bubble_http: httpx2.Client, invoice: str):
    bubble_http.patch(f"/obj/invoice/{invoice}", json={"Paid?": "yes", "Need Approval": False})
    after = read(bubble_http, "invoice", invoice)
    assert (after["Paid?"], after["Need Approval"]) == (True, False)


@pytest.mark.parametrize("body", [b"{", b"[]", b""])
def test_a_body_that_is_no_object_is_refused(bubble_http: httpx2.Client, invoice: str, body: bytes):
    assert bubble_http.patch(f"/obj/invoice/{invoice}", content=body).status_code == 400


def test_bulk_creation_answers_line_by_line(bubble_http: httpx2.Client):
    lines = [b'{"Amount": 1}', b"{broken", b'{"Nope": 1}', b'{"Amount": 2}']
    reply = bubble_http.post(
        "/obj/payment/bulk", content=b"\n".join(lines), headers={"Content-Type": "text/plain"}
    )
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain")
    first, second, third, fourth = map(orjson.loads, reply.text.splitlines())
    assert read(bubble_http, "payment", first["id"])["Amount"] == 1
    assert second == {"status": "error", "message": "Could not parse as JSON: {broken"}
    assert third == {"status": "error", "message": "Unrecognized field: Nope"}
    assert fourth["status"] == "success"


@pytest.mark.parametrize(
    ("content", "content_type"), [(b'{"Amount":1}', "application/json"), (b"", "text/plain")]
)
def test_bulk_creation_wants_lines_of_plain_text(
    bubble_http: httpx2.Client, content: bytes, content_type: str
):
    reply = bubble_http.post(
        "/obj/payment/bulk", content=content, headers={"Content-Type": content_type}
    )
    assert reply.status_code == 400
    assert reply.json()["body"]["message"] == (
        "Expecting a newline-seperated list of JSON objects.  "
        "Make sure the Content-Type header is text/plain"
    )


def test_bulk_creation_stops_at_a_thousand_lines(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    reply = bubble_http.post(
        "/obj/payment/bulk", content=b"{}\n" * 1_001, headers={"Content-Type": "text/plain"}
    )
    statuses = [orjson.loads(line)["status"] for line in reply.text.splitlines()]
    assert statuses == ["success"] * 1_000 + ["error"]
    assert len(bubble.store.ids("payment")) == 1_052


def test_a_user_needs_an_address(bubble_http: httpx2.Client):
    assert bubble_http.post("/obj/user", json={"Dealership": "HQ"}).status_code == 400
    reply = bubble_http.post(
        "/obj/user", json={"email": "new@example.com", "password": "x", "Dealership": "HQ"}
    )
    user = read(bubble_http, "user", reply.json()["id"])
    assert user["authentication"]["email"]["email"] == "new@example.com"
    assert "password" not in user


@pytest.mark.parametrize(
    ("verb", "path", "translation"),
    [
        ("POST", "/obj/payment", "Permission denied: cannot create this object"),
        ("POST", "/obj/payment/bulk", "Permission denied: cannot create this object"),
        ("PATCH", "/obj/payment/1x2", "Permission denied: cannot modify this object"),
        ("DELETE", "/obj/payment/1x2", "You do not have permission to delete this object"),
    ],
)
def test_without_permission_writes_are_refused(
    bubble: BubbleSimulator, bubble_http: httpx2.Client, verb: str, path: str, translation: str
):
    bubble.options.read_only = True
    reply = bubble_http.request(verb, path, content=b"{}")
    assert reply.status_code == 401
    assert reply.json()["translation"] == translation


def test_a_search_sees_a_write_only_after_the_lag(company: Company, invoice: str):
    clock = ManualClock(NOON)
    with BubbleSimulator(company, clock=clock) as bubble, http_client(bubble) as http:
        bubble.options.index_lag_ms = 2_000
        since = where("Modified Date", "greater than", "2026-11-20")
        http.patch(f"/obj/invoice/{invoice}", json={"Logs": "late"})
        assert read(http, "invoice", invoice)["Logs"] == "late"
        assert ids(http, "invoice", since) == []
        assert ids(http, "invoice", where("Logs", "equals", "late")) == []
        clock.advance(seconds=2)
        assert ids(http, "invoice", since) == [invoice]


def test_with_the_lag_new_things_come_and_deleted_ones_go_late(company: Company, invoice: str):
    clock = ManualClock(NOON)
    with BubbleSimulator(company, clock=clock) as bubble, http_client(bubble) as http:
        bubble.options.index_lag_ms = 2_000
        created = bubble.store.create("invoice", {})
        bubble.store.delete("invoice", invoice)
        both = where("_id", "in", [created, invoice])
        assert http.get(f"/obj/invoice/{invoice}").status_code == 404
        assert ids(http, "invoice", both) == [invoice]
        clock.advance(seconds=2)
        assert ids(http, "invoice", both) == [created]
