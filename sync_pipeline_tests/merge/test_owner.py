"""Rows that are not ours to write, and rows that people here deleted."""

import dataclasses

import pytest

from sync_pipeline.model.entity import Owner
from sync_pipeline_tests.fixtures.sample_system import DESK, Workbench, counted, shop


def desk(number: int = 1, **fields: object) -> dict[str, object]:
    return {"shop_id": "s1", "number": number} | fields


@pytest.fixture
def shops(bench: Workbench) -> Workbench:
    """A bench with the parent that desks belong to."""
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


def test_a_row_given_back_to_us_is_compared_with_what_was_accepted_before(
    shops: Workbench,
) -> None:
    shops.sync(desk(label="A"), entity=DESK)
    shops.run("update desk set source = 'M', label = 'Theirs'")
    shops.sync(desk(label="B"), entity=DESK)
    shops.run("update desk set source = 'D'")

    result = shops.sync(desk(label="B"), entity=DESK)

    assert counted(result) == {"read": 1, "updated": 1}
    assert shops.desk()["label"] == "B"
    [conflict] = shops.conflicts()  # about the owner there is none any more
    assert (conflict["kind"], conflict["base"]) == ("field", "A")
    assert (conflict["local"], conflict["source"]) == ("Theirs", "B")


# -- records that are another owner's at the source


SHARED = dataclasses.replace(
    DESK, system="shops", owner=Owner("source", ("D",), "D", source="whose")
)


def test_a_record_of_another_owner_is_never_inserted(shops: Workbench) -> None:
    result = shops.sync(desk(1, whose="M"), desk(2, whose="D"), entity=SHARED)
    again = shops.sync(desk(1, whose="M"), desk(2, whose="D"), entity=SHARED)
    forced = shops.sync(desk(1, whose="M"), entity=SHARED, force=True)

    assert counted(result) == {"read": 2, "inserted": 1, "owned_elsewhere": 1}
    assert counted(again) == {"read": 2, "unchanged": 1, "owned_elsewhere": 1}
    assert counted(forced) == {"read": 1, "owned_elsewhere": 1}
    assert [row["number"] for row in shops.rows("select number from desk")] == [2]
    assert shops.conflicts() == []


@pytest.mark.parametrize("blank", [None, "", "  "])
@pytest.mark.parametrize("unmarked_is_ours", [True, False])
def test_a_record_without_a_mark_or_with_a_blank_one_is_nobodys(
    shops: Workbench, blank: str | None, unmarked_is_ours: bool
) -> None:
    owner = Owner("source", ("D",), "D", unmarked_is_ours=unmarked_is_ours, source="whose")
    entity = dataclasses.replace(SHARED, owner=owner)

    marked = shops.sync(desk(1, whose=blank), entity=entity)

    assert counted(marked) == {"read": 1, "inserted" if unmarked_is_ours else "owned_elsewhere": 1}


def test_a_mark_counts_without_its_padding(shops: Workbench) -> None:
    result = shops.sync(desk(1, whose="D   "), desk(2, whose="M   "), entity=SHARED)

    assert counted(result) == {"read": 2, "inserted": 1, "owned_elsewhere": 1}


@pytest.mark.parametrize("mark", ["M", "D", None])
def test_a_record_of_another_owner_writes_no_row_whosever_that_is(
    shops: Workbench, mark: str | None
) -> None:
    shops.run(
        "insert into desk (shop_id, number, label, source) values ('s1', 1, 'Here', %s)", mark
    )
    before = shops.writes("public.desk")

    wide = shops.sync(desk(label="There", whose="M"), entity=SHARED)
    narrow = shops.sync(desk(label="There", whose="M"), entity=SHARED)

    assert counted(wide) == counted(narrow) == {"read": 1, "owned_elsewhere": 1}
    assert shops.writes("public.desk") == before
    [conflict] = shops.conflicts()
    assert (conflict["kind"], conflict["source"]) == ("owner", {"label": "There"})


def test_a_record_that_passes_to_another_owner_leaves_its_row_alone_from_then_on(
    shops: Workbench,
) -> None:
    shops.sync(desk(label="Ours", whose="D"), entity=SHARED)

    same = shops.sync(desk(label="Ours", whose="M"), entity=SHARED)
    changed = shops.sync(desk(label="Theirs", whose="M"), entity=SHARED)

    assert counted(same) == counted(changed) == {"read": 1, "owned_elsewhere": 1}
    assert shops.desk()["label"] == "Ours"


def test_a_record_that_comes_to_us_is_inserted_if_it_has_never_been_here(shops: Workbench) -> None:
    shops.sync(desk(label="Same", whose="M"), entity=SHARED)

    result = shops.sync(desk(label="Same", whose="D"), entity=SHARED)

    assert counted(result) == {"read": 1, "inserted": 1}
    assert shops.desk()["label"] == "Same"


def test_a_record_that_comes_to_us_is_merged_from_then_on(shops: Workbench) -> None:
    shops.run("insert into desk (shop_id, number, label, source) values ('s1', 1, 'Same', 'D')")
    shops.sync(desk(label="Same", whose="M"), entity=SHARED)

    result = shops.sync(desk(label="New", whose="D"), entity=SHARED)

    assert counted(result) == {"read": 1, "updated": 1}
    assert shops.desk()["label"] == "New"


def test_a_record_of_ours_wins_over_a_copy_of_another_owners(shops: Workbench) -> None:
    ours, copy = desk(label="Ours", whose="D"), desk(label="Copy", whose="M")

    results = [
        shops.sync(*order, entity=SHARED) for order in ([ours, copy], [copy, ours], [ours, copy])
    ]

    assert [counted(r) for r in results] == [
        {"read": 2, "inserted": 1, "duplicates": 1},
        {"read": 2, "unchanged": 1, "duplicates": 1},
        {"read": 2, "unchanged": 1, "duplicates": 1},
    ]
    assert shops.desk()["label"] == "Ours"


def test_a_record_of_another_owner_waits_for_no_parent(bench: Workbench) -> None:
    result = bench.sync(desk(1, whose="M"), desk(2, whose="D"), entity=SHARED)

    assert counted(result) == {"read": 2, "owned_elsewhere": 1, "parked": 1}
    assert [p["key"] for p in bench.parked()] == [{"shop_id": "s1", "number": 2}]


def test_a_record_of_another_owner_is_seen_by_a_complete_scan(shops: Workbench) -> None:
    shops.sync(desk(1, whose="M"), desk(2, whose="D"), entity=SHARED)

    result = shops.sync(desk(1, whose="M"), entity=SHARED, complete=True)

    assert result.metadata["missing"] == 1
    missing = "select number from sync_base.shops__desk where _missing_since is not null"
    assert [row["number"] for row in shops.rows(missing)] == [2]


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
