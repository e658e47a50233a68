"""Records that wait for their parent: held back whole, released by themselves, never lost."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sync_pipeline.model.entity import Entity, Field, Link
from sync_pipeline.model.types import integer, numeric, text, text_list, timestamptz
from sync_pipeline_tests.fixtures.sample_system import (
    DESK,
    GENEROUS,
    Workbench,
    balanced,
    counted,
    shop,
)

Maker = Callable[..., Workbench]

TOWN = Entity(
    name="town",
    source="Town",
    key=("town_id",),
    absent="cleared",
    budget=GENEROUS,
    columns=(
        Field("town_id", text, "_id"),
        Field("number", numeric, "Number"),
        Field("twin", text, "Twin", link=Link("town", required=True)),
    ),
)
VISIT = Entity(
    name="visit",
    source="Visit",
    key=("visit_id",),
    absent="cleared",
    modified="modified",
    budget=GENEROUS,
    columns=(
        Field("visit_id", text, "_id"),
        Field("town", text, "Town", link=Link("town", required=True, exempt=("admin",))),
        Field("route", text_list, "Route", link=Link("town", required=True)),
        Field("zone", integer, "Zone", link=Link("town", required=True, match=("number",))),
        Field("label", text, "Label"),
        Field("modified", timestamptz, "Modified Date"),
    ),
)


@pytest.fixture
def towns(bench_of: Maker) -> Workbench:
    return bench_of(TOWN, VISIT)


def desk(key: str = "s1", number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"shop_id": key, "number": number} | fields


def visit(key: str = "v1", day: int = 1, **fields: Any) -> dict[str, Any]:
    return {"_id": key, "Modified Date": f"2026-01-{day:02}T00:00:00Z"} | fields


def test_a_record_without_its_required_parent_is_held_back_whole(bench: Workbench) -> None:
    result = bench.sync(desk(label="A", unmapped={"kept": True}), entity=DESK)

    assert counted(result) == {"read": 1, "parked": 1}
    assert bench.rows("select * from desk") == []
    assert bench.rows("select * from sync_base.shops__desk") == []
    [parked] = bench.parked()
    assert (parked["parent"], parked["parent_column"], parked["parent_key"]) == (
        "shop",
        "shop_id",
        "s1",
    )
    assert parked["record"] == desk(label="A", unmapped={"kept": True})
    assert result.metadata["parked_examples"] == [
        '{"number": 1, "shop_id": "s1"} waits for shop s1'
    ]


def test_a_parked_record_is_released_by_the_first_run_that_finds_its_parent(
    bench: Workbench,
) -> None:
    bench.sync(desk(label="A"), entity=DESK)
    too_early = bench.sync(entity=DESK)
    bench.sync(shop("s1"))

    result = bench.sync(entity=DESK)

    assert counted(too_early) == {}
    assert counted(result) == {"read": 1, "inserted": 1}
    assert result.metadata["released"] == 1
    assert bench.desk()["label"] == "A"
    assert bench.parked() == []


def test_a_record_delivered_again_while_it_waits_is_one_entry(bench: Workbench) -> None:
    bench.sync(desk(label="A"), entity=DESK)

    bench.sync(desk(label="A"), entity=DESK)

    assert len(bench.parked()) == 1


def test_a_record_released_and_delivered_in_the_same_run_counts_as_a_duplicate(
    bench: Workbench,
) -> None:
    bench.sync(desk(label="A"), entity=DESK)
    bench.sync(shop("s1"))

    result = bench.sync(desk(label="B"), entity=DESK)

    assert counted(result) == {"read": 2, "inserted": 1, "duplicates": 1}
    assert balanced(result.counts)
    assert bench.desk()["label"] == "B"
    assert bench.parked() == []


def test_an_update_that_names_a_missing_parent_leaves_the_row_as_it_is(towns: Workbench) -> None:
    town, visits = towns.system["town"], towns.system["visit"]
    towns.sync({"_id": "a"}, entity=town)
    towns.sync(visit(Town="a", Label="old"), entity=visits)

    moved = towns.sync(visit(day=2, Town="b", Label="new"), entity=visits)
    towns.sync({"_id": "b"}, entity=town)
    released = towns.sync(entity=visits)

    assert counted(moved) == {"read": 1, "parked": 1}
    assert counted(released) == {"read": 1, "updated": 1}
    assert towns.row("select town, label from visit") == {"town": "b", "label": "new"}


def test_a_newer_version_takes_the_place_of_a_parked_one(towns: Workbench) -> None:
    visits = towns.system["visit"]
    towns.sync(visit(day=1, Town="a", Label="old"), entity=visits)

    towns.sync(visit(day=2, Town="b", Label="new"), entity=visits)

    [parked] = towns.parked()
    assert (parked["parent_key"], parked["record"]["Label"]) == ("b", "new")


def test_a_late_older_version_neither_replaces_nor_clears_a_parked_one(towns: Workbench) -> None:
    town, visits = towns.system["town"], towns.system["visit"]
    towns.sync({"_id": "a"}, entity=town)
    towns.sync(visit(day=3, Town="c", Label="newest"), entity=visits)

    towns.sync(visit(day=2, Town="b", Label="late"), entity=visits)
    towns.sync(visit(day=1, Town="a", Label="later still"), entity=visits)

    assert [p["record"]["Label"] for p in towns.parked()] == ["newest"]
    assert towns.row("select label from visit") == {"label": "later still"}
    towns.sync({"_id": "c"}, entity=town)
    towns.sync(entity=visits)
    assert towns.row("select label from visit") == {"label": "newest"}
    assert towns.parked() == []


def test_a_newer_version_that_needs_no_parent_makes_the_parked_one_obsolete(
    towns: Workbench,
) -> None:
    visits = towns.system["visit"]
    towns.sync(visit(day=1, Town="a"), entity=visits)

    result = towns.sync(visit(day=2, Label="at home"), entity=visits)

    assert counted(result) == {"read": 1, "inserted": 1}
    assert towns.parked() == []


def test_a_parked_record_is_not_lost_when_the_run_that_would_release_it_fails(
    bench: Workbench,
) -> None:
    bench.sync(desk(label="A"), entity=DESK)
    bench.sync(shop("s1"))

    def broken() -> Iterator[list[dict[str, Any]]]:
        yield [desk(number=2)]
        raise ConnectionError("the source went away")

    stream = bench.stream([], DESK)
    stream.batches = broken()
    with pytest.raises(ConnectionError):
        bench.merge(stream)

    assert len(bench.parked()) == 1
    assert counted(bench.sync(entity=DESK)) == {"read": 1, "inserted": 1}


def test_a_dry_run_parks_and_releases_nothing(bench: Workbench) -> None:
    bench.sync(desk(number=1), entity=DESK)
    bench.sync(desk("s2"), entity=DESK, dry_run=True)
    bench.sync(shop("s1"))

    planned = bench.sync(desk("s3"), entity=DESK, dry_run=True)

    assert counted(planned) == {"read": 2, "inserted": 1, "parked": 1}
    assert [p["parent_key"] for p in bench.parked()] == ["s1"]


def test_a_list_link_waits_for_all_of_its_parents(towns: Workbench) -> None:
    town, visits = towns.system["town"], towns.system["visit"]
    towns.sync({"_id": "a"}, entity=town)

    first = towns.sync(visit(Route=["a", "b", "c"]), entity=visits)
    towns.sync({"_id": "b"}, entity=town)
    not_yet = towns.sync(entity=visits)
    towns.sync({"_id": "c"}, entity=town)
    released = towns.sync(entity=visits)

    assert counted(first) == {"read": 1, "parked": 1}
    assert counted(not_yet) == {}
    assert counted(released) == {"read": 1, "inserted": 1}


def test_a_record_that_waits_for_two_parents_in_turn_arrives_in_the_end(towns: Workbench) -> None:
    town, visits = towns.system["town"], towns.system["visit"]
    towns.sync(visit(Town="a", Zone="7"), entity=visits)
    towns.sync({"_id": "a"}, entity=town)

    second = towns.sync(entity=visits)
    towns.sync({"_id": "b", "Number": "7.0"}, entity=town)
    third = towns.sync(entity=visits)

    assert counted(second) == {"read": 1, "parked": 1}
    assert counted(third) == {"read": 1, "inserted": 1}


def test_an_exempt_value_waits_for_nobody(towns: Workbench) -> None:
    result = towns.sync(visit(Town="admin_user_live"), entity=towns.system["visit"])

    assert counted(result) == {"read": 1, "inserted": 1}


def test_what_waits_on_a_link_that_is_no_longer_required_is_released(towns: Workbench) -> None:
    towns.sync(visit(Town="a"), entity=towns.system["visit"])
    relaxed = Entity(
        name="visit",
        source="Visit",
        key=("visit_id",),
        absent="cleared",
        system="own",
        columns=(Field("visit_id", text, "_id"), Field("town", text, "Town", link=Link("town"))),
    )

    result = towns.sync(entity=relaxed)

    assert counted(result) == {"read": 1, "inserted": 1}
    assert towns.parked() == []


def test_parents_and_children_of_one_merge_arrive_together(bench: Workbench) -> None:
    bench.sync(desk("s2"), entity=DESK)

    results = bench.merge(bench.stream([shop("s1")]), bench.stream([desk("s1"), desk("s3")], DESK))

    assert [counted(r) for r in results] == [
        {"read": 1, "inserted": 1},
        {"read": 2, "inserted": 1, "parked": 1},
    ]


def test_children_of_a_parent_that_this_merge_does_not_insert_wait(bench: Workbench) -> None:
    bench.sync(shop("s1"))
    bench.run("delete from shop")

    parents, children = bench.merge(bench.stream([shop("s1")]), bench.stream([desk("s1")], DESK))

    assert counted(parents) == {"read": 1, "deleted_locally": 1}
    assert counted(children) == {"read": 1, "parked": 1}


def test_a_parked_record_that_can_no_longer_be_converted_is_rejected_and_still_kept(
    towns: Workbench,
) -> None:
    town, visits = towns.system["town"], towns.system["visit"]
    towns.sync(visit(Town="a", Label="x" * 20), entity=visits)
    towns.sync({"_id": "a"}, entity=town)
    towns.run("alter table visit alter column label type varchar(8)")

    result = towns.sync(entity=visits)

    assert counted(result) == {"read": 1, "rejected": 1}
    assert len(towns.rejected()) == 1
    towns.run("alter table visit alter column label type text")
    assert counted(towns.sync(entity=visits)) == {"read": 1, "inserted": 1}
    assert (towns.rejected(), towns.parked()) == ([], [])


def test_a_record_that_points_at_another_of_its_own_kind_waits_at_most_for_the_next_run(
    towns: Workbench,
) -> None:
    town = towns.system["town"]

    first = towns.sync({"_id": "a", "Twin": "b"}, {"_id": "b"}, entity=town)
    second = towns.sync(entity=town)

    assert counted(first) == {"read": 2, "inserted": 1, "parked": 1}
    assert counted(second) == {"read": 1, "inserted": 1}
