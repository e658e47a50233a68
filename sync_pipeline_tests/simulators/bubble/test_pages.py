"""Reading pages: the envelope, the cursor and its cap, and the order."""

import httpx2
import pytest

from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline_tests.simulators.bubble.queries import (
    BY_ID,
    ask,
    ids,
    listing,
    read,
    results,
    scan,
)


def test_a_page_says_its_rank_its_size_and_what_is_left(bubble_http: httpx2.Client):
    page = listing(bubble_http, "invoice", cursor=10, limit=5)
    assert (page["cursor"], page["count"], page["remaining"]) == (10, 5, 86 - 15)
    assert len(page["results"]) == 5


@pytest.mark.parametrize("limit", [None, 101, 10_000_000])
def test_a_page_has_100_results_whatever_is_asked(bubble_http: httpx2.Client, limit: int | None):
    parameters = {} if limit is None else {"limit": limit}
    assert listing(bubble_http, "invoice_item", **parameters)["count"] == 100


def test_a_limit_of_minus_one_counts_minus_one(bubble_http: httpx2.Client):
    page = listing(bubble_http, "invoice", limit=-1)
    assert (page["results"], page["count"]) == ([], -1)


def test_a_limit_that_is_no_number_is_refused(bubble_http: httpx2.Client):
    assert ask(bubble_http, "invoice", limit="many").status_code == 400


def test_a_cursor_past_the_end_finds_nothing_and_leaves_nothing(bubble_http: httpx2.Client):
    page = listing(bubble_http, "invoice", cursor=500)
    assert (page["results"], page["remaining"]) == ([], 0)


@pytest.mark.parametrize("kind", ["Customer_Profile", "customer_profile", "CUSTOMER_PROFILE"])
def test_types_answer_in_any_case(bubble_http: httpx2.Client, kind: str):
    assert listing(bubble_http, kind, limit=1)["remaining"] == 89


@pytest.mark.parametrize("branch", ["", "/version-live", "/version-test"])
def test_every_branch_answers(bubble: BubbleSimulator, bubble_http: httpx2.Client, branch: str):
    assert bubble_http.get(f"{bubble.branch_url(branch)}/obj/agent").status_code == 200


def test_a_listing_shows_the_records_as_they_are(bubble_http: httpx2.Client, company: Company):
    shown = results(bubble_http, "user")
    assert sorted(shown, key=lambda user: user["_id"]) == sorted(
        company.of("user"), key=lambda user: user["_id"]
    )


def test_a_single_record_comes_in_its_own_envelope(bubble_http: httpx2.Client, company: Company):
    invoice = company.of("invoice")[0]
    assert read(bubble_http, "invoice", invoice["_id"]) == invoice


def test_past_the_cap_nothing_comes_and_much_remains(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.cursor_cap = 150
    assert listing(bubble_http, "invoice_item", cursor=100)["count"] == 50
    page = listing(bubble_http, "invoice_item", cursor=150)
    assert (page["results"], page["count"], page["remaining"]) == ([], 0, 353 - 150)


def test_the_cap_itself_answers_where_so_switched(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    bubble.options.cursor_cap = 150
    bubble.options.cursor_cap_answers = True
    assert listing(bubble_http, "invoice_item", cursor=150)["count"] == 100
    assert listing(bubble_http, "invoice_item", cursor=151)["count"] == 0


def test_remaining_can_be_left_out(bubble: BubbleSimulator, bubble_http: httpx2.Client):
    assert "remaining" not in listing(bubble_http, "invoice", exclude_remaining="true")
    bubble.options.exclude_remaining_drops_key = False
    assert listing(bubble_http, "invoice", exclude_remaining="true")["remaining"] == 0


def test_the_order_is_creation_unless_asked(bubble_http: httpx2.Client):
    created = [item["Created Date"] for item in results(bubble_http, "invoice_item")]
    assert created == sorted(created)


@pytest.mark.parametrize("key", ["Modified Date", "modifieddate"])
@pytest.mark.parametrize("descending", ["false", "true"])
def test_sorting_goes_both_ways(bubble_http: httpx2.Client, key: str, descending: str):
    found = results(bubble_http, "invoice", sort_field=key, descending=descending)
    dates = [invoice["Modified Date"] for invoice in found]
    assert dates == sorted(dates, reverse=descending == "true")


def test_sorting_by_several_fields(bubble_http: httpx2.Client):
    further = '[{"sort_field":"Invoice ID","descending":"true"}]'
    found = results(bubble_http, "invoice", sort_field="Paid?", additional_sort_fields=further)
    keys = [("Paid?" not in i, i.get("Paid?", False), -i["Invoice ID"]) for i in found]
    assert keys == sorted(keys)


def test_lists_cannot_be_sorted_by(bubble_http: httpx2.Client):
    assert ask(bubble_http, "invoice", sort_field="Linked Payment").status_code == 400


def test_broken_sort_fields_are_refused(bubble_http: httpx2.Client):
    assert ask(bubble_http, "invoice", additional_sort_fields="[1").status_code == 400
    assert ask(bubble_http, "invoice", additional_sort_fields="[1]").status_code == 400
    assert ask(bubble_http, "invoice", sort_field="Nope").status_code == 404


def test_random_sorting_differs_between_requests(bubble_http: httpx2.Client):
    one = ids(bubble_http, "invoice", sort_field="_random_sorting")
    other = ids(bubble_http, "invoice", sort_field="_random_sorting")
    assert one != other
    assert sorted(one) == sorted(other)


def test_equal_values_change_places_between_requests(bubble_http: httpx2.Client):
    pages = [ids(bubble_http, "invoice_item", sort_field="QTY") for _ in range(3)]
    assert pages[0] != pages[1] != pages[2]
    assert set(pages[0]) != set(pages[1]), "across the edge of the page too"


def test_the_id_as_last_sort_field_makes_the_order_total(bubble_http: httpx2.Client):
    asked = {"sort_field": "Created Date", "additional_sort_fields": BY_ID}
    one, other = (scan(bubble_http, "invoice_item", **asked) for _ in range(2))
    assert one == other == sorted(one)
    assert len(one) == 353


def test_yes_no_fields_are_absent_or_false_by_switch(
    bubble: BubbleSimulator, bubble_http: httpx2.Client
):
    shown = results(bubble_http, "invoice")
    assert any("Paid?" not in invoice for invoice in shown)
    assert any(invoice.get("Paid?") is False for invoice in shown)
    bubble.options.empty_yes_no_as_absent = False
    assert all("Paid?" in invoice for invoice in results(bubble_http, "invoice"))


def test_meta_and_swagger_describe_the_types_without_a_token(bubble: BubbleSimulator):
    with httpx2.Client(base_url=bubble.url, trust_env=False) as anyone:
        meta = anyone.get("/meta").json()
        swagger = anyone.get("/meta/swagger.json").json()
        bubble.options.meta_needs_token = True
        assert anyone.get("/meta").status_code == 401
        assert anyone.get("/meta/swagger.json").status_code == 401
    fields = {field["display"]: field for field in meta["types"]["invoice"]["fields"]}
    assert fields["Linked Payment"] == {
        "id": "linked_payment_list_custom_payment",
        "display": "Linked Payment",
        "type": "list.custom.payment",
    }
    assert "customer_profile" in meta["get"]
    described = swagger["definitions"]["invoice"]["properties"]["Linked Customer"]
    assert "'customer_profile' represented by a unique ID" in described["description"]
