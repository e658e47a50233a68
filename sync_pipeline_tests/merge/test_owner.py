"""Rows that are not ours to write, and rows that people here deleted."""

from __future__ import annotations

import dataclasses

import pytest

from sync_pipeline.model.entity import Owner
from sync_pipeline_tests.fixtures.merging import DESK, Workbench, counted, shop


def desk(number: int = 1, **fields: object) -> dict[str, object]:
    return {"shop_id": "s1", "number": number} | fields


@pytest.fixture
def shops(bench: Workbench) -> Workbench:
    """A bench with the parent that desks stand in."""
    bench.sync(shop())
    return bench


def test_an_inserted_row_carries_our_mark(shops: Workbench) -> None:
    shops.sync(desk(), entity=DESK)

    assert shops.desk()["source"] == "D"


def test_a_row_of_another_owner_is_not_written_and_that_is_a_conflict(shops: Workbench) -> None:
    shops.run("insert into desk (shop_id, number, label, source) values ('s1', 1, 'Theirs', 'M')")
    before = shops.writes("public.desk")

    result = shops.sync(desk(label="Source", width=1), entity=DESK)

    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert shops.writes("public.desk") == before
    [conflict] = shops.conflicts()
    assert (conflict["kind"], conflict["field"], conflict["kept"]) == ("owner", None, "local")
    assert conflict["local"] == {"label": "Theirs", "width": None}
    assert conflict["source"] == {"label": "Source", "width": 1}


def test_an_owner_conflict_is_recorded_once_until_the_source_changes_again(
    shops: Workbench,
) -> None:
    shops.run("insert into desk (shop_id, number, label, source) values ('s1', 1, 'Theirs', 'M')")
    shops.sync(desk(label="Source"), entity=DESK)
    shops.sync(desk(label="Source"), entity=DESK)
    first = shops.conflicts()

    shops.sync(desk(label="Again"), entity=DESK)

    assert len(first) == 1
    [conflict] = shops.conflicts()
    assert conflict["source"] == {"label": "Again"}


def test_a_row_of_another_owner_that_agrees_with_the_source_is_no_conflict(
    shops: Workbench,
) -> None:
    shops.run("insert into desk (shop_id, number, label, source) values ('s1', 1, 'Same', 'M')")

    result = shops.sync(desk(label="Same"), entity=DESK)

    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert shops.conflicts() == []


def test_fields_absent_from_a_partial_record_are_no_part_of_an_owner_conflict(
    shops: Workbench,
) -> None:
    shops.run("insert into desk (shop_id, number, label, source) values ('s1', 1, 'Theirs', 'M')")

    shops.sync(desk(width=5), entity=DESK)

    assert shops.conflicts()[0]["source"] == {"width": 5}


def test_force_does_not_write_a_row_of_another_owner(shops: Workbench) -> None:
    shops.run("insert into desk (shop_id, number, label, source) values ('s1', 1, 'Theirs', 'M')")

    result = shops.sync(desk(label="Source"), entity=DESK, force=True)

    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert shops.desk()["label"] == "Theirs"


def test_an_unmarked_row_is_ours_unless_the_entity_says_otherwise(shops: Workbench) -> None:
    shops.run("insert into desk (shop_id, number, label) values ('s1', 1, 'Old'), ('s1', 2, 'Old')")
    strict = dataclasses.replace(DESK, owner=Owner("source", ("D",), "D", unmarked_is_ours=False))

    ours = shops.sync(desk(1, label="New"), entity=DESK)
    theirs = shops.sync(desk(2, label="New"), entity=dataclasses.replace(strict, system="shops"))

    assert (counted(ours), counted(theirs)) == (
        {"read": 1, "updated": 1},
        {"read": 1, "owned_elsewhere": 1},
    )
    assert (shops.desk(number=1)["label"], shops.desk(number=2)["label"]) == ("New", "Old")
    assert shops.desk(number=1)["source"] is None


def test_a_row_given_to_another_owner_is_left_alone_from_then_on(shops: Workbench) -> None:
    shops.sync(desk(label="A"), entity=DESK)
    shops.run("update desk set source = 'M'")

    result = shops.sync(desk(label="B"), entity=DESK)

    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert shops.desk()["label"] == "A"


def test_a_row_given_back_to_us_is_compared_with_what_the_source_said_meanwhile(
    shops: Workbench,
) -> None:
    shops.sync(desk(label="A"), entity=DESK)
    shops.run("update desk set source = 'M', label = 'Theirs'")
    shops.sync(desk(label="B"), entity=DESK)
    shops.run("update desk set source = 'D'")

    same = shops.sync(desk(label="B"), entity=DESK)
    changed = shops.sync(desk(label="C"), entity=DESK)

    assert counted(same) == {"read": 1, "unchanged": 1}
    assert counted(changed) == {"read": 1, "updated": 1}
    assert [c["kind"] for c in shops.conflicts()] == ["owner", "field"]


# -- deleted locally


def test_a_row_deleted_locally_stays_deleted(bench: Workbench) -> None:
    bench.sync(shop())
    bench.run("delete from shop")

    result = bench.sync(shop())

    assert counted(result) == {"read": 1, "deleted_locally": 1}
    assert bench.rows("select * from shop") == []
    assert bench.conflicts() == []


def test_a_source_change_of_a_row_deleted_locally_is_a_conflict_once(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    bench.run("delete from shop")

    changed = bench.sync(shop(day=2, Size=4))
    bench.sync(shop(day=2, Size=4))

    assert counted(changed) == {"read": 1, "deleted_locally": 1}
    assert bench.rows("select * from shop") == []
    [conflict] = bench.conflicts()
    assert (conflict["kind"], conflict["kept"]) == ("deleted", "local")
    assert (conflict["base"]["size"], conflict["source"]["size"]) == (3, 4)


def test_force_does_not_bring_back_a_row_deleted_locally(bench: Workbench) -> None:
    bench.sync(shop())
    bench.run("delete from shop")

    result = bench.sync(shop(day=2), force=True)

    assert counted(result) == {"read": 1, "deleted_locally": 1}
    assert bench.rows("select * from shop") == []


def test_a_row_deleted_and_entered_again_is_compared_with_its_base(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    bench.run("delete from shop")
    bench.run("insert into shop (shop_id, name, size) values ('s1', 'Corner', 9)")

    same = bench.sync(shop(Size=3))

    assert counted(same) == {"read": 1, "unchanged": 1}
    assert bench.shop()["size"] == 9


def test_an_overtaken_answer_about_a_row_deleted_locally_moves_nothing(bench: Workbench) -> None:
    bench.sync(shop(day=3, Size=3))
    bench.run("delete from shop")
    before = bench.base()

    result = bench.sync(shop(day=2, Size=2))

    assert counted(result) == {"read": 1, "deleted_locally": 1}
    assert bench.base() == before
    assert bench.conflicts() == []


def test_an_overtaken_answer_about_a_row_of_another_owner_moves_nothing(
    bench: Workbench,
) -> None:
    owned = bench.entity("shop", owner=Owner("note", ("D",), "D"))
    bench.sync(shop(day=3, Size=3), entity=owned)
    bench.edit(note="M")
    before = bench.base()

    result = bench.sync(shop(day=2, Size=2), entity=owned)

    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert bench.base() == before
    assert bench.conflicts() == []
