"""One bad record never costs the others: it is kept with its reason and payload until a good one comes."""

import json
from typing import Any

import pytest

from sync_pipeline_tests.fixtures.sample_system import DESK, Workbench, balanced, counted, shop


def many(count: int, bad: dict[int, dict[str, Any]], *, day: int = 1) -> list[dict[str, Any]]:
    """Good records but for those at the given places."""
    return [shop(f"s{i}", day, **({"Code": f"c{i}"} | bad.get(i, {}))) for i in range(count)]


def reasons(bench: Workbench) -> dict[str | None, str]:
    return {r["key"]["shop_id"] if r["key"] else None: r["reason"] for r in bench.rejected()}


# -- by conversion and by COPY


def test_records_that_cannot_be_converted_are_rejected_one_by_one(bench: Workbench) -> None:
    bad = {
        3: {"Size": 9.9},
        4: {"Size": "1e999999999"},
        1500: {"Rent": "much"},
        1501: {"Open?": "maybe"},
        1502: {"Modified Date": "soon"},
        1503: {"Code": "far too long"},
        2999: {"Name": "nul\x00nul"},
        2998: {"Name": "half \ud83d"},
        2997: {"Tags": ["half \ud83d"]},
        2996: {"Size": 10**30},
    }

    result = bench.sync(*many(3000, bad))

    assert counted(result) == {"read": 3000, "inserted": 2990, "rejected": 10}
    assert balanced(result.counts)
    found = reasons(bench)
    assert found.keys() == {f"s{i}" for i in bad}
    assert found["s3"] == (
        "s3: Size → size: 9.9 is not a whole number; cutting it off would lose the rest"
    )
    assert "too long for type character varying(8)" in found["s1503"]
    assert "0x00" in found["s2999"]
    assert len(result.metadata["rejected_examples"]) == 5


def test_the_payload_is_the_raw_record_with_its_unmapped_fields(bench: Workbench) -> None:
    record = shop(Size="many", unmapped={"nested": [1, None]}, big=10**30)

    bench.sync(record)

    [rejected] = bench.rejected()
    assert rejected["payload"] == record
    assert rejected["key"] == {"shop_id": "s1"}


def test_what_json_cannot_hold_is_shown_as_a_replacement_in_the_payload(bench: Workbench) -> None:
    bench.sync(shop(Name="nul\x00", also="\\u0000 is text", half="\ud83d"))

    payload = bench.rejected()[0]["payload"]
    assert (payload["Name"], payload["also"], payload["half"]) == (
        "nul\ufffd",
        "\\u0000 is text",
        "?",
    )


@pytest.mark.parametrize(
    "key", [None, "", "nul\x00", "half \ud83d"], ids=["null", "empty", "nul", "half"]
)
def test_a_record_without_a_usable_key_is_rejected_by_its_content(
    bench: Workbench, key: str | None
) -> None:
    record = shop() | {"_id": key}

    result = bench.sync(shop("s2"), record)
    bench.sync(record)

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    [rejected] = bench.rejected()
    assert rejected["key"] is None
    assert "_id" in rejected["reason"]


def test_a_key_too_long_for_its_column_is_rejected_and_not_cut(bench: Workbench) -> None:
    bench.run("alter table shop alter shop_id type varchar(5)")

    result = bench.sync(shop("12345"), shop("12345 and more"))

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert bench.rows("select shop_id from shop") == [{"shop_id": "12345"}]


def test_a_key_out_of_the_range_of_its_column_is_rejected(bench: Workbench) -> None:
    bench.sync(shop("s1"))
    bench.run("alter table desk alter number type smallint")

    result = bench.sync(
        {"shop_id": "s1", "number": 1}, {"shop_id": "s1", "number": 100_000}, entity=DESK
    )

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert balanced(result.counts)


# -- what becomes of an entry


def test_the_same_record_again_is_one_entry(bench: Workbench) -> None:
    bench.sync(shop(Size="many"))
    first = bench.rejected()[0]

    bench.sync(shop(day=2, Size="more"))

    [again] = bench.rejected()
    assert (again["id"], again["first_seen"]) == (first["id"], first["first_seen"])
    assert again["last_seen"] > first["last_seen"]
    assert again["payload"]["Size"] == "more"


def test_a_later_good_record_clears_the_entry(bench: Workbench) -> None:
    bench.sync(shop(Size="many"), shop("s2", Size="many"))

    bench.sync(shop(day=2, Size=3))

    assert reasons(bench).keys() == {"s2"}


def test_an_older_good_record_lands_and_does_not_hide_that_the_newest_is_bad(
    bench: Workbench,
) -> None:
    result = bench.sync(shop(day=1, Size=1), shop(day=2, Size="many"))
    bench.sync(shop(day=1, Size=1, Rent=1))

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert bench.shop()["size"] == 1
    assert [r["payload"]["Size"] for r in bench.rejected()] == ["many"]


def test_a_newer_good_record_of_the_same_run_leaves_no_entry(bench: Workbench) -> None:
    result = bench.sync(shop(day=2, Size=2), shop(day=1, Size="many"))

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert bench.rejected() == []


def test_two_bad_versions_of_one_record_in_a_run_keep_the_newest(bench: Workbench) -> None:
    result = bench.sync(shop(day=2, Size="newest"), shop(day=1, Size="old"))

    assert counted(result) == {"read": 2, "rejected": 2}
    assert [r["payload"]["Size"] for r in bench.rejected()] == ["newest"]


def test_every_reason_is_one_line_that_json_can_carry(bench: Workbench) -> None:
    bench.sync(shop(Size="a\nb\x1b"), shop("s\n2", Size="x"))

    for rejected in bench.rejected():
        assert json.dumps(rejected["reason"])
    assert "\n" not in reasons(bench)["s1"]
