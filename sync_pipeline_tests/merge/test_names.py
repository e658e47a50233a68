"""Entities of unusual shape: names that SQL finds hard, nothing but a key, nulls in a key."""

from collections.abc import Callable
from typing import Any

from sync_pipeline.model.entity import Entity, Field, Local, Serial
from sync_pipeline.model.types import integer, text
from sync_pipeline_tests.fixtures.sample_system import GENEROUS, Workbench, counted

Maker = Callable[..., Workbench]


def test_columns_and_tables_may_have_names_that_sql_finds_hard(bench_of: Maker) -> None:
    names = ("1st_payment_percent", "select", "Mixed Case", 'quo"te', "{brace}", "a:b")
    columns = (
        Serial("id"),
        Field("order", text, "_id"),
        *(Field(name, integer, f"{name}?") for name in names),
        Local("desc", text),
    )
    entity = Entity(
        name="user",
        source="user",
        key=("order",),
        absent="unknown",
        budget=GENEROUS,
        columns=columns,
    )
    bench = bench_of(entity)
    user = bench.system["user"]
    records = [{"_id": "u1"} | {f"{name}?": value for name in names} for value in (1, 2, 3, None)]

    bench.sync(records[0], entity=user)
    bench.sync(records[1], entity=user)
    bench.run('update "user" set "select" = 9, "Mixed Case" = 9')
    result = bench.sync(records[2], entity=user, mode="full", complete=True)
    bench.sync(records[2], entity=user, force=True)
    bench.sync(records[3], entity=user, dry_run=True)

    row = bench.row('select * from "user"')
    assert counted(result) == {"read": 1, "updated": 1}
    assert [row[name] for name in names] == [3] * len(names)
    assert len(bench.conflicts()) == 2


def test_columns_may_be_called_as_the_merge_calls_its_own(bench_of: Maker) -> None:
    names = ("raw", "absent", "digest", "wide", "found", "d", "writes", "ctid_", "n", "key", "name")
    entity = Entity(
        name="line",
        source="line",
        key=("seq", "state", "modified"),
        absent="unknown",
        budget=GENEROUS,
        missing="delete",
        columns=(
            Field("seq", integer, "seq"),
            Field("state", text, "state"),
            Field("modified", text, "modified"),
            *(Field(name, text, f"its {name}") for name in names),
        ),
    )
    bench = bench_of(entity)
    line = bench.system["line"]

    def record(seq: int, value: str) -> dict[str, Any]:
        return {"seq": seq, "state": "s", "modified": "m"} | {f"its {n}": value for n in names}

    bench.sync(record(1, "a"), record(2, "a"), record(1, "b"), entity=line)
    bench.run("update line set raw = 'ours'")
    bench.sync(record(1, "c"), record(2, "a"), entity=line, mode="full", complete=True)
    bench.sync(record(1, "c"), entity=line, mode="full", complete=True)

    rows = bench.rows("select seq, raw, d from line order by seq")
    assert rows == [{"seq": 1, "raw": "c", "d": "c"}, {"seq": 2, "raw": "ours", "d": "a"}]
    assert [c["kind"] for c in bench.conflicts()] == ["field", "missing"]


def test_an_entity_may_have_nothing_but_its_key(bench_of: Maker) -> None:
    pair = Entity(
        name="pair",
        source="pair",
        key=("a", "b"),
        absent="cleared",
        missing="delete",
        budget=GENEROUS,
        columns=(Field("a", text, "a"), Field("b", integer, "b")),
    )
    bench = bench_of(pair)
    entity = bench.system["pair"]

    first = bench.sync({"a": "x", "b": 1}, {"a": "x", "b": 2}, entity=entity)
    again = bench.sync({"a": "x", "b": 1}, entity=entity, mode="full", complete=True)

    assert counted(first) == {"read": 2, "inserted": 2}
    assert (counted(again), again.metadata["missing"]) == ({"read": 1, "unchanged": 1}, 1)
    assert bench.rows("select * from pair") == [{"a": "x", "b": 1}]


def test_a_null_is_a_value_like_any_other_in_a_key_that_says_so(bench_of: Maker) -> None:
    seat = Entity(
        name="seat",
        source="seat",
        key=("row", "place"),
        absent="cleared",
        budget=GENEROUS,
        columns=(
            Field("row", text, "row"),
            Field("place", integer, "place", nulls_not_distinct=True),
            Field("guest", text, "guest"),
        ),
    )
    bench = bench_of(seat)
    entity = bench.system["seat"]

    bench.sync({"row": "A", "guest": "Ann"}, {"row": "A", "place": 1}, entity=entity)
    result = bench.sync({"row": "A", "guest": "Bob"}, {"row": "A", "guest": "Cy"}, entity=entity)

    assert counted(result) == {"read": 2, "updated": 1, "duplicates": 1}
    assert bench.rows("select * from seat order by place") == [
        {"row": "A", "place": 1, "guest": None},
        {"row": "A", "place": None, "guest": "Cy"},
    ]
