"""What counts as the same value, column by column, and names that SQL finds hard."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sync_pipeline.model.entity import Entity, Field, Serial
from sync_pipeline.model.types import (
    bigint,
    boolean,
    char,
    date,
    double,
    jsonb,
    numeric,
    text,
    text_list,
    time,
    timestamp,
    timestamptz,
    uuid,
    varchar,
)
from sync_pipeline_tests.fixtures.sample_system import GENEROUS, Workbench, counted

Maker = Callable[..., Workbench]

THING = Entity(
    name="thing",
    source="Thing",
    key=("thing_id",),
    absent="cleared",
    budget=GENEROUS,
    columns=(
        Serial("id"),
        Field("thing_id", text, "_id"),
        Field("words", text, "Words"),
        Field("short", varchar(8), "Short"),
        Field("mark", char(4), "Mark"),
        Field("amount", numeric, "Amount"),
        Field("price", numeric(8, 2), "Price"),
        Field("count", bigint, "Count"),
        Field("ratio", double, "Ratio"),
        Field("flag", boolean, "Flag"),
        Field("tags", text_list, "Tags"),
        Field("extra", jsonb, "Extra"),
        Field("at", timestamptz, "At"),
        Field("wall", timestamp, "Wall"),
        Field("day", date, "Day"),
        Field("hour", time, "Hour"),
        Field("ref", uuid, "Ref"),
    ),
)

SAME = [
    ("Amount", 1, 1.0),
    ("Amount", "1.0", "1.00"),
    ("Amount", "1e2", 100),
    ("Price", "9.9", "9.90"),
    ("Count", 5, "5.0"),
    ("Ratio", 0.1, "0.1"),
    ("Flag", "yes", True),
    ("Flag", "NO", False),
    ("Tags", "a", ["a"]),
    ("Tags", ["a", None], ["a", ""]),
    ("Tags", [], None),
    ("Extra", {"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1.0}),
    ("Mark", "ab", "ab  "),
    ("At", "2026-01-01T08:00:00+08:00", "2026-01-01T00:00:00.000Z"),
    ("At", 1_767_225_600_000, "2026-01-01T00:00:00Z"),
    ("Day", "2026-01-01", "2026-01-01T09:00:00Z"),
    ("Hour", "09:30", "09:30:00"),
    ("Ref", "12345678123456781234567812345678", "12345678-1234-5678-1234-567812345678"),
    ("Words", 600, "600"),
    ("Short", "", ""),
]

DIFFERENT = [
    ("Words", "a", "a "),
    ("Words", "a", "A"),
    ("Words", "é", "e\u0301"),
    ("Words", "", None),
    ("Amount", "0.1", "0.10000000000000000001"),
    ("Tags", ["a", "b"], ["b", "a"]),
    ("Tags", ["a"], ["a", "a"]),
    ("Extra", {"a": None}, {}),
    ("Extra", [1, 2], [2, 1]),
    ("Flag", None, False),
    ("At", "2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00Z"),
]

HARD = [
    "plain",
    "null",
    "\\N",
    "\\.",
    "a\n\\.\nb",
    'quote " and \\ backslash \\" both',
    "tab\tnewline\nreturn\rbell\x07del\x7f",
    "comma, {brace} %s %(name)s 100 %",
    "日本語 🙂 e\u0301 \u2028 \ufeff",
    "\\u0000 is text",
    "'; drop table thing; --",
    "x" * 100_000,
]


def thing(**fields: Any) -> dict[str, Any]:
    return {"_id": "t1"} | fields


@pytest.fixture
def things(bench_of: Maker) -> Workbench:
    return bench_of(THING)


@pytest.mark.parametrize(("field", "before", "after"), SAME)
def test_another_spelling_of_a_value_is_no_change(
    things: Workbench, field: str, before: Any, after: Any
) -> None:
    things.sync(thing(**{field: before}), entity=things.system["thing"])

    result = things.sync(thing(**{field: after}), entity=things.system["thing"])

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert things.changes() == []


@pytest.mark.parametrize(("field", "before", "after"), DIFFERENT)
def test_a_small_difference_is_a_change(
    things: Workbench, field: str, before: Any, after: Any
) -> None:
    things.sync(thing(**{field: before}), entity=things.system["thing"])

    result = things.sync(thing(**{field: after}), entity=things.system["thing"])

    assert counted(result) == {"read": 1, "updated": 1}


def test_every_text_arrives_as_it_was_sent_alone_in_a_list_and_in_json(things: Workbench) -> None:
    entity = things.system["thing"]
    records = [
        {"_id": f"t{i:02} {t[:40]}", "Words": t, "Tags": [t, t], "Extra": {t[:99]: t}}
        for i, t in enumerate(HARD)
    ]

    first = things.sync(*records, entity=entity)
    again = things.sync(*records, entity=entity, force=True)

    rows = things.rows('select * from thing order by thing_id collate "C"')
    assert [(row["words"], row["tags"], row["extra"]) for row in rows] == [
        (t, [t, t], {t[:99]: t}) for t in HARD
    ]
    assert [row["thing_id"] for row in rows] == [record["_id"] for record in records]
    assert counted(first) == {"read": len(HARD), "inserted": len(HARD)}
    assert counted(again) == {"read": len(HARD), "unchanged": len(HARD)}


def test_hard_texts_survive_in_before_images_and_conflicts(things: Workbench) -> None:
    entity = things.system["thing"]
    words = HARD[5]
    things.sync(thing(Words=words, Extra={"k": words}), entity=entity)
    things.run("update thing set words = %s", HARD[6])

    things.sync(thing(Words="new", Extra={"k": "new"}), entity=entity)

    assert things.changes()[0]["before"] == {"words": HARD[6], "extra": {"k": words}}
    [conflict] = things.conflicts()
    assert (conflict["base"], conflict["local"]) == (words, HARD[6])


def test_numbers_keep_every_digit(things: Workbench) -> None:
    amount = "12345678901234567890.123456789"

    things.sync(thing(Amount=amount, Count=2**63 - 1), entity=things.system["thing"])

    row = things.row("select amount, count from thing")
    assert row == {"amount": Decimal(amount), "count": 2**63 - 1}


def test_a_text_too_long_for_its_column_is_rejected_and_not_cut(things: Workbench) -> None:
    result = things.sync(
        thing(Short="123456789"), {"_id": "t2", "Short": "12345678"}, entity=things.system["thing"]
    )

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert "too long for type character varying(8)" in things.rejected()[0]["reason"]
