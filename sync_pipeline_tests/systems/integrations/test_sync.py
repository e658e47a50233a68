"""One menu into the product's three tables: counts, missing items, unchanged menus."""

from sync_pipeline.cli import source_record
from sync_pipeline.simulators.integrations.node import CATEGORY
from sync_pipeline.systems.integrations.entities import INTEGRATIONS, PRODUCT
from sync_pipeline_tests.fixtures.integrations_system import Menus
from sync_pipeline_tests.systems.integrations.items import counts, sellable


def test_the_first_sync_creates_and_the_second_updates_without_duplicates(menus: Menus) -> None:
    assert menus.sync("1001").success
    first = counts(menus)
    path = sellable(menus, "1001")
    menus.restaurants.reprice("1001", path, "77.25")

    run = menus.sync("1001")

    assert counts(menus) == first
    step = menus.steps(run)["integration_product", "1001"]
    assert (step["counts"]["inserted"], step["counts"]["updated"]) == (0, 1)
    row = menus.row(
        "select data ->> 'price' as price, last_synced_at > created_at as stamped"
        " from integration_products where external_id = %s",
        path,
    )
    assert row == {"price": "77.25", "stamped": True}


def test_a_moved_path_is_a_delete_and_an_insert_in_the_accounting(menus: Menus) -> None:
    menus.sync("1001")
    path = sellable(menus, "1001")
    here = path.rpartition("-")[0]
    there = next(
        p
        for p in menus.restaurants.paths("1001", CATEGORY)
        if p != here
        and menus.rows("select from integration_products where external_id like %s", f"{p}-%")
    )
    moved = menus.restaurants.move("1001", path, there)

    run = menus.sync("1001")

    step = menus.steps(run)["integration_product", "1001"]
    assert step["counts"]["inserted"] == 1
    assert step["facts"]["missing"] == 1
    rows = menus.rows(
        "select external_id, is_missing from integration_products where external_id in (%s, %s)"
        " order by is_missing",
        path,
        moved,
    )
    assert [(r["external_id"], r["is_missing"]) for r in rows] == [(moved, False), (path, True)]


def test_what_reappears_is_no_longer_missing(menus: Menus) -> None:
    menus.sync("1001")
    path = sellable(menus, "1001")
    menus.restaurants.mark_deleted("1001", path)
    menus.sync("1001")
    missing = menus.value(
        "select is_missing from integration_products where external_id = %s", path
    )
    menus.restaurants.mark_deleted("1001", path, deleted=False)

    menus.sync("1001")

    assert missing
    assert not menus.value(
        "select is_missing from integration_products where external_id = %s", path
    )


def test_a_price_of_nothing_stays_a_price(menus: Menus) -> None:
    menus.sync("1001")
    path = sellable(menus, "1001")
    menus.restaurants.reprice("1001", path, "0")
    menus.sync("1001")

    data = menus.value("select data from integration_products where external_id = %s", path)
    assert (data["price"], data["priced"]) == (0, True)
    assert menus.value("select count(*) from integration_discounts where discount_amount = 0") == 1


def test_an_item_without_id_is_rejected_alone(menus: Menus) -> None:
    run = menus.sync("1003")

    assert run.success
    step = menus.steps(run)["integration_product", "1003"]
    assert step["counts"]["rejected"] == 1
    assert step["counts"]["inserted"] == menus.value("select count(*) from integration_products")
    assert "mappingId is empty" in menus.value("select reason from sync.rejected")


def test_an_unchanged_menu_costs_no_work(menus: Menus) -> None:
    menus.sync("1001")
    writes = menus.writes()
    menus.qu.stats.reset()

    run = menus.sync("1001")

    step = menus.steps(run)["integration_product", "1001"]
    assert step["counts"]["read"] == 0
    assert step["facts"]["unchanged_since"] == menus.restaurants.generation("1001")
    assert menus.writes() == writes
    assert menus.history()[-1]["status"] == "success"


def test_the_same_menu_in_full_writes_nothing_and_keeps_what_people_edited(menus: Menus) -> None:
    menus.sync("1001")
    path = sellable(menus, "1001")
    menus.do("update integration_products set name = 'Ours' where external_id = %s", path)
    writes = menus.writes()

    run = menus.sync("1001", job="integrations_full")

    step = menus.steps(run)["integration_product", "1001"]
    assert step["counts"]["unchanged"] == step["counts"]["read"] - step["counts"]["duplicates"]
    assert menus.writes() == writes
    assert menus.value("select name from integration_products where external_id = %s", path) == (
        "Ours"
    )


def test_an_empty_menu_loses_nothing(menus: Menus) -> None:
    menus.sync("1001")
    for path in menus.restaurants.paths("1001", CATEGORY):
        menus.restaurants.mark_deleted("1001", path)

    run = menus.sync("1001")

    assert menus.steps(run)["integration_product", "1001"]["counts"]["read"] == 0
    assert menus.value("select count(*) from integration_products where is_missing") == 0


def test_items_that_the_target_rejected_are_read_again_although_the_menu_is_the_same(
    menus: Menus,
) -> None:
    menus.do("alter table integration_products add constraint short check (length(name) < 12)")
    first = menus.sync("1001")
    refused = menus.steps(first)["integration_product", "1001"]["counts"]["rejected"]
    menus.do("alter table integration_products drop constraint short")

    second = menus.sync("1001")

    assert refused > 0
    assert menus.steps(second)["integration_product", "1001"]["counts"]["inserted"] == refused
    assert menus.value("select count(*) from sync.rejected") == 0
    assert "were rejected, such as" in menus.history()[0]["error_message"]


def test_a_row_is_explained_with_what_the_menu_says_now(menus: Menus) -> None:
    menus.sync("1001", "1002")
    path = sellable(menus, "1002")
    menus.restaurants.reprice("1002", path, "77.25")
    config = menus.config("1002")
    key = f"{config.wand_source_id},{config.config_id},{path}"

    found = source_record.read_record(
        menus.connection, INTEGRATIONS, INTEGRATIONS[PRODUCT.name], key
    )

    assert found.problem is None
    assert found.values["data"]["price"] == 77.25
    assert found.values["site_id"] == 2


def test_discounts_that_all_end_are_missing_while_the_menu_goes_on(menus: Menus) -> None:
    menus.sync("1001")
    menus.restaurants.read("1001", lambda menu: menu.discounts.clear())
    menus.restaurants.touch("1001")

    menus.sync("1001")

    assert menus.value("select count(*) from integration_discounts where not is_missing") == 0
    assert menus.value("select count(*) from integration_products where is_missing") == 0


def test_force_reads_a_menu_that_is_the_same_and_takes_an_edit_back(menus: Menus) -> None:
    menus.sync("1001")
    path = sellable(menus, "1001")
    menus.do("update integration_products set name = 'Ours' where external_id = %s", path)

    menus.sync("1001", force=True)

    name = menus.value("select name from integration_products where external_id = %s", path)
    assert name != "Ours"
