"""Absent is not null is not cleared: fields missing from a record, and fields new to the mapping."""

import dataclasses
from decimal import Decimal

import pytest

from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.model.entity import Entity, Field
from sync_pipeline.model.system import System
from sync_pipeline.model.types import text
from sync_pipeline_tests.fixtures.sample_system import DESK, SHOP, Workbench, counted, shop


def desk(number: int = 1, **fields: object) -> dict[str, object]:
    return {"shop_id": "s1", "number": number} | fields


@pytest.fixture
def shops(bench: Workbench) -> Workbench:
    """A bench with the parent that desks belong to."""
    bench.sync(shop())
    return bench


# -- complete records: what is not there has been cleared


def test_a_field_that_disappears_from_a_complete_record_is_cleared(bench: Workbench) -> None:
    bench.sync(shop(Size=3))

    result = bench.sync(shop(day=2))

    assert counted(result) == {"read": 1, "updated": 1}
    assert bench.shop()["size"] is None
    assert bench.changes()[0]["before"]["size"] == 3


def test_absent_and_null_are_the_same_in_a_complete_record(bench: Workbench) -> None:
    bench.sync(shop(Size=None))
    before = bench.writes(*bench.co_owned)

    result = bench.sync(shop())

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert bench.writes(*bench.co_owned) == before


def test_a_locally_filled_field_stays_while_the_source_keeps_having_nothing(
    bench: Workbench,
) -> None:
    bench.sync(shop())
    bench.edit(size=7)

    bench.sync(shop(day=2))
    bench.sync(shop(day=3, Size=None))

    assert bench.shop()["size"] == 7
    assert bench.conflicts() == []


# -- partial records: what is not there is not known


def test_a_field_absent_from_a_partial_record_is_left_alone(shops: Workbench) -> None:
    shops.sync(desk(label="A", width=1), entity=DESK)

    result = shops.sync(desk(width=2), entity=DESK)

    assert counted(result) == {"read": 1, "updated": 1}
    assert (shops.desk()["label"], shops.desk()["width"]) == ("A", Decimal(2))


def test_a_null_in_a_partial_record_clears_the_field(shops: Workbench) -> None:
    shops.sync(desk(label="A"), entity=DESK)

    shops.sync(desk(label=None), entity=DESK)

    assert shops.desk()["label"] is None


def test_a_partial_record_leaves_the_base_of_absent_fields_where_it_was(shops: Workbench) -> None:
    shops.sync(desk(label="A", width=1), entity=DESK)
    shops.run("update desk set label = 'Ours'")
    shops.sync(desk(width=2), entity=DESK)

    result = shops.sync(desk(label="A", width=2), entity=DESK)

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert shops.desk()["label"] == "Ours"


def test_a_field_never_delivered_has_no_base(shops: Workbench) -> None:
    shops.sync(desk(width=1), entity=DESK)
    assert shops.row("select _unknown from sync_base.shops__desk") == {"_unknown": ["label"]}
    shops.run("update desk set label = 'Ours'")

    cleared = shops.sync(desk(label=None), entity=DESK)

    # First contact of this one field: a null erases nothing, and from now on there is a base.
    assert counted(cleared) == {"read": 1, "unchanged": 1}
    assert shops.desk()["label"] == "Ours"
    assert shops.row("select _unknown from sync_base.shops__desk") == {"_unknown": None}


def test_a_field_delivered_for_the_first_time_meets_an_empty_or_a_filled_column(
    shops: Workbench,
) -> None:
    shops.sync(desk(1, width=1), desk(2, width=1), entity=DESK)
    shops.run("update desk set label = 'Ours' where number = 2")

    shops.sync(desk(1, label="A"), desk(2, label="B"), entity=DESK)

    assert (shops.desk(number=1)["label"], shops.desk(number=2)["label"]) == ("A", "B")
    assert [c["before"] for c in shops.changes()] == [{"label": None}, {"label": "Ours"}]
    assert shops.conflicts() == []


def test_an_inserted_partial_record_leaves_the_other_fields_unknown(shops: Workbench) -> None:
    shops.sync(desk(), entity=DESK)

    base = shops.row("select label, width, _unknown from sync_base.shops__desk")
    assert base == {"label": None, "width": None, "_unknown": ["label", "width"]}


def test_two_partial_records_of_one_key_are_not_mixed(shops: Workbench) -> None:
    result = shops.sync(desk(label="A"), desk(width=2), entity=DESK)

    assert counted(result) == {"read": 2, "inserted": 1, "duplicates": 1}
    assert (shops.desk()["label"], shops.desk()["width"]) == (None, Decimal(2))


# -- a field that the mapping did not have before


def with_city(shop_entity: Entity) -> Entity:
    return dataclasses.replace(
        shop_entity, columns=(*shop_entity.columns, Field("city", text, "City"))
    )


@pytest.fixture
def extended(bench: Workbench) -> Workbench:
    """Two synced shops, one of them with a local city, and then `City` becomes a field."""
    bench.run("alter table shop add column city text")
    bench.sync(shop("s1", City="Rome"), shop("s2", City="Oslo"), shop("s3"))
    bench.run("update shop set city = 'Our town' where shop_id in ('s2', 's3')")
    bench.system = System("shops", (with_city(SHOP), DESK))
    migrate.migrate(bench.dsn, metadata([bench.system]))
    return bench


def test_a_field_new_to_the_mapping_has_no_base_yet(extended: Workbench) -> None:
    unknown = extended.rows("select distinct _unknown from sync_base.shops__shop")

    assert unknown == [{"_unknown": ["city"]}]


def test_a_field_new_to_the_mapping_is_read_from_records_that_did_not_change(
    extended: Workbench,
) -> None:
    result = extended.sync(shop("s1", City="Rome"), shop("s2", City="Oslo"), shop("s3"))

    assert counted(result) == {"read": 3, "updated": 2, "unchanged": 1}
    assert [extended.shop(key)["city"] for key in ("s1", "s2", "s3")] == [
        "Rome",
        "Oslo",
        "Our town",
    ]
    assert extended.base("s3")["_unknown"] is None


def test_a_field_new_to_the_mapping_keeps_a_local_value_under_policy_local(
    extended: Workbench,
) -> None:
    entity = extended.system["shop"]
    columns = tuple(
        dataclasses.replace(c, policy="local") if c.column == "city" else c  # pyright: ignore[reportCallIssue]
        for c in entity.columns
    )

    result = extended.sync(
        shop("s2", City="Oslo"), entity=dataclasses.replace(entity, columns=columns)
    )

    assert counted(result) == {"read": 1, "conflicted": 1}
    assert extended.shop("s2")["city"] == "Our town"
