"""Which of several versions of a record counts: late answers, repeated deliveries, and `force`."""

from decimal import Decimal

from sync_pipeline_tests.fixtures.sample_system import Workbench, counted, shop


def test_a_record_older_than_the_one_merged_before_moves_nothing(bench: Workbench) -> None:
    bench.sync(shop(day=3, Size=3))
    before = bench.writes(*bench.co_owned)

    result = bench.sync(shop(day=2, Size=2))

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert result.metadata["stale"] == 1
    assert bench.writes(*bench.co_owned) == before


def test_of_one_key_delivered_twice_the_newest_wins_in_any_order(bench: Workbench) -> None:
    newest, older, oldest = (shop(day=day, Size=day) for day in (3, 2, 1))

    result = bench.sync(older, newest, oldest)

    assert counted(result) == {"read": 3, "inserted": 1, "duplicates": 2}
    assert bench.shop()["size"] == 3


def test_of_one_key_delivered_twice_at_the_same_moment_the_last_wins(bench: Workbench) -> None:
    result = bench.sync(shop(Size=1), shop(Size=3), shop(Size=2))

    assert counted(result) == {"read": 3, "inserted": 1, "duplicates": 2}
    assert bench.shop()["size"] == 2


def test_duplicates_are_found_across_batches_and_chunks(bench: Workbench) -> None:
    many = [shop(f"s{i}", Size=i) for i in range(2500)]
    newer = [shop(f"s{i}", day=2, Size=-i) for i in range(2500)]

    result = bench.sync(*newer, *many)

    assert counted(result) == {"read": 5000, "inserted": 2500, "duplicates": 2500}
    assert bench.row("select max(size) from shop") == {"max": 0}


def test_a_newer_record_beats_an_unchanged_one_of_the_same_run(bench: Workbench) -> None:
    bench.sync(shop(day=2, Size=2))

    result = bench.sync(shop(day=3, Size=3), shop(day=2, Size=2))

    assert counted(result) == {"read": 2, "updated": 1, "duplicates": 1}
    assert bench.shop()["size"] == 3


def test_of_records_without_a_moment_the_one_that_was_merged_before_wins(
    bench: Workbench,
) -> None:
    undated = [shop(Size=size) | {"Modified Date": None} for size in (1, 2, 3)]
    first = bench.sync(undated[1])

    again = [bench.sync(*order) for order in (undated, undated[::-1])]
    without = bench.sync(undated[0], undated[2])

    assert counted(first) == {"read": 1, "inserted": 1}
    assert [counted(r) for r in again] == [{"read": 3, "unchanged": 1, "duplicates": 2}] * 2
    assert counted(without) == {"read": 2, "updated": 1, "duplicates": 1}
    assert bench.shop()["size"] == 3


def test_of_records_of_the_same_moment_the_one_that_was_merged_before_wins(
    bench: Workbench,
) -> None:
    bench.sync(shop(Size=1))

    result = bench.sync(shop(Size=1), shop(Size=2))

    assert counted(result) == {"read": 2, "unchanged": 1, "duplicates": 1}
    assert bench.shop()["size"] == 1


def test_a_key_delivered_again_and_again_is_named_with_how_often(bench: Workbench) -> None:
    result = bench.sync(*[shop("s1")] * 3, *[shop("s2")] * 24, shop("s3"))

    assert result.metadata["duplicate_examples"] == ["s2 (24 times)", "s1 (3 times)"]


# -- force


def test_force_takes_back_local_edits_of_mapped_fields_and_keeps_their_images(
    bench: Workbench,
) -> None:
    bench.sync(shop(Size=3, Rent=10, Owner="Ann"))
    bench.edit(size=9, rent=9, owner_name="Anna", note="mind the step")

    result = bench.sync(shop(Size=3, Rent=10, Owner="Ann"), force=True)

    row = bench.shop()
    assert counted(result) == {"read": 1, "updated": 1}
    assert (row["size"], row["rent"], row["owner_name"]) == (3, Decimal(10), "Ann")
    assert row["note"] == "mind the step"
    assert bench.changes()[0]["before"] == {"size": 9, "rent": 9, "owner_name": "Anna"}
    assert bench.conflicts() == []


def test_force_on_a_row_that_agrees_writes_nothing(bench: Workbench) -> None:
    bench.sync(shop(Size=3))
    before = bench.writes("public.shop")

    result = bench.sync(shop(Size=3), force=True)

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert bench.writes("public.shop") == before


def test_force_clears_a_field_that_the_source_is_known_to_have_empty(bench: Workbench) -> None:
    bench.sync(shop())
    bench.edit(size=9)

    bench.sync(shop(), force=True)

    assert bench.shop()["size"] is None


def test_force_on_first_contact_erases_nothing_and_takes_the_rest_whatever_the_policy(
    bench: Workbench,
) -> None:
    bench.run("insert into shop (shop_id, name, size, rent) values ('s1', 'Ours', 5, 9)")

    bench.sync(shop(Rent=10), force=True)

    row = bench.shop()
    assert (row["name"], row["size"], row["rent"]) == ("Corner", 5, Decimal(10))
    assert bench.conflicts() == []


def test_force_takes_an_older_record_too(bench: Workbench) -> None:
    bench.sync(shop(day=3, Size=3))

    result = bench.sync(shop(day=2, Size=2), force=True)

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["size"] == 2
    assert bench.base()["_modified"].day == 2


def test_a_record_without_its_modification_time_is_never_late(bench: Workbench) -> None:
    bench.sync(shop(day=3, Size=3))

    result = bench.sync({"_id": "s1", "Name": "Corner", "Size": 4})

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["size"] == 4
