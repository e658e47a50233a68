"""Rows that a complete scan no longer finds, and rows that come back."""

import dataclasses

from sync_pipeline.model.entity import Entity, Local
from sync_pipeline.model.types import boolean
from sync_pipeline_tests.fixtures.sample_system import SHOP, Workbench, counted, shop

DELETING = dataclasses.replace(SHOP, missing="delete")
FLAGGING = dataclasses.replace(
    SHOP, columns=(*SHOP.columns, Local("lost", boolean)), missing="flag", missing_flag="lost"
)


def missing_since(bench: Workbench, key: str) -> object:
    return bench.base(key)["_missing_since"]


def scan(bench: Workbench, *keys: str, entity: Entity = SHOP, day: int = 1) -> dict[str, int]:
    """A full scan that is proven to have seen everything there is."""
    records = [shop(key, day) for key in keys]
    result = bench.sync(*records, entity=entity, mode="full", complete=True)
    return counted(result) | {"missing": result.metadata["missing"]}


def test_a_row_missing_at_the_source_stays_and_its_base_is_marked(bench: Workbench) -> None:
    scan(bench, "s1", "s2")

    counts = scan(bench, "s1")

    assert counts == {"read": 1, "unchanged": 1, "missing": 1}
    assert bench.shop("s2")["name"] == "Corner"
    assert missing_since(bench, "s2") is not None
    assert missing_since(bench, "s1") is None


def test_only_a_scan_proven_complete_marks_a_row_missing(bench: Workbench) -> None:
    scan(bench, "s1", "s2")

    bench.sync(shop("s1"), mode="full")

    assert missing_since(bench, "s2") is None


def test_a_row_is_found_missing_once(bench: Workbench) -> None:
    scan(bench, "s1", "s2")
    scan(bench, "s1")
    since = missing_since(bench, "s2")
    before = bench.writes(*bench.co_owned)

    counts = scan(bench, "s1")

    assert counts["missing"] == 0
    assert missing_since(bench, "s2") == since
    assert bench.writes(*bench.co_owned) == before


def test_a_row_that_reappears_unchanged_is_no_longer_missing(bench: Workbench) -> None:
    scan(bench, "s1", "s2")
    scan(bench, "s1")

    counts = scan(bench, "s1", "s2")

    assert counts == {"read": 2, "unchanged": 2, "missing": 0}
    assert missing_since(bench, "s2") is None


def test_a_record_that_cannot_be_converted_is_not_missing(bench: Workbench) -> None:
    scan(bench, "s1", "s2")

    bad = bench.sync(shop("s1"), shop("s2", 2, Size="many"), mode="full", complete=True)

    assert counted(bad) == {"read": 2, "unchanged": 1, "rejected": 1}
    assert missing_since(bench, "s2") is None


def test_a_record_whose_key_cannot_be_read_makes_the_scan_incomplete(bench: Workbench) -> None:
    scan(bench, "s1", "s2")

    bad = bench.sync(shop("s1"), {"Name": "Nameless"}, mode="full", complete=True)

    assert counted(bad) == {"read": 2, "unchanged": 1, "rejected": 1}
    assert missing_since(bench, "s2") is None
    assert bench.watermark() is not None


def test_a_missing_row_is_deleted_with_its_image_where_the_entity_says_so(
    bench: Workbench,
) -> None:
    scan(bench, "s1", "s2", entity=DELETING)
    image = bench.shop("s2")

    scan(bench, "s1", entity=DELETING)

    assert bench.rows("select shop_id from shop") == [{"shop_id": "s1"}]
    [change] = bench.changes()
    assert (change["key"], change["action"]) == ({"shop_id": "s2"}, "delete")
    assert change["before"].keys() == image.keys()
    assert (change["before"]["id"], change["before"]["rank"]) == (image["id"], 7)


def test_a_deleted_row_that_reappears_is_inserted(bench: Workbench) -> None:
    scan(bench, "s1", "s2", entity=DELETING)
    scan(bench, "s1", entity=DELETING)

    counts = scan(bench, "s1", "s2", entity=DELETING)

    assert counts == {"read": 2, "inserted": 1, "unchanged": 1, "missing": 0}


def test_a_missing_row_with_a_local_edit_is_kept_and_that_is_a_conflict(bench: Workbench) -> None:
    scan(bench, "s1", "s2", entity=DELETING)
    bench.edit("s2", size=9)

    scan(bench, "s1", entity=DELETING)

    assert bench.shop("s2")["size"] == 9
    [conflict] = bench.conflicts()
    assert (conflict["kind"], conflict["key"]) == ("missing", {"shop_id": "s2"})
    assert conflict["local"]["size"] == 9


def test_missing_rows_that_others_refer_to_are_kept_and_the_rest_deleted(
    bench: Workbench,
) -> None:
    keys = [f"s{i}" for i in range(1, 9)]
    scan(bench, *keys, entity=DELETING)
    bench.run("create table till (shop_id text references shop (shop_id))")
    bench.run("insert into till values ('s3'), ('s6')")

    scan(bench, "s1", entity=DELETING)

    rows = bench.rows("select shop_id from shop order by shop_id")
    assert [row["shop_id"] for row in rows] == ["s1", "s3", "s6"]
    assert [(c["kind"], c["key"]["shop_id"]) for c in bench.conflicts()] == [
        ("missing", "s3"),
        ("missing", "s6"),
    ]
    assert len(bench.changes()) == 5
    assert missing_since(bench, "s3") is not None


def test_a_missing_row_that_is_also_deleted_locally_is_only_marked(bench: Workbench) -> None:
    scan(bench, "s1", "s2", entity=DELETING)
    bench.run("delete from shop where shop_id = 's2'")

    scan(bench, "s1", entity=DELETING)
    counts = scan(bench, "s1", "s2", entity=DELETING)

    assert counts == {"read": 2, "unchanged": 1, "deleted_locally": 1, "missing": 0}
    assert bench.changes() == []


def test_a_local_row_that_the_source_never_had_is_not_missing(bench: Workbench) -> None:
    bench.run("insert into shop (shop_id) values ('mine')")

    scan(bench, "s1", entity=DELETING)
    scan(bench, "s1", entity=DELETING)

    assert bench.shop("mine")["shop_id"] == "mine"


def test_a_missing_row_is_flagged_where_the_entity_says_so(bench: Workbench) -> None:
    bench.run("alter table shop add column lost boolean")
    scan(bench, "s1", "s2", entity=FLAGGING)
    bench.edit("s2", size=9)

    scan(bench, "s1", entity=FLAGGING)

    assert (bench.shop("s1")["lost"], bench.shop("s2")["lost"]) == (None, True)
    assert bench.shop("s2")["size"] == 9
    [change] = bench.changes()
    assert (change["before"], change["after"]) == ({"lost": None}, {"lost": True})


def test_a_flagged_row_that_reappears_loses_its_flag(bench: Workbench) -> None:
    bench.run("alter table shop add column lost boolean")
    scan(bench, "s1", "s2", "s3", entity=FLAGGING)
    scan(bench, "s1", "s3", entity=FLAGGING)
    bench.edit("s3", lost=True)  # by a person: the source never lost it

    scan(bench, "s1", "s2", "s3", entity=FLAGGING)

    assert (bench.shop("s2")["lost"], bench.shop("s3")["lost"]) == (False, True)


def test_rows_of_another_owner_are_neither_flagged_nor_deleted(bench: Workbench) -> None:
    desks = bench.system["desk"]
    bench.sync(shop())
    bench.sync(*[{"shop_id": "s1", "number": n} for n in (1, 2, 3)], entity=desks)
    bench.run("update desk set source = 'M' where number = 2")
    deleting = dataclasses.replace(desks, missing="delete")

    bench.sync({"shop_id": "s1", "number": 3}, entity=deleting, mode="full", complete=True)

    assert [row["number"] for row in bench.rows("select * from desk order by 1, 2")] == [2, 3]


def test_an_empty_listing_proves_nothing(bench: Workbench) -> None:
    scan(bench, "s1", "s2", entity=DELETING)

    counts = scan(bench, entity=DELETING)

    assert counts == {"missing": 0}
    assert len(bench.rows("select * from shop")) == 2


def test_a_released_record_does_not_make_an_empty_listing_a_scan(bench: Workbench) -> None:
    desks = bench.system["desk"]
    bench.sync(shop("s2"))
    bench.sync({"shop_id": "s2", "number": 1}, entity=desks)
    bench.sync({"shop_id": "s1", "number": 1}, entity=desks)
    bench.sync(shop("s1"))

    result = bench.sync(entity=desks, mode="full", complete=True)

    assert counted(result) == {"read": 1, "inserted": 1}
    assert result.metadata["missing"] == 0
