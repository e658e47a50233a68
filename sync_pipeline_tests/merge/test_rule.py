"""The merge rule, sentence by sentence, on a real Postgres."""

from __future__ import annotations

from decimal import Decimal

from sync_pipeline_tests.fixtures.merging import Workbench, counted, shop


def test_a_new_record_is_inserted_with_its_stamps(bench: Workbench) -> None:
    result = bench.sync(shop(Size=3, Tags=["a", "b"]))

    row = bench.shop()
    assert counted(result) == {"read": 1, "inserted": 1}
    assert (row["name"], row["size"], row["tags"], row["rank"]) == ("Corner", 3, ["a", "b"], 7)
    assert row["updated_at"] == row["modified"]
    assert row["last_synced_at"] is not None


def test_an_unchanged_record_writes_no_tuple_anywhere(bench: Workbench) -> None:
    bench.sync(shop())
    before = bench.writes(*bench.co_owned)

    result = bench.sync(shop())

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert bench.writes(*bench.co_owned) == before


def test_a_change_at_the_source_is_taken(bench: Workbench) -> None:
    bench.sync(shop(Size=3))

    result = bench.sync(shop(day=2, Size=4))

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["size"] == 4


def test_a_local_edit_survives_while_another_field_changes_at_the_source(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    bench.edit(name="Our corner", note="mind the step")

    result = bench.sync(shop(day=2, Size=4))

    row = bench.shop()
    assert counted(result) == {"read": 1, "updated": 1}
    assert (row["name"], row["size"], row["note"]) == ("Our corner", 4, "mind the step")
    assert bench.conflicts() == []


def test_the_same_field_changed_on_both_sides_is_a_recorded_conflict(bench: Workbench) -> None:
    bench.sync(shop())
    bench.edit(name="Local")

    result = bench.sync(shop(day=2, Name="Source"))

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["name"] == "Source"
    [conflict] = bench.conflicts()
    assert (conflict["base"], conflict["local"], conflict["source"]) == (
        "Corner",
        "Local",
        "Source",
    )
    assert conflict["kept"] == "source"


def test_policy_local_withholds_the_source_and_counts_a_conflict(bench: Workbench) -> None:
    bench.sync(shop(Rent=10))
    bench.edit(rent=11)

    result = bench.sync(shop(day=2, Rent=12))

    assert counted(result) == {"read": 1, "conflicted": 1}
    assert bench.shop()["rent"] == Decimal(11)
    assert bench.conflicts()[0]["kept"] == "local"
