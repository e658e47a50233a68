"""Taking a run back: what it wrote and nobody has touched since; the rest is kept and reported."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from sync_pipeline.errors import EntityBusy, TargetRefused
from sync_pipeline.merge.advisory_locks import entity_lock
from sync_pipeline.merge.review import undo
from sync_pipeline.merge.review.undo import Undone
from sync_pipeline.model.entity import Local
from sync_pipeline.model.system import System
from sync_pipeline.model.types import boolean
from sync_pipeline_tests.fixtures.sample_system import DESK, SHOP, Workbench, counted, shop


def take_back(bench: Workbench, run: UUID, system: System | None = None) -> tuple[UUID, dict]:
    """Undo a run; returns the undoing's id and what it did."""
    undo_id = uuid4()
    return undo_id, undo.undo(bench.connection, system or bench.system, run, undo_id=undo_id)


def synced(bench: Workbench, *records: dict, **scope) -> UUID:
    run = uuid4()
    bench.sync(*records, run_id=run, **scope)
    return run


# -- updates


def test_every_field_that_the_run_updated_is_put_back(bench: Workbench) -> None:
    synced(bench, shop(Size=3, Tags=["a"], Rent="1.10") | {"Open?": True})
    before = bench.shop()
    run = synced(bench, shop(day=2, Name="New", Size=4, Tags=["b", "c"]) | {"Open?": False})

    _, undone = take_back(bench, run)

    assert undone == {"shop": Undone(restored=1)}
    after = bench.shop()
    mapped = ("name", "size", "tags", "open", "rent", "modified")
    assert {c: after[c] for c in mapped} == {c: before[c] for c in mapped}


def test_a_field_that_the_run_cleared_comes_back_and_one_that_it_filled_is_emptied(
    bench: Workbench,
) -> None:
    synced(bench, shop(Size=3))
    run = synced(bench, shop(day=2, Tags=["new"]))
    assert (bench.shop()["size"], bench.shop()["tags"]) == (None, ["new"])

    take_back(bench, run)

    assert (bench.shop()["size"], bench.shop()["tags"]) == (3, None)


def test_a_field_that_was_edited_since_is_kept_and_reported_and_the_others_go_back(
    bench: Workbench,
) -> None:
    synced(bench, shop(Size=3))
    run = synced(bench, shop(day=2, Name="New", Size=4))
    bench.edit(name="Edited", note="mind the step")

    _, undone = take_back(bench, run)

    row = bench.shop()
    assert (row["name"], row["size"], row["note"]) == ("Edited", 3, "mind the step")
    assert undone["shop"].restored == undone["shop"].kept == 1
    assert undone["shop"].examples == ['{"shop_id": "s1"}: name holds something newer']


def test_a_field_that_a_later_run_has_written_is_kept(bench: Workbench) -> None:
    synced(bench, shop(Size=3))
    run = synced(bench, shop(day=2, Size=4))
    synced(bench, shop(day=3, Size=5))

    _, undone = take_back(bench, run)

    assert bench.shop()["size"] == 5
    assert undone["shop"].kept == 1


def test_a_field_that_the_run_left_alone_is_left_alone(bench: Workbench) -> None:
    synced(bench, shop(Size=3))
    bench.edit(name="Edited")
    run = synced(bench, shop(day=2, Size=4))

    take_back(bench, run)

    assert (bench.shop()["name"], bench.shop()["size"]) == ("Edited", 3)


def test_numbers_come_back_to_the_last_digit(bench: Workbench) -> None:
    precise = "12345678901234567890.123456789012345"
    synced(bench, shop(Rent=precise))
    run = synced(bench, shop(day=2, Rent="1"))

    take_back(bench, run)

    assert bench.shop()["rent"] == Decimal(precise)


# -- inserts


def test_a_row_that_the_run_inserted_is_deleted(bench: Workbench) -> None:
    synced(bench, shop("s1"))
    run = synced(bench, shop("s1"), shop("s2"), shop("s3"))

    _, undone = take_back(bench, run)

    assert undone == {"shop": Undone(deleted=2)}
    assert [r["shop_id"] for r in bench.rows("select shop_id from shop")] == ["s1"]


def test_a_row_that_was_inserted_and_edited_since_is_kept_and_reported(bench: Workbench) -> None:
    run = synced(bench, shop("s1"), shop("s2"), shop("s3"), shop("s4"))
    bench.edit("s1", name="Edited")
    bench.edit("s2", note="mind the step")
    bench.edit("s3", rank=9)

    _, undone = take_back(bench, run)

    left = {r["shop_id"] for r in bench.rows("select shop_id from shop")}
    assert left == {"s1", "s2", "s3"}
    assert (undone["shop"].deleted, undone["shop"].kept) == (1, 3)
    assert undone["shop"].examples[0].endswith("was inserted and has been edited since")


def test_a_row_that_a_later_run_has_updated_is_kept(bench: Workbench) -> None:
    run = synced(bench, shop("s1"), shop("s2"))
    synced(bench, shop("s1", day=2, Size=4))

    _, undone = take_back(bench, run)

    assert {r["shop_id"] for r in bench.rows("select shop_id from shop")} == {"s1"}
    assert (undone["shop"].deleted, undone["shop"].kept) == (1, 1)


def test_a_row_that_a_later_run_found_unchanged_is_deleted_all_the_same(bench: Workbench) -> None:
    run = synced(bench, shop("s1"))
    synced(bench, shop("s1"))

    _, undone = take_back(bench, run)

    assert undone == {"shop": Undone(deleted=1)}


def test_a_row_whose_undeclared_column_somebody_has_filled_is_kept(bench: Workbench) -> None:
    bench.run("alter table shop add column coordinates text")
    run = synced(bench, shop("s1"), shop("s2"))
    bench.run("update shop set coordinates = '3.1, 101.7' where shop_id = 's1'")

    _, undone = take_back(bench, run)

    assert {r["shop_id"] for r in bench.rows("select shop_id from shop")} == {"s1"}
    assert (undone["shop"].deleted, undone["shop"].kept) == (1, 1)


def test_a_row_that_was_deleted_since_needs_nothing(bench: Workbench) -> None:
    run = synced(bench, shop("s1"))
    bench.run("delete from shop")

    assert take_back(bench, run)[1] == {}


def test_a_row_that_has_passed_to_another_owner_since_is_not_touched(bench: Workbench) -> None:
    synced(bench, shop("s1"))
    records = [{"shop_id": "s1", "number": n, "label": "new"} for n in (1, 2)]
    run = synced(bench, *records, entity=DESK)
    bench.run("update desk set source = 'M' where number = 2")

    _, undone = take_back(bench, run)

    assert [r["number"] for r in bench.rows("select number from desk")] == [2]
    assert (undone["desk"].deleted, undone["desk"].kept) == (1, 1)


# -- deletions


@pytest.fixture
def strict(bench: Workbench) -> System:
    """Shops that the source no longer has are deleted here."""
    bench.system = System("shops", (bench.entity("shop", missing="delete"), DESK))
    return bench.system


def test_a_row_that_the_run_deleted_is_inserted_again_whole(
    bench: Workbench, strict: System
) -> None:
    synced(bench, shop("s1", Size=3), shop("s2"))
    before = bench.shop("s1")
    run = synced(bench, shop("s2"), complete=True, mode="full")
    assert [r["shop_id"] for r in bench.rows("select shop_id from shop")] == ["s2"]

    _, undone = take_back(bench, run)

    assert undone == {"shop": Undone(reinserted=1)}
    assert bench.shop("s1") == before


def test_a_row_that_was_deleted_and_is_there_again_is_kept_and_reported(
    bench: Workbench, strict: System
) -> None:
    synced(bench, shop("s1", Size=3), shop("s2"))
    run = synced(bench, shop("s2"), complete=True, mode="full")
    bench.run("insert into shop (shop_id, name) values ('s1', 'Ours')")

    _, undone = take_back(bench, run)

    assert bench.shop("s1")["name"] == "Ours"
    assert (undone["shop"].reinserted, undone["shop"].kept) == (0, 1)
    assert undone["shop"].examples == ['{"shop_id": "s1"}: was deleted and is there again']


def test_a_flag_that_the_run_raised_is_lowered(bench_of: Callable[..., Workbench]) -> None:
    columns = (*SHOP.columns, Local("gone", boolean, default="false"))
    bench = bench_of(replace(SHOP, columns=columns, missing="flag", missing_flag="gone"))
    synced(bench, shop("s1"), shop("s2"))
    run = synced(bench, shop("s2"), complete=True, mode="full")
    assert bench.shop("s1")["gone"] is True

    _, undone = take_back(bench, run)

    assert bench.shop("s1")["gone"] is False
    assert undone == {"shop": Undone(restored=1)}


# -- undoing as a run


def test_undoing_is_a_run_in_the_history_with_a_step_per_entity(bench: Workbench) -> None:
    synced(bench, shop())
    run = synced(bench, shop(day=2, Size=4))

    undo_id, _ = take_back(bench, run)

    entry = bench.row("select * from sync_history where id = %s", undo_id)
    assert (entry["sync_type"], entry["status"]) == ("undo", "completed")
    assert entry["metadata"]["undoes"] == str(run)
    step = bench.row("select * from sync.step where run_id = %s", undo_id)
    assert (step["entity"], step["action"], step["facts"]["restored"]) == ("shop", "undo", 1)


def test_undoing_an_undoing_brings_everything_back(bench: Workbench) -> None:
    synced(bench, shop("s1", Size=3))
    run = synced(bench, shop("s1", day=2, Size=4), shop("s2", Tags=["a"]))
    after_run = bench.rows("select * from shop order by id")
    undo_id, _ = take_back(bench, run)

    _, redone = take_back(bench, undo_id)

    assert redone == {"shop": Undone(restored=1, reinserted=1)}
    assert bench.rows("select * from shop order by id") == after_run


def test_it_can_be_undone_and_redone_again_and_again(bench: Workbench) -> None:
    synced(bench, shop("s1", Size=3))
    before = bench.rows("select * from shop order by id")
    last = synced(bench, shop("s1", day=2, Size=4), shop("s2", Tags=["a"]))
    after = bench.rows("select * from shop order by id")
    mapped = [c for c in after[0] if c not in {"updated_at", "last_synced_at"}]
    for wanted in (before, after, before, after):
        last, _ = take_back(bench, last)
        rows = bench.rows("select * from shop order by id")
        assert [{c: r[c] for c in mapped} for r in rows] == [
            {c: r[c] for c in mapped} for r in wanted
        ]


def test_a_row_that_was_brought_back_and_edited_since_is_kept_by_the_next_undoing(
    bench: Workbench,
) -> None:
    run = synced(bench, shop("s1"), shop("s2"))
    undo_id, _ = take_back(bench, run)
    redo_id, _ = take_back(bench, undo_id)
    bench.edit("s1", note="mind the step")

    _, undone = take_back(bench, redo_id)

    assert {r["shop_id"] for r in bench.rows("select shop_id from shop")} == {"s1"}
    assert (undone["shop"].deleted, undone["shop"].kept) == (1, 1)


def test_undoing_twice_does_nothing_the_second_time(bench: Workbench) -> None:
    synced(bench, shop("s1"))
    run = synced(bench, shop("s1", day=2, Size=4), shop("s2"))
    take_back(bench, run)

    assert take_back(bench, run)[1] == {}


def test_a_run_that_wrote_nothing_leaves_nothing_to_undo(bench: Workbench) -> None:
    synced(bench, shop())

    assert take_back(bench, synced(bench, shop()))[1] == {}
    assert take_back(bench, uuid4())[1] == {}


def test_several_entities_of_a_run_are_undone_together_children_first(bench: Workbench) -> None:
    run = uuid4()
    desks = bench.stream([{"shop_id": "s1", "number": 1, "label": "new"}], DESK)
    bench.merge(bench.stream([shop("s1")]), desks, run_id=run)
    bench.run("alter table desk add foreign key (shop_id) references shop (shop_id)")

    _, undone = take_back(bench, run)

    assert undone == {"desk": Undone(deleted=1), "shop": Undone(deleted=1)}


def test_undoing_waits_for_no_sync_for_ever_and_says_who_is_in_the_way(bench: Workbench) -> None:
    run = synced(bench, shop())
    bench.run("set lock_timeout = '50ms'")
    with bench.open() as app, app.transaction():
        app.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [entity_lock(SHOP)])

        with pytest.raises(EntityBusy, match="shops/shop is being synced by another run"):
            take_back(bench, run)

    assert bench.rows("select * from shop")


# -- what the next sync makes of it


def test_the_next_sync_leaves_undone_values_alone_until_the_source_changes_them(
    bench: Workbench,
) -> None:
    synced(bench, shop(Size=3))
    run = synced(bench, shop(day=2, Name="New", Size=4))
    take_back(bench, run)

    assert counted(bench.sync(shop(day=2, Name="New", Size=4))) == {"read": 1, "unchanged": 1}
    assert (bench.shop()["name"], bench.shop()["size"]) == ("Corner", 3)

    bench.sync(shop(day=3, Name="New", Size=5))

    assert (bench.shop()["name"], bench.shop()["size"]) == ("Corner", 5)
    [conflict] = [c for c in bench.conflicts() if c["field"] == "size"]
    assert (conflict["base"], conflict["local"], conflict["source"]) == (4, 3, 5)


def test_a_row_whose_insertion_was_undone_stays_away_until_somebody_wants_it_back(
    bench: Workbench,
) -> None:
    run = synced(bench, shop())
    take_back(bench, run)

    assert counted(bench.sync(shop())) == {"read": 1, "deleted_locally": 1}
    assert counted(bench.sync(shop(day=2, Size=4))) == {"read": 1, "deleted_locally": 1}

    assert bench.rows("select * from shop") == []
    assert [c["kind"] for c in bench.conflicts()] == ["deleted"]


def test_force_reasserts_what_was_undone(bench: Workbench) -> None:
    synced(bench, shop(Size=3))
    run = synced(bench, shop(day=2, Size=4))
    take_back(bench, run)

    bench.sync(shop(day=2, Size=4), force=True)

    assert bench.shop()["size"] == 4


def test_an_undo_that_a_constraint_refuses_does_not_recite_the_row(bench: Workbench) -> None:
    bench.sync(shop(day=1))
    bench.run("update shop set name = null, note = 'SECRET-NOTE'")
    run = uuid4()
    bench.sync(shop(day=2), run_id=run, force=True)
    bench.run("alter table shop alter name set not null")

    with pytest.raises(TargetRefused) as refused:
        undo.undo(bench.connection, bench.system, run, undo_id=uuid4())

    assert "null value in column" in str(refused.value)
    assert "SECRET-NOTE" not in str(refused.value)
