"""One transaction and one partition for each source configuration; none affects another."""

import dataclasses
from decimal import Decimal

import pytest

from sync_pipeline.merge import guard
from sync_pipeline.merge.plan import PlanSummary
from sync_pipeline.merge.relations import Relations
from sync_pipeline.model.entity import Budget, Limit
from sync_pipeline.postgres.connect import connect
from sync_pipeline.systems.integrations.entities import PRODUCT
from sync_pipeline_tests.fixtures.integrations_system import Menus
from sync_pipeline_tests.systems.integrations.items import sellable


def test_two_sites_with_the_same_item_keep_their_own_prices(menus: Menus) -> None:
    menus.sync("1001")
    path = sellable(menus, "1001")
    menus.restaurants.reprice("1001", path, "5.00")
    menus.restaurants.reprice("1002", path, "6.50")

    assert menus.sync("1001", "1002").success

    rows = menus.rows(
        "select site_id, (data ->> 'price')::numeric as price from integration_products"
        " where external_id = %s order by site_id",
        path,
    )
    assert [(r["site_id"], r["price"]) for r in rows] == [(1, Decimal(5)), (2, Decimal("6.50"))]


def test_a_configuration_that_is_switched_off_is_not_synced(menus: Menus) -> None:
    menus.do("update integration_source_configs set is_active = false where site_id = 2")

    named, all_of_them = menus.sync("1002"), menus.sync()

    assert "INACTIVE_CONFIG" in named.failures
    assert {site for _, site in menus.steps(all_of_them)} == {"1001", "1003"}
    assert len(menus.history()) == 2


def test_a_configuration_without_establishment_says_which_and_what(menus: Menus) -> None:
    menus.do(
        'update integration_source_configs set config_params = \'{"brand": "382"}\' where site_id = 2'
    )

    run = menus.sync()

    assert "“Burgers 1002”" in run.failures
    assert "“establishment”" in run.failures
    assert (
        menus.value("select count(*) from integration_sync_history where status = 'success'") == 2
    )


def test_each_restaurant_is_a_partition(menus: Menus) -> None:
    menus.sync("1001")
    menus.sync()

    keys = {menus.config(e).partition_key for e in ("1001", "1002", "1003")}
    assert set(menus.instance.get_dynamic_partitions("integration_source_configs")) == keys


@pytest.mark.parametrize("name", ["Burgers 1002", "burgers 1002"])
def test_a_site_is_synced_now_by_its_name(menus: Menus, name: str) -> None:
    run = menus.sync(job="integrations_partial", mode="keys", ids=[name])

    assert {site for _, site in menus.steps(run)} == {"1002"}


def test_a_name_that_nobody_has_lists_those_that_there_are(menus: Menus) -> None:
    run = menus.sync(job="integrations_partial", mode="keys", ids=["Pizza"])

    assert "no source configuration is called 'Pizza'" in run.failures
    assert menus.config("1001").partition_key in run.failures


def test_items_stay_where_another_site_has_dropped_them(menus: Menus) -> None:
    menus.sync()
    path = sellable(menus, "1001")
    menus.restaurants.remove("1001", path)

    menus.sync()

    rows = menus.rows(
        "select site_id, is_missing from integration_products where external_id = %s order by 1",
        path,
    )
    assert [(r["site_id"], r["is_missing"]) for r in rows] == [(1, True), (2, False), (3, False)]


def test_a_menu_whose_configuration_changed_is_read_again(menus: Menus) -> None:
    menus.sync("1001")
    menus.do("update integration_source_configs set site_id = 77 where site_id = 1")

    run = menus.sync("1001")

    assert menus.steps(run)["integration_product", "1001"]["counts"]["updated"] > 20
    assert menus.value("select distinct site_id from integration_products") == 77


def test_a_configuration_that_is_deleted_meanwhile_keeps_no_other_from_being_synced(
    menus: Menus,
) -> None:
    menus.do(
        "create function close_down() returns trigger language plpgsql as $$ begin"
        " delete from integration_source_configs where site_id = 2; return null; end $$"
    )
    menus.do(
        "create trigger close_down after insert on integration_discounts"
        " for each statement execute function close_down()"
    )

    run = menus.sync()

    assert "does not exist" in run.failures
    assert set(menus.value("select array_agg(distinct site_id) from integration_products")) == {
        1,
        3,
    }


def test_what_the_guard_allows_is_weighed_against_the_site(menus: Menus) -> None:
    menus.sync()
    result = menus.value("select count(*) from integration_products where site_id = 1")
    entity = dataclasses.replace(PRODUCT, budget=Budget(updates=Limit(50, 5)))

    assert result > 20
    with connect(menus.dsn) as session:
        parts = [menus.config("1001").config_id]
        summary = PlanSummary(writes=result - 1)
        rel = Relations(entity.bound_to("integrations"))
        [found] = guard.findings(session, rel, summary, complete=False, partitions=parts)
        assert f"of {result} rows would be updated" in found
        assert guard.findings(session, rel, summary, complete=False) == []
