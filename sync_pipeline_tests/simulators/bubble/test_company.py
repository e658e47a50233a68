"""The invented data: the same for a seed, of the size and with the dirt of the real company."""

import hashlib
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import orjson
import pytest

from sync_pipeline.simulators.bubble.catalogue import TYPES
from sync_pipeline.simulators.bubble.company import Company, make_company
from sync_pipeline.simulators.bubble.dates import REFERENCE_NOW, iso, milliseconds
from sync_pipeline.simulators.bubble.records import ADMIN

# On one worker, so that the full company is made once.
pytestmark = pytest.mark.xdist_group("full company")

LINKS = {
    "Linked Invoice": "invoice",
    "Linked Payment": "payment",
    "Linked Invoice Item": "invoice_item",
    "Linked Customer": "customer_profile",
}


@pytest.fixture(scope="module")
def full() -> Company:
    return make_company()


def fingerprint(company: Company) -> str:
    return hashlib.sha256(orjson.dumps(company.records)).hexdigest()


def all_records(company: Company) -> list[dict[str, Any]]:
    return [record for records in company.records.values() for record in records]


def holding(company: Company, kind: str, field: str) -> list[Any]:
    return [record[field] for record in company.of(kind) if field in record]


def test_the_same_seed_gives_the_same_company(company: Company):
    assert fingerprint(make_company(1, company.scale)) == fingerprint(company)
    assert fingerprint(make_company(2, company.scale)) != fingerprint(company)


def test_another_process_with_other_hashing_makes_the_same_company(company: Company):
    program = (
        "import hashlib, orjson\n"
        "from sync_pipeline.simulators.bubble.company import make_company\n"
        f"records = make_company(1, {company.scale}).records\n"
        "print(hashlib.sha256(orjson.dumps(records)).hexdigest())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "4711"},
    )
    assert run.stdout.strip() == fingerprint(company)


def test_a_copy_has_records_of_its_own(company: Company):
    before = fingerprint(company)
    company.copy().of("invoice")[0]["Linked Invoice Item"] = []
    assert fingerprint(company) == before


def test_a_company_too_small_for_what_is_planted_is_refused():
    with pytest.raises(ValueError, match="too small"):
        make_company(scale=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_company_of_any_seed_has_everything_planted(seed: int):
    company = make_company(seed, 0.01)
    assert len(company.unconvertible) == 3
    assert len(company.planted_links.ambiguous) == 2


def test_the_full_company_has_the_counts_of_the_audit(full: Company):
    assert {name: len(records) for name, records in full.records.items()} == {
        "agent": 161,
        "customer_profile": 4_494,
        "user": 142,
        "invoice": 4_300,
        "payment": 2_578,
        "submit_payment": 3,
        "invoice_item": 17_668,
        "seda_registration": 3_490,
    }


def test_every_field_of_the_catalogue_is_filled_somewhere_and_no_other(full: Company):
    for kind in TYPES:
        filled = set().union(*(record.keys() for record in full.of(kind.name)))
        declared = {field.display for field in kind.fields}
        built_in = {"_id", "Created Date", "Modified Date", "Created By"}
        assert filled - built_in == declared, kind.display


def test_empty_fields_are_left_out(full: Company):
    assert not [v for record in all_records(full) for v in record.values() if v in (None, "", [])]


def test_ids_are_unique_and_begin_with_the_instant_of_creation(full: Company):
    records = all_records(full)
    assert len({record["_id"] for record in records}) == len(records)
    for record in records:
        assert re.fullmatch(r"\d{13}x\d{18}", record["_id"])
        assert record["Created Date"] == iso(int(record["_id"][:13]))


def test_dates_run_from_creation_to_modification_to_the_fixed_now(full: Company):
    for record in all_records(full):
        assert record["Created Date"] <= record["Modified Date"]
        assert record["Modified Date"] < iso(milliseconds(REFERENCE_NOW))


@pytest.mark.parametrize("field", ["Created Date", "Modified Date"])
@pytest.mark.parametrize("kind", ["Customer_Profile", "invoice", "invoice_item"])
def test_hundreds_of_records_share_an_instant(full: Company, kind: str, field: str):
    assert max(Counter(holding(full, kind, field)).values()) > 200


def test_61_percent_of_invoices_have_lost_their_side_of_the_seda_link(full: Company):
    listed = {uid for uids in holding(full, "seda_registration", "Linked Invoice") for uid in uids}
    invoices = [invoice for invoice in full.of("invoice") if invoice["_id"] in listed]
    lost = sum("Linked SEDA registration" not in invoice for invoice in invoices)
    assert lost / len(invoices) == pytest.approx(0.613, abs=0.002)


def test_half_of_the_registrations_have_no_customer(full: Company):
    share = len(holding(full, "seda_registration", "Linked Customer")) / 3_490
    assert share == pytest.approx(0.51, abs=0.03)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("invoice", "Linked Payment"),
        ("invoice", "Linked Invoice Item"),
        ("seda_registration", "Linked Invoice"),
    ],
)
def test_lists_hold_ids_twice_and_ids_of_nothing(full: Company, kind: str, field: str):
    known = {record["_id"] for record in all_records(full)}
    lists = holding(full, kind, field)
    assert any(len(set(uids)) < len(uids) for uids in lists)
    assert any(uid not in known for uids in lists for uid in uids)


@pytest.mark.parametrize(
    ("kind", "field"), [("invoice", "Linked Customer"), ("payment", "Linked Invoice")]
)
def test_some_links_dangle(full: Company, kind: str, field: str):
    known = {record["_id"] for record in full.of(LINKS[field])}
    links = holding(full, kind, field)
    assert 0 < sum(uid not in known for uid in links) < len(links) * 0.03


def test_some_invoices_name_the_login_instead_of_the_agent(full: Company):
    logins = {user["_id"] for user in full.of("user")}
    agents = {agent["_id"] for agent in full.of("agent")}
    named = holding(full, "invoice", "Linked Agent")
    assert 0.02 < sum(uid in logins for uid in named) / len(named) < 0.08
    assert sum(uid in agents for uid in named) / len(named) > 0.9


def test_agents_and_logins_name_each_other(full: Company):
    users = {user["_id"]: user for user in full.of("user")}
    pairs = [
        (agent["_id"], users[agent["Linked User Login"]]["Linked Agent Profile"])
        for agent in full.of("agent")
        if agent.get("Linked User Login") in users
    ]
    assert len(pairs) > 100
    assert all(agent == back for agent, back in pairs)


def test_all_submitted_payments_stand_among_the_payments_of_invoices(full: Company):
    listed = {uid for uids in holding(full, "invoice", "Linked Payment") for uid in uids}
    assert {payment["_id"] for payment in full.of("submit_payment")} <= listed


def test_customers_have_both_numbers_or_one_or_none(full: Company):
    kinds = Counter(("Contact" in c, "Whatsapp" in c) for c in full.of("Customer_Profile"))
    assert min(kinds.values()) > 300
    assert len(kinds) == 4


def test_logins_nest_their_address_and_some_have_none(full: Company):
    users = full.of("user")
    nested = [user["authentication"] for user in users if "authentication" in user]
    assert 0 < len(nested) < len(users)
    assert all(set(each["email"]) == {"email", "email_confirmed"} for each in nested)


def test_the_values_have_the_defects_of_the_real_ones(full: Company):
    types = set(holding(full, "invoice", "Type"))
    assert {" PV CUSTOMER", "DELETED @ PV CUSTOMER"} <= types
    assert 9.9 in holding(full, "seda_registration", "System Size")
    assert 941.25 in holding(full, "seda_registration", "Average TNB")
    assert any(isinstance(value, str) for value in holding(full, "invoice", "Panel Qty"))
    assert any(len(value) == 10 for value in holding(full, "invoice", "Invoice Date"))
    assert any(isinstance(value, str) for value in holding(full, "invoice", "Need Approval"))
    assert "E-WALLET" in holding(full, "payment", "Payment Method V2")
    assert ADMIN in holding(full, "invoice", "Created By")


def test_texts_carry_what_is_hard_to_carry(full: Company):
    text = "".join(holding(full, "invoice", "Logs") + holding(full, "payment", "Remark"))
    for awkward in ("\n", "\r\n", "\t", "\\", '"', "'", "👨‍👩‍👧", "客", "{"):
        assert awkward in text
    assert "\x00" not in text


def test_exactly_three_records_cannot_be_converted(full: Company):
    values = [
        next(r for r in full.of(bad.type) if r["_id"] == bad.uid)[bad.field]
        for bad in full.unconvertible
    ]
    assert values == ["abc", "n/a", "to be confirmed"]
    numbers = [q for q in holding(full, "invoice_item", "QTY") if isinstance(q, str)]
    amounts = [a for a in holding(full, "payment", "Amount") if isinstance(a, str)]
    assert numbers == ["abc"]
    assert [a for a in amounts if not a.replace(".", "").isdigit()] == ["n/a"]


def test_two_registrations_claim_the_same_invoice(full: Company):
    registrations = {r["_id"]: r for r in full.of("seda_registration")}
    invoices = {i["_id"]: i for i in full.of("invoice")}
    held, free = full.planted_links.ambiguous
    for case in (held, free):
        for uid in case.registrations:
            assert registrations[uid]["Linked Invoice"] == [case.invoice]
    assert invoices[held.invoice]["Linked SEDA registration"] == held.linked_to
    assert "Linked SEDA registration" not in invoices[free.invoice]


def test_a_registration_without_customer_has_two_invoices_of_the_same_age(full: Company):
    tied = full.planted_links.tied
    one, other = (next(i for i in full.of("invoice") if i["_id"] == uid) for uid in tied.invoices)
    registration = next(r for r in full.of("seda_registration") if r["_id"] == tied.registration)
    assert "Linked Customer" not in registration
    assert registration["Linked Invoice"] == [one["_id"], other["_id"]]
    assert one["Created Date"] == other["Created Date"]
    assert (one["Linked Customer"], other["Linked Customer"]) == tied.customers
    assert tied.customers[0] != tied.customers[1]
