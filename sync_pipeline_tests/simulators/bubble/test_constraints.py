"""Constraints: every type of them, the three spellings of keys, and what is refused."""

from typing import Any

import httpx2
import pytest

from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline_tests.simulators.bubble.queries import ask, ids, results, where


def expected(company: Company, kind: str, keep: Any) -> set[str]:
    return {record["_id"] for record in company.of(kind) if keep(record)}


@pytest.mark.parametrize("key", ["Panel Qty", "panelqty", "panel_qty_number"])
def test_keys_have_three_spellings(bubble_http: httpx2.Client, company: Company, key: str):
    found = ids(bubble_http, "invoice", where(key, "equals", 20))
    assert set(found) == expected(company, "invoice", lambda r: str(r.get("Panel Qty")) == "20")


@pytest.mark.parametrize("key", ["Commission Paid?", "commissionpaid?", "commissionpaid"])
def test_punctuation_may_stay_or_go_in_squeezed_keys(bubble_http: httpx2.Client, key: str):
    assert ids(bubble_http, "invoice", where(key, "equals", True))


@pytest.mark.parametrize("key", ["Modified Date", "modifieddate"])
def test_greater_and_less_are_strict(bubble_http: httpx2.Client, company: Company, key: str):
    edge = sorted(invoice["Modified Date"] for invoice in company.of("invoice"))[40]
    above = set(ids(bubble_http, "invoice", where(key, "greater than", edge)))
    below = set(ids(bubble_http, "invoice", where(key, "less than", edge)))
    assert above == expected(company, "invoice", lambda r: r["Modified Date"] > edge)
    assert below == expected(company, "invoice", lambda r: r["Modified Date"] < edge)


def test_all_constraints_must_hold(bubble_http: httpx2.Client, company: Company):
    found = results(
        bubble_http,
        "invoice",
        where("Created Date", "greater than", "2024-06-01"),
        where("Modified Date", "less than", "2026-06-01T00:00:00.000Z"),
        where("Paid?", "equals", "true"),
        sort_field="Modified Date",
    )
    assert {invoice["_id"] for invoice in found} == expected(
        company,
        "invoice",
        lambda r: (
            r["Created Date"] > "2024-06-01" and r["Modified Date"] < "2026-06" and r.get("Paid?")
        ),
    )


@pytest.mark.parametrize(
    ("constraint_type", "value", "keep"),
    [
        ("equals", "PV CUSTOMER", lambda v: v == "PV CUSTOMER"),
        ("not equal", "PV CUSTOMER", lambda v: v != "PV CUSTOMER"),
        ("is_empty", None, lambda v: v is None),
        ("is_not_empty", None, lambda v: v is not None),
        ("in", ["BUSINESS", "ACTIVE"], lambda v: v in ("BUSINESS", "ACTIVE")),
        ("not in", ["BUSINESS", "ACTIVE"], lambda v: v not in ("BUSINESS", "ACTIVE")),
        ("greater than", "B", lambda v: v is not None and v > "B"),
        ("less than", "B", lambda v: v is not None and v < "B"),
        ("text contains", "deleted", lambda v: "DELETED" in (v or "")),
        ("not text contains", "the deleted", lambda v: "DELETED" not in (v or "")),
    ],
)
def test_constraints_on_texts(
    bubble_http: httpx2.Client, company: Company, constraint_type: str, value: Any, keep: Any
):
    found = ids(bubble_http, "invoice", where("Type", constraint_type, value))
    assert set(found) == expected(company, "invoice", lambda r: keep(r.get("Type")))


def test_text_search_finds_words_by_their_stem_and_not_by_their_beginning(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    uid = bubble.store.create("invoice", {"Logs": "Two panels were cracked"})
    assert ids(bubble_http, "invoice", where("Logs", "text contains", "cracking panel")) == [uid]
    assert ids(bubble_http, "invoice", where("Logs", "text contains", "crac")) == []


@pytest.mark.parametrize(
    ("constraint_type", "keep"),
    [
        ("contains", lambda uids, uid: uid in uids),
        ("not contains", lambda uids, uid: uid not in uids),
        ("empty", lambda uids, _: not uids),
        ("not empty", lambda uids, _: bool(uids)),
    ],
)
def test_constraints_on_lists(
    bubble_http: httpx2.Client, company: Company, constraint_type: str, keep: Any
):
    uid = next(i["Linked Payment"][0] for i in company.of("invoice") if "Linked Payment" in i)
    found = ids(bubble_http, "invoice", where("Linked Payment", constraint_type, uid))
    wanted = expected(company, "invoice", lambda r: keep(r.get("Linked Payment", []), uid))
    assert set(found) == wanted


def test_a_list_of_ids_finds_those_that_exist(bubble_http: httpx2.Client, company: Company):
    wanted = [invoice["_id"] for invoice in company.of("invoice")[:40]]
    gone = "1700000000000x123456789012345678"
    assert set(ids(bubble_http, "invoice", where("_id", "in", [*wanted, gone]))) == set(wanted)
    assert ids(bubble_http, "invoice", where("_id", "equals", wanted[3])) == [wanted[3]]


def test_links_are_found_by_lists_of_ids(bubble_http: httpx2.Client, company: Company):
    owners = [invoice["_id"] for invoice in company.of("invoice")[:10]]
    found = ids(bubble_http, "invoice_item", where("Linked Invoice", "in", owners))
    assert set(found) == expected(
        company, "invoice_item", lambda r: r.get("Linked Invoice") in owners
    )


@pytest.mark.parametrize("value", [20, 20.0, "20"])
def test_numbers_may_come_as_texts(bubble_http: httpx2.Client, company: Company, value: Any):
    found = ids(bubble_http, "invoice", where("Panel Qty", "greater than", value))
    assert set(found) == expected(company, "invoice", lambda r: float(r.get("Panel Qty", 0)) > 20)


@pytest.mark.parametrize("value", ["2025-01-01", "01/01/2025", "1735689600000", 1735689600000])
def test_dates_may_come_in_many_forms(bubble_http: httpx2.Client, company: Company, value: Any):
    found = ids(bubble_http, "invoice", where("Invoice Date", "less than", value))
    assert set(found) == expected(
        company, "invoice", lambda r: r.get("Invoice Date", "9") < "2025-01-01"
    )


@pytest.mark.parametrize(
    ("key", "constraint_type", "database_name"),
    [
        ("Dealercode", "contains", "dealercode_text"),
        ("Paid?", "greater than", "paid__boolean"),
        ("Linked Payment", "text contains", "linked_payment_list_custom_payment"),
        ("Linked Customer", "less than", "linked_customer_custom_customer_profile"),
        ("Amount", "geographic_search", "amount_number"),
        ("Amount", "almost", "amount_number"),
    ],
)
def test_a_constraint_that_does_not_suit_the_field_is_not_found(
    bubble_http: httpx2.Client, key: str, constraint_type: str, database_name: str
):
    reply = ask(bubble_http, "invoice", where(key, constraint_type, 1))
    message = f"{constraint_type} for field {database_name} and type invoice"
    assert reply.status_code == 404
    assert reply.json() == {
        "statusCode": 404,
        "body": {"status": "NOT_FOUND", "message": f"Constraint type not found {message}"},
    }


def test_an_unknown_key_is_not_found(bubble_http: httpx2.Client):
    reply = ask(bubble_http, "invoice", where("Nope", "equals", 1))
    assert reply.status_code == 404
    assert reply.json()["body"]["message"] == "Field not found Nope for type invoice"


@pytest.mark.parametrize(
    "constraints",
    [
        "[{",
        '{"key": "_id"}',
        "[1]",
        '[{"key":"Amount","constraint_type":"in","value":1}]',
        '[{"key":"Amount","constraint_type":"equals","value":"much"}]',
        '[{"key":"Amount","constraint_type":"greater than"}]',
    ],
)
def test_unreadable_constraints_are_refused(bubble_http: httpx2.Client, constraints: str):
    reply = bubble_http.get("/obj/invoice", params={"constraints": constraints})
    assert reply.status_code == 400
    assert reply.json()["statusCode"] == 400


def test_a_malformed_constraint_is_refused_or_overlooked_by_switch(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    misspelt = {"key": "Modified Date", "constraint": "greater than", "value": "2030-01-01"}
    assert ask(bubble_http, "invoice", misspelt).status_code == 400
    bubble.options.malformed_constraint = "overlook"
    assert len(ids(bubble_http, "invoice", misspelt)) == 86


def test_a_constraint_that_privacy_forbids_is_silently_not_applied(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.unconstrainable_fields = ("Modified Date",)
    assert (
        len(ids(bubble_http, "invoice", where("modifieddate", "greater than", "2030-01-01"))) == 86
    )
