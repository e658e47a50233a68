"""The merge rule, sentence by sentence, on a real Postgres."""

from decimal import Decimal
from unittest.mock import ANY

from sync_pipeline_tests.fixtures.sample_system import Workbench, counted, shop


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


def test_policy_ask_withholds_the_source_and_leaves_the_conflict_to_a_person(
    bench: Workbench,
) -> None:
    bench.sync(shop(Owner="Ann"))
    bench.edit(owner_name="Anna")

    result = bench.sync(shop(day=2, Size=4, Owner="Annie"))

    row = bench.shop()
    assert counted(result) == {"read": 1, "conflicted": 1}
    assert (row["owner_name"], row["size"]) == ("Anna", 4)
    [conflict] = bench.conflicts()
    assert (conflict["field"], conflict["kept"]) == ("owner_name", "ask")


def test_the_same_change_on_both_sides_is_no_conflict_and_writes_no_row(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    bench.edit(size=4)
    before = bench.writes("public.shop")

    result = bench.sync(shop(day=1, Size=4))

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert bench.conflicts() == []
    assert bench.writes("public.shop") == before
    assert bench.base()["size"] == 4


def test_a_withheld_value_is_a_conflict_once_and_a_local_override_from_then_on(
    bench: Workbench,
) -> None:
    bench.sync(shop(Rent=10))
    bench.edit(rent=11)
    bench.sync(shop(day=2, Rent=12))

    again = bench.sync(shop(day=3, Rent=12, Size=5))

    assert counted(again) == {"read": 1, "updated": 1}
    assert len(bench.conflicts()) == 1
    assert bench.base()["rent"] == Decimal(12)
    assert bench.shop()["rent"] == Decimal(11)


def test_a_newer_conflict_about_a_field_takes_the_place_of_the_older(bench: Workbench) -> None:
    bench.sync(shop(Rent=10))
    bench.edit(rent=11)
    bench.sync(shop(day=2, Rent=12))

    bench.sync(shop(day=3, Rent=13))

    [conflict] = bench.conflicts()
    assert (conflict["base"], conflict["local"], conflict["source"]) == (12, 11, 13)
    assert bench.row("select count(*) from sync.conflict where resolution = 'overtaken'") == {
        "count": 1
    }


def test_a_reverted_local_edit_lets_the_source_through_again(bench: Workbench) -> None:
    bench.sync(shop(Rent=10))
    bench.edit(rent=11)
    bench.sync(shop(day=2, Rent=12))
    bench.edit(rent=12)

    result = bench.sync(shop(day=3, Rent=13))

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["rent"] == Decimal(13)


def test_a_change_and_its_reversal_at_the_source_are_both_taken(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    bench.sync(shop(day=2, Size=4))

    bench.sync(shop(day=3, Size=3))

    assert bench.shop()["size"] == 3
    assert [(c["before"], c["after"]) for c in bench.changes()] == [
        ({"size": 3, "modified": ANY}, {"size": 4, "modified": ANY}),
        ({"size": 4, "modified": ANY}, {"size": 3, "modified": ANY}),
    ]


# -- a source column that nobody mapped, a local column that nobody else may write


def test_a_change_of_an_unmapped_source_field_changes_nothing(bench: Workbench) -> None:
    bench.sync(shop(Mood="good"))
    before = bench.writes(*bench.co_owned)

    result = bench.sync(shop(Mood="bad"))

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert bench.writes(*bench.co_owned) == before


def test_local_only_columns_are_in_no_statement_that_writes(bench: Workbench) -> None:
    # Fires whenever the column is named in SET, even with its own value.
    bench.run(
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin raise 'a local-only column was written'; end $$"
    )
    bench.run("create trigger refuse before update of note, rank on shop execute function refuse()")
    bench.sync(shop(Size=3, Rent=1), shop("s2"))
    bench.run("alter table shop disable trigger refuse")
    bench.edit(note="mind the step", rank=1, rent=2)
    bench.run("alter table shop enable trigger refuse")

    bench.sync(shop(day=2, Size=4, Rent=3), shop("s2"), shop("s3"), complete=True, mode="full")
    bench.sync(shop(day=2, Size=4, Rent=3), shop("s2"), shop("s3"), force=True)

    row = bench.shop()
    assert (row["note"], row["rank"], row["rent"]) == ("mind the step", 1, Decimal(3))


def test_a_row_that_only_exists_locally_is_never_touched(bench: Workbench) -> None:
    bench.run("insert into shop (shop_id, name, size) values ('mine', 'My own', 1)")
    before = bench.shop("mine")

    bench.sync(shop(), complete=True, mode="full")

    assert bench.shop("mine") == before


# -- first contact: the row is on the target, and there is no base yet


def test_on_first_contact_a_null_from_the_source_erases_nothing(bench: Workbench) -> None:
    bench.run("insert into shop (shop_id, name, size, rent) values ('s1', 'Corner', 5, 9)")

    result = bench.sync(shop(Size=None))

    row = bench.shop()
    assert (row["size"], row["rent"]) == (5, Decimal(9))
    assert counted(result) == {"read": 1, "updated": 1}  # of `modified`, which was empty


def test_on_first_contact_an_empty_local_field_is_filled_whatever_the_policy(
    bench: Workbench,
) -> None:
    bench.run("insert into shop (shop_id, name) values ('s1', 'Corner')")

    bench.sync(shop(Size=5, Rent=9, Owner="Ann"))

    row = bench.shop()
    assert (row["size"], row["rent"], row["owner_name"]) == (5, Decimal(9), "Ann")
    assert bench.conflicts() == []


def test_on_first_contact_a_differing_value_follows_the_policy_of_its_field(
    bench: Workbench,
) -> None:
    bench.run("insert into shop (shop_id, name, rent, owner_name) values ('s1', 'Ours', 9, 'Anna')")

    result = bench.sync(shop(Rent=10, Owner="Ann"))

    row = bench.shop()
    assert (row["name"], row["rent"], row["owner_name"]) == ("Corner", Decimal(9), "Anna")
    assert counted(result) == {"read": 1, "conflicted": 1}
    assert [(c["field"], c["base"], c["kept"]) for c in bench.conflicts()] == [
        ("rent", None, "local"),
        ("owner_name", None, "ask"),
    ]
    assert bench.changes()[0]["before"] == {"name": "Ours", "modified": None}


def test_after_first_contact_the_base_is_what_the_source_said(bench: Workbench) -> None:
    bench.run("insert into shop (shop_id, name, size) values ('s1', 'Corner', 5)")
    bench.sync(shop())

    result = bench.sync(shop(day=2, Size=6))

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["size"] == 6  # both sides changed since the base, and policy is `source`
    [conflict] = bench.conflicts()
    assert (conflict["base"], conflict["local"], conflict["source"]) == (None, 5, 6)
