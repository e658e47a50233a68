"""One row explained from all sides, and conflicts resolved."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from sync_pipeline.merge.bookkeeping import listings
from sync_pipeline.merge.review import explain, resolve, undo
from sync_pipeline.merge.review.explain import Explanation
from sync_pipeline.merge.review.resolve import Side
from sync_pipeline.model.system import System
from sync_pipeline_tests.fixtures.sample_system import DESK, SHOP, Workbench, counted, shop

# -- explain


def explained(bench: Workbench, *key: str, entity: Any = SHOP) -> Explanation:
    return explain.explain(bench.connection, entity, key)


def field(explanation: Explanation, column: str) -> dict[str, Any]:
    [found] = [f for f in explanation.fields if f["column"] == column]
    return found


def test_each_field_shows_its_local_and_base_value_and_who_wrote_it(bench: Workbench) -> None:
    first, second = uuid4(), uuid4()
    bench.sync(shop(Size=3), run_id=first)
    bench.sync(shop(day=2, Size=4), run_id=second)
    bench.edit(name="Edited")

    found = explained(bench, "s1")

    assert (found.on_target, found.in_base) == (True, True)
    assert field(found, "name") == {
        "column": "name",
        "local": "Edited",
        "base": "Corner",
        "written_by": str(first),
    }
    size = field(found, "size")
    assert (size["local"], size["base"], size["written_by"]) == (4, 4, str(second))
    assert [f["column"] for f in found.fields] == [f.column for f in SHOP.fields]
    assert (found.conflicts, found.rejected) == ([], None)
    assert found.marks["_run"] == str(second)
    assert found.marks["_inserted_by"] == str(first)


def test_a_row_that_was_deleted_here_is_known_to_have_been(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    bench.run("delete from shop")

    found = explained(bench, "s1")

    assert (found.on_target, found.in_base) == (False, True)
    assert (field(found, "size")["local"], field(found, "size")["base"]) == (None, 3)


def test_a_row_that_only_people_know_has_no_base(bench: Workbench) -> None:
    bench.run("insert into shop (shop_id, name) values ('own', 'Ours')")

    found = explained(bench, "own")

    assert (found.on_target, found.in_base) == (True, False)
    assert field(found, "name") == {
        "column": "name",
        "local": "Ours",
        "base": None,
        "written_by": None,
    }


def test_a_row_that_never_was_is_nowhere(bench: Workbench) -> None:
    found = explained(bench, "nobody")

    assert (found.on_target, found.in_base) == (False, False)


def test_a_key_of_several_columns_is_found_by_its_parts(bench: Workbench) -> None:
    bench.sync(shop("s1"))
    bench.sync({"shop_id": "s1", "number": 2, "label": "corner desk"}, entity=DESK)

    found = explained(bench, "s1", "2", entity=DESK)

    assert field(found, "label")["local"] == "corner desk"
    assert field(found, "number")["local"] == 2


def test_open_conflicts_of_the_row_are_shown_and_resolved_ones_are_not(bench: Workbench) -> None:
    number = conflicting_field(bench)
    assert [c["id"] for c in explained(bench, "s1").conflicts] == [number]

    resolved_for(bench, number, "source")

    assert explained(bench, "s1").conflicts == []


def test_why_the_last_record_was_rejected_is_shown(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    bench.sync(shop(day=2, Size="many"))

    assert "'many' is not a number" in (explained(bench, "s1").rejected or "")


# -- resolve


def resolved_for(bench: Workbench, number: int, side: Side) -> UUID:
    run = uuid4()
    resolve.resolve(bench.connection, bench.system, number, side, run_id=run)
    return run


def only_conflict(bench: Workbench) -> int:
    return bench.row("select id from sync.conflict where resolved_at is null")["id"]


def undone(bench: Workbench, run: UUID) -> None:
    undo.undo(bench.connection, bench.system, run, undo_id=uuid4())


def conflicting_field(bench: Workbench) -> int:
    """The name was changed on both sides; the policy has taken the source's."""
    bench.sync(shop())
    bench.edit(name="Local")
    bench.sync(shop(day=2, Name="Source"))
    return only_conflict(bench)


def test_a_field_that_went_to_the_source_can_be_given_back_to_the_local_side(
    bench: Workbench,
) -> None:
    number = conflicting_field(bench)

    run = resolved_for(bench, number, "local")

    assert bench.shop()["name"] == "Local"
    assert bench.conflicts() == []
    assert counted(bench.sync(shop(day=2, Name="Source"))) == {"read": 1, "unchanged": 1}
    assert bench.shop()["name"] == "Local"
    undone(bench, run)
    assert bench.shop()["name"] == "Source"


def test_confirming_what_was_kept_writes_nothing(bench: Workbench) -> None:
    number = conflicting_field(bench)
    before = bench.shop()

    said = resolve.resolve(bench.connection, bench.system, number, "source", run_id=uuid4())

    assert said == f"conflict {number} resolved for source; row unchanged"
    assert bench.shop() == before
    assert bench.conflicts() == []


def test_confirming_what_was_kept_does_not_bring_an_older_value_back(bench: Workbench) -> None:
    number = conflicting_field(bench)
    bench.sync(shop(day=3, Name="Source, later"))

    resolved_for(bench, number, "source")

    assert bench.shop()["name"] == "Source, later"


def test_a_field_that_stayed_local_can_be_given_to_the_source(bench: Workbench) -> None:
    bench.sync(shop(Rent="10"))
    bench.edit(rent=11)
    bench.sync(shop(day=2, Rent="12.50"))
    number = only_conflict(bench)

    run = resolved_for(bench, number, "source")

    assert bench.shop()["rent"] == Decimal("12.50")
    undone(bench, run)
    assert bench.shop()["rent"] == Decimal(11)


def test_a_number_that_is_given_to_the_source_keeps_its_last_digit(bench: Workbench) -> None:
    precise = "12345678901234567890.123456789012345"
    bench.sync(shop(Rent="10"))
    bench.edit(rent=11)
    bench.sync(shop(day=2, Rent=precise))

    resolved_for(bench, only_conflict(bench), "source")

    assert bench.shop()["rent"] == Decimal(precise)


@pytest.mark.parametrize(("side", "name"), [("source", "Source"), ("local", "Local")])
def test_a_field_about_which_a_person_was_asked_goes_where_the_person_says(
    bench: Workbench, side: Side, name: str
) -> None:
    bench.sync(shop(Owner="Before"))
    bench.edit(owner_name="Local")
    bench.sync(shop(day=2, Owner="Source"))
    assert bench.conflicts()[0]["kept"] == "ask"

    resolved_for(bench, only_conflict(bench), side)

    assert bench.shop()["owner_name"] == name
    assert counted(bench.sync(shop(day=2, Owner="Source"))) == {"read": 1, "unchanged": 1}
    assert bench.shop()["owner_name"] == name


def test_a_field_can_be_given_to_a_source_that_has_emptied_it(bench: Workbench) -> None:
    bench.sync(shop(Rent="10"))
    bench.edit(rent=11)
    bench.sync(shop(day=2))

    resolved_for(bench, only_conflict(bench), "source")

    assert bench.shop()["rent"] is None


def foreign_row(bench: Workbench) -> int:
    """The source wants a row that belongs to somebody else."""
    bench.sync(shop("s1"))
    bench.run("insert into desk (shop_id, number, label, source) values ('s1', 1, 'Theirs', 'M')")
    bench.sync({"shop_id": "s1", "number": 1, "label": "Ours", "width": 2}, entity=DESK)
    return only_conflict(bench)


@pytest.mark.parametrize(
    ("side", "label", "width"), [("source", "Ours", 2), ("local", "Theirs", None)]
)
def test_a_row_of_another_owner_goes_where_a_person_says_and_keeps_its_owner(
    bench: Workbench, side: Side, label: str, width: int | None
) -> None:
    number = foreign_row(bench)

    resolved_for(bench, number, side)

    row = bench.desk()
    assert (row["label"], row["width"], row["source"]) == (label, width, "M")
    assert bench.conflicts() == []


def test_leaving_a_row_to_its_owner_keeps_what_the_owner_did_since(bench: Workbench) -> None:
    number = foreign_row(bench)
    bench.run("update desk set label = 'Theirs, later'")

    resolved_for(bench, number, "local")

    assert bench.desk()["label"] == "Theirs, later"


def deleted_row(bench: Workbench) -> int:
    """A row was deleted here, and then the source changed it."""
    bench.sync(shop(Size=3))
    bench.run("delete from shop")
    bench.sync(shop(day=2, Size=4))
    return only_conflict(bench)


def test_a_row_that_was_deleted_here_can_be_brought_back(bench: Workbench) -> None:
    number = deleted_row(bench)

    run = resolved_for(bench, number, "source")

    row = bench.shop()
    assert (row["size"], row["rank"]) == (4, 7)
    assert row["updated_at"] == row["modified"]
    assert counted(bench.sync(shop(day=2, Size=4))) == {"read": 1, "unchanged": 1}
    undone(bench, run)
    assert bench.rows("select * from shop") == []


def test_a_row_that_was_deleted_here_can_stay_away(bench: Workbench) -> None:
    number = deleted_row(bench)

    resolved_for(bench, number, "local")

    assert bench.rows("select * from shop") == []
    assert bench.conflicts() == []
    assert counted(bench.sync(shop(day=2, Size=4))) == {"read": 1, "deleted_locally": 1}
    assert bench.conflicts() == []


def test_a_row_that_was_brought_back_by_hand_meanwhile_is_not_overwritten(
    bench: Workbench,
) -> None:
    number = deleted_row(bench)
    bench.run("insert into shop (shop_id, name) values ('s1', 'By hand')")

    resolved_for(bench, number, "source")

    assert bench.shop()["name"] == "By hand"


def missing_row(bench: Workbench) -> int:
    """The source dropped a row that has local edits."""
    bench.system = System("shops", (bench.entity("shop", missing="delete"), DESK))
    bench.sync(shop("s1", Size=3), shop("s2"))
    bench.edit("s1", name="Edited")
    bench.sync(shop("s2"), complete=True, mode="full")
    return only_conflict(bench)


def test_a_row_that_the_source_dropped_can_be_kept(bench: Workbench) -> None:
    number = missing_row(bench)

    resolved_for(bench, number, "local")

    assert bench.shop("s1")["name"] == "Edited"
    assert bench.conflicts() == []


def test_a_row_that_the_source_dropped_can_be_deleted_and_brought_back(bench: Workbench) -> None:
    number = missing_row(bench)
    before = bench.shop("s1")

    run = resolved_for(bench, number, "source")

    assert [r["shop_id"] for r in bench.rows("select shop_id from shop")] == ["s2"]
    undone(bench, run)
    assert bench.shop("s1") == before


@pytest.mark.parametrize("side", ["source", "local"])
def test_a_conflict_is_resolved_once(bench: Workbench, side: Side) -> None:
    number = conflicting_field(bench)
    resolved_for(bench, number, side)

    with pytest.raises(LookupError, match=f"conflict {number} does not exist or is resolved"):
        resolved_for(bench, number, side)


def test_a_conflict_that_does_not_exist_is_said_not_to(bench: Workbench) -> None:
    with pytest.raises(LookupError, match="conflict 4711 does not exist"):
        resolved_for(bench, 4711, "source")


def test_a_resolution_is_a_run_in_the_history_that_is_over(bench: Workbench) -> None:
    number = conflicting_field(bench)

    run = resolved_for(bench, number, "local")

    entry = bench.row("select * from sync_history where id = %s", run)
    assert (entry["sync_type"], entry["status"]) == ("resolve", "completed")
    assert entry["metadata"]["conflict"] == number


def test_lists_show_what_waits_newest_first_and_of_one_entity_if_asked(bench: Workbench) -> None:
    conflicting_field(bench)
    bench.sync(shop("s2", Size="many"))
    bench.sync({"shop_id": "nowhere", "number": 1}, entity=DESK)

    assert [c["field"] for c in listings.waiting(bench.connection, "conflicts", 10)] == ["name"]
    assert listings.waiting(bench.connection, "conflicts", 10, "desk") == []
    [rejected] = listings.waiting(bench.connection, "rejected", 10, "shop")
    assert "many" in rejected["reason"]
    [parked] = listings.waiting(bench.connection, "parked", 10)
    assert (parked["parent"], parked["parent_key"]) == ("shop", "nowhere")
    assert listings.waiting(bench.connection, "parked", 10, "shop") == []
