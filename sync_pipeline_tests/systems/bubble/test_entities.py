"""The traps in the app's data, each taken through a real run into a real table."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest

from sync_pipeline.merge.schema.metadata import base_name
from sync_pipeline.model.entity import Entity
from sync_pipeline.simulators.bubble.records import ADMIN
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    AGENT,
    CUSTOMER,
    ENTITIES,
    INVOICE,
    ITEM,
    PAYMENT,
    SEDA,
    SUBMITTED,
    USER,
    BubbleSystem,
    Run,
    uid,
)

KEYS = {
    "agent": AGENT,
    "user": USER,
    "customer": CUSTOMER,
    "invoice": INVOICE,
    "payment": PAYMENT,
    "submitted_payment": SUBMITTED,
    "invoice_item": ITEM,
    "seda_registration": SEDA,
}
KUALA_LUMPUR = dt.timezone(dt.timedelta(hours=8))


def arrive(bubble_system: BubbleSystem, entity: str, **fields: Any) -> Run:
    """The entity's record takes these values in the app, and a delta brings them."""
    bubble_system.edit_there(entity, KEYS[entity], **fields)
    return bubble_system.run("bubble_sync", entity)


def arrive_checked(bubble_system: BubbleSystem, entity: str, **fields: Any) -> Run:
    """The same, and the asset checks run too."""
    bubble_system.edit_there(entity, KEYS[entity], **fields)
    return bubble_system.run("bubble_sync", entity, checks=True)


def arrived(bubble_system: BubbleSystem, entity: str, column: str, **fields: Any) -> Any:
    """What a column holds after that."""
    run = arrive(bubble_system, entity, **fields)
    assert run.status == "completed", run.errors
    return bubble_system.here(entity, KEYS[entity])[column]


def all_arrived(
    bubble_system: BubbleSystem, entity: str, column: str, records: list[dict[str, Any]]
) -> list[Any]:
    """What a column holds for new records with these values, all brought by one delta."""
    created = [bubble_system.create_there(entity, **fields) for fields in records]
    run = bubble_system.run("bubble_sync", entity)
    assert run.counts(entity) == {"read": len(created), "inserted": len(created)}, run.errors
    return [bubble_system.here(entity, key)[column] for key in created]


def test_phone_is_the_whatsapp_number_or_else_the_contact(tiny: BubbleSystem) -> None:
    contact, whatsapp = "+60 11-000 0001", "+60 11-000 0002"
    records = [
        {"Contact": contact},
        {"Whatsapp": whatsapp},
        {"Contact": contact, "Whatsapp": whatsapp},
        {},
    ]

    assert all_arrived(tiny, "customer", "phone", records) == [contact, whatsapp, whatsapp, None]


def test_phone_falls_back_to_the_contact_when_the_whatsapp_number_is_cleared(
    tiny: BubbleSystem,
) -> None:
    arrive(tiny, "customer", Contact="+60 11-000 0001", Whatsapp="+60 11-000 0002")

    assert arrived(tiny, "customer", "phone", Whatsapp=None) == "+60 11-000 0001"


def test_columns_that_begin_with_a_digit_are_written_and_cleared(tiny: BubbleSystem) -> None:
    fields = {"1st Payment %": 5, "2nd Payment %": 65, "1st Payment Date": "2026-03-31T16:00:00Z"}
    columns = ("1st_payment", "2nd_payment", "1st_payment_date")

    arrive(tiny, "invoice", **fields)
    row = tiny.here("invoice", INVOICE)
    assert [row[c] for c in columns] == [5, 65, dt.datetime(2026, 3, 31, 16, tzinfo=dt.UTC)]

    arrive(tiny, "invoice", **dict.fromkeys(fields))
    row = tiny.here("invoice", INVOICE)
    assert [row[c] for c in columns] == [None] * 3


def test_columns_that_begin_alike_are_not_mixed_up(tiny: BubbleSystem) -> None:
    tiny.edit_here("invoice", INVOICE, **{"1st_payment__": "local"})

    assert arrived(tiny, "invoice", "1st_payment", **{"1st Payment %": 5}) == 5
    assert tiny.here("invoice", INVOICE)["1st_payment__"] == "local"


def test_the_table_named_user_is_synced_like_any_other(tiny: BubbleSystem) -> None:
    assert arrived(tiny, "user", "dealership", Dealership="North") == "North"
    created = tiny.create_there("user", Dealership="South")
    assert tiny.run("bubble_sync", "user").counts("user")["inserted"] == 1
    assert tiny.here("user", created)["dealership"] == "South"


def test_a_login_is_stored_whole_when_it_holds_an_email(tiny: BubbleSystem) -> None:
    login = {"email": {"email": "login.1@example.com", "email_confirmed": True}}

    stored = arrived(tiny, "user", "authentication", authentication=login)

    assert json.loads(stored) == login
    assert tiny.here("user", USER)["email"] is None  # a local column of a like name


def test_a_login_of_any_other_shape_says_nothing_and_breaks_nothing(tiny: BubbleSystem) -> None:
    logins: list[object] = [
        None,
        {},
        {"email": {}},
        {"email": {"email": ""}},
        {"email": "flat@example.com"},
        {"google": {"email": "other@example.com"}},
        "login.1@example.com",
        ["login.1@example.com"],
        7,
    ]
    records = [{"authentication": login} for login in logins]

    assert all_arrived(tiny, "user", "authentication", records) == [None] * len(logins)


@pytest.mark.parametrize("entity", [e for e in ENTITIES if e not in {"agent", "user"}])
def test_what_the_admin_created_is_stored_and_does_not_dangle(
    tiny: BubbleSystem, entity: str
) -> None:
    run = arrive_checked(tiny, entity, **{"Created By": ADMIN})

    assert tiny.here(entity, KEYS[entity])["created_by"] == ADMIN
    assert run.checks(entity)["links"].passed


def test_yes_and_no_come_in_many_spellings(tiny: BubbleSystem) -> None:
    spellings = {
        True: [True, "yes", "YES", "true", "TRUE", "y"],
        False: [False, "no", "No", "false", "False", "n"],
        None: [None, ""],
    }
    field = "Drawing (SYSTEM) Submitted"
    records = [{field: word} for words in spellings.values() for word in words]
    expected = [meaning for meaning, words in spellings.items() for _ in words]

    stored = all_arrived(tiny, "seda_registration", "drawing_system_submitted", records)

    assert stored == expected


NUMBERS: dict[str, list[tuple[str, str, object, object]]] = {
    "invoice": [
        ("Performance Tier Month", "performance_tier_month", "7", 7),
        ("visit", "visit", 3.0, 3),
        ("Amount", "amount", "27000.50", Decimal("27000.50")),
    ],
    "payment": [
        ("Amount", "amount", "9000", Decimal(9000)),
        ("Bank Charges", "bank_charges", 1.5, Decimal("1.5")),
        ("EPP Month", "epp_month", 12.5, Decimal("12.5")),
    ],
    "invoice_item": [
        ("QTY", "qty", 1.25, Decimal("1.25")),
        ("EPP", "epp", 3.5, Decimal("3.5")),
        ("Sort", "sort", 2.5, Decimal("2.5")),
    ],
    "seda_registration": [
        ("Average TNB", "average_tnb", 941.25, Decimal("941.25")),
        ("System Size", "system_size", 9.9, Decimal("9.9")),
        ("System Size in FORM kWp", "system_size_in_form_kwp", 12.4, Decimal("12.4")),
        ("Inverter kWac", "inverter_kwac", 7.5, Decimal("7.5")),
    ],
}


@pytest.mark.parametrize("entity", NUMBERS)
def test_numbers_arrive_as_text_and_with_fractions_and_lose_nothing(
    tiny: BubbleSystem, entity: str
) -> None:
    run = arrive(tiny, entity, **{field: value for field, _, value, _ in NUMBERS[entity]})

    assert run.status == "completed", run.errors
    row = tiny.here(entity, KEYS[entity])
    expected = {column: stored for _, column, _, stored in NUMBERS[entity]}
    assert {column: row[column] for column in expected} == expected


def test_a_fraction_in_a_column_of_whole_numbers_is_rejected_and_not_cut_off(
    tiny: BubbleSystem,
) -> None:
    before = tiny.here("invoice", INVOICE)

    run = arrive(tiny, "invoice", visit=9.9, Amount=1)

    assert run.counts("invoice") == {"read": 1, "rejected": 1}
    assert run.status == "partial_success"
    assert "visit: 9.9 is not a whole number" in run.errors
    assert tiny.here("invoice", INVOICE) == before


def test_a_rejected_record_keeps_its_payload_and_a_good_one_clears_it(tiny: BubbleSystem) -> None:
    arrive(tiny, "payment", Amount="n/a", Remark="changed")

    [rejected] = tiny.rows("select * from sync.rejected")
    assert rejected["key"] == {"bubble_id": PAYMENT}
    assert rejected["payload"]["Amount"] == "n/a"
    assert "'n/a' is not a number" in rejected["reason"]
    assert arrived(tiny, "payment", "remark", Amount=9000) == "changed"
    assert tiny.rows("select * from sync.rejected") == []


def test_dates_arrive_in_many_forms(tiny: BubbleSystem) -> None:
    moment = dt.datetime(2026, 3, 31, 16, tzinfo=dt.UTC)
    forms: list[tuple[object, dt.datetime]] = [
        ("2026-03-31T16:00:00.000Z", moment),
        ("1774972800000", moment),
        (1774972800000, moment),
        ("2026-03-31", dt.datetime(2026, 3, 31, tzinfo=dt.UTC)),
        ("Apr 1, 2026 12:00 am", dt.datetime(2026, 4, 1, tzinfo=KUALA_LUMPUR)),
    ]
    records = [{"Payment Date": value} for value, _ in forms]

    assert all_arrived(tiny, "payment", "payment_date", records) == [m for _, m in forms]


def test_the_date_of_a_submitted_payment_has_a_spelling_of_its_own(tiny: BubbleSystem) -> None:
    fields = {"PAYMENT DATE": "2026-03-31T16:00:00.000Z", "Payment Date": "2020-01-01"}

    stored = arrived(tiny, "submitted_payment", "payment_date", **fields)

    assert stored == dt.datetime(2026, 3, 31, 16, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("entity", "field", "column", "value"),
    [
        ("invoice", "Approval Status", "approval_status", "Escalated (beta)"),
        ("payment", "Payment Method V2", "payment_method_v2", "E-WALLET"),
        ("seda_registration", "Reg Status", "reg_status", "Awaiting TNB ⚡"),
    ],
)
def test_options_that_nobody_announced_are_taken_as_they_are(
    tiny: BubbleSystem, entity: str, field: str, column: str, value: str
) -> None:
    assert arrived(tiny, entity, column, **{field: value}) == value


def test_texts_are_taken_as_they_are(tiny: BubbleSystem) -> None:
    texts = [
        "  PV CUSTOMER",
        "DELETED @ PV CUSTOMER",
        "\\N",
        "NULL",
        "a\tb\r\nc \\ 客户 👨‍👩‍👧 {x} 'y' \"z\"",
    ]

    assert all_arrived(tiny, "invoice", "type", [{"Type": text} for text in texts]) == texts


def test_lists_keep_their_order_their_repetitions_and_what_dangles(tiny: BubbleSystem) -> None:
    listed = [uid(90), PAYMENT, PAYMENT, SUBMITTED, uid(91)]

    run = arrive_checked(tiny, "invoice", **{"Linked Payment": listed})

    assert tiny.here("invoice", INVOICE)["linked_payment"] == listed
    links = run.checks("invoice")["links"]
    assert links.metadata["dangling"].value == 2
    assert not links.passed
    assert run.status == "completed"


def test_a_list_that_becomes_empty_is_cleared(tiny: BubbleSystem) -> None:
    assert arrived(tiny, "invoice", "linked_payment", **{"Linked Payment": []}) is None


def test_a_missing_parent_never_keeps_a_row_from_loading(tiny: BubbleSystem) -> None:
    orphan = tiny.create_there(
        "payment", **{"Linked Invoice": uid(90), "Linked Customer": uid(91), "Amount": 5}
    )

    run = tiny.run("bubble_sync", "payment", checks=True)

    assert run.counts("payment") == {"read": 1, "inserted": 1}
    assert tiny.here("payment", orphan)["linked_invoice"] == uid(90)
    assert not run.checks("payment")["links"].passed


def test_fields_that_nobody_maps_change_nothing(tiny: BubbleSystem) -> None:
    """Only the modification time moves, and the local columns of like names stay."""
    before = tiny.here("invoice", INVOICE)

    run = arrive(tiny, "invoice", **{"Case Status": "Open", "State": "Johor", "Description": "x"})

    after = tiny.here("invoice", INVOICE)
    changed = {name for name in after if after[name] != before[name]}
    assert run.counts("invoice") == {"read": 1, "updated": 1}
    assert changed == {"modified_date", "updated_at", "last_synced_at"}


def test_stamps_follow_the_source_and_creation_is_stamped_once(tiny: BubbleSystem) -> None:
    before = tiny.here("invoice", INVOICE)
    run = arrive(tiny, "invoice", visit=3)

    after = tiny.here("invoice", INVOICE)

    assert run.counts("invoice") == {"read": 1, "updated": 1}
    assert after["created_at"] == after["created_date"] == before["created_date"]
    assert after["updated_at"] == after["modified_date"] == tiny.clock()
    assert after["last_synced_at"] > before["last_synced_at"]


def test_a_local_edit_that_moves_updated_at_does_not_make_the_sync_skip_the_row(
    tiny: BubbleSystem,
) -> None:
    tiny.edit_here("invoice", INVOICE, internal_notes="call back")
    tiny.db.run("update invoice set updated_at = '2099-01-01'")

    assert arrived(tiny, "invoice", "visit", visit=3) == 3


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_mapped_column_holds_what_the_app_has(synced: BubbleSystem, entity: str) -> None:
    """A second reading of the whole company, by the types alone and without the merge."""
    declared = BUBBLE[entity]
    unconvertible = {b.uid for b in synced.bubble_company.unconvertible}
    key = declared.key[0]
    columns = [f.column for f in declared.values]
    quoted = ", ".join(f'"{c}"' for c in [key, *columns])
    # The base, because the patches have filled links on the target.
    stored = {
        row[key]: row
        for row in synced.rows(f"select {quoted} from sync_base.{base_name(declared)}")
    }
    read = 0
    for record in synced.records(entity):
        if record["_id"] in unconvertible:
            assert record["_id"] not in stored
            continue
        read += 1
        row = stored[record["_id"]]
        for f in declared.values:
            filled = [record[s] for s in f.sources if record.get(s) not in (None, "")]
            expected = f.type.convert(filled[0]) if filled else None
            assert row[f.column] == expected, (record["_id"], f.column)
    assert read == len(stored) > 0


@pytest.mark.parametrize("entity", BUBBLE.entities, ids=lambda e: e.name)
def test_every_mapped_field_is_one_that_the_app_describes(
    tiny: BubbleSystem, entity: Entity
) -> None:
    described = {f.display for f in tiny.bubble.store.schema(entity.source).visible()}

    assert {name for f in entity.fields for name in f.sources} <= described
