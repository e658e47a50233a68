"""Menus into the product's three tables: one transaction for each source configuration."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from io import StringIO

import dagster as dg
import pytest
from rich.console import Console

from sync_pipeline.cli import output, source_record
from sync_pipeline.merge import guard
from sync_pipeline.merge.plan import PlanSummary
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.model.entity import Budget, Limit
from sync_pipeline.orchestration import launch
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.integrations.node import CATEGORY, GROUP
from sync_pipeline.systems.integrations import schedules
from sync_pipeline.systems.integrations.entities import INTEGRATIONS, PRODUCT
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline.systems.repairs import AFTER_MIGRATION
from sync_pipeline_tests.fixtures.integrations_system import Menus

TABLES = ("integration_products", "integration_modifiers", "integration_discounts")


def counts(menus: Menus) -> dict[str, int]:
    return {t: menus.value(f"select count(*) from {t}") for t in TABLES}


def sellable(menus: Menus, establishment: str) -> str:
    """The path of a product that is on the menu."""
    config = menus.config(establishment)
    return menus.value(
        "select min(external_id) from integration_products where source_config_id = %s"
        " and (data ->> 'price')::numeric > 0",
        config.config_id,
    )


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


def test_history_and_configuration_tell_what_was_saved(menus: Menus) -> None:
    run = menus.sync("1001")
    total = sum(counts(menus).values())

    assert menus.history() == [
        {
            "source_name": "QU POS",
            "status": "success",
            "items_synced": total,
            "error_message": None,
        }
    ]
    config = menus.row("select * from integration_source_configs where site_id = 1")
    assert (config["last_sync_status"], config["sync_count"], config["error_count"]) == (
        "success",
        1,
        0,
    )
    saved = menus.value("select metadata -> 'saved' from sync_history where id = %s", run.id)
    products, modifiers, discounts = counts(menus).values()
    assert saved == {
        menus.config("1001").partition_key: {
            "products": products,
            "modifiers": modifiers,
            "discounts": discounts,
            "total": total,
        }
    }


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


def test_what_comes_back_is_no_longer_missing(menus: Menus) -> None:
    menus.sync("1001")
    path = sellable(menus, "1001")
    menus.restaurants.mark_deleted("1001", path)
    menus.sync("1001")
    gone = menus.value("select is_missing from integration_products where external_id = %s", path)
    menus.restaurants.mark_deleted("1001", path, deleted=False)

    menus.sync("1001")

    assert gone
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


REFUSE = """
create function refuse() returns trigger language plpgsql as $$
begin raise exception 'not today' using errcode = 'insufficient_privilege'; end $$;
create trigger refuse before insert on integration_modifiers for each statement execute function refuse();
"""


def test_a_failure_at_the_modifiers_leaves_the_products_unwritten(menus: Menus) -> None:
    menus.do(REFUSE)

    run = menus.sync("1001")

    assert not run.success
    assert set(counts(menus).values()) == {0}
    [entry] = menus.history()
    assert entry["status"] == "failed"
    assert entry["error_message"].startswith("SAVE_ERROR: ")
    assert "not today" in entry["error_message"]
    config = menus.row("select * from integration_source_configs where site_id = 1")
    assert (config["sync_count"], config["error_count"]) == (0, 1)
    assert config["last_error"] == entry["error_message"]


def test_the_report_of_a_run_sums_the_sites_up_and_tells_them_apart(menus: Menus) -> None:
    run = menus.sync()

    report = launch.report(menus.connection, run.id, "completed")

    sold = menus.value("select count(*) from integration_products")
    assert report.entities["integration_product"]["inserted"] == sold
    assert len(report.steps) == 9
    assert {step["part"] for step in report.steps} == {c.config_id for c in menus.configs}
    assert "inserted" in printed(report)


def test_a_site_that_fails_is_told_of_in_the_table(menus: Menus) -> None:
    menus.qu.options.forbidden = ("1002",)
    run = menus.sync()

    assert "1 of 3 failed" in printed(launch.report(menus.connection, run.id, "partial_success"))


def printed(report: launch.RunReport) -> str:
    """What the command line shows of a run."""
    text = StringIO()
    output.run_report(Console(file=text, width=200), report, system="integrations")
    return text.getvalue()


def test_a_site_that_fails_keeps_no_other_from_being_synced(menus: Menus) -> None:
    menus.qu.options.forbidden = ("1002",)

    run = menus.sync()

    assert not run.success
    assert "FETCH_ERROR" in run.failures
    assert "burgers-1002" in run.failures
    statuses = {s: step["status"] for (e, s), step in menus.steps(run).items() if "product" in e}
    assert statuses == {"1001": "completed", "1002": "failed", "1003": "completed"}
    ended = {h["status"]: h["error_message"] for h in menus.history()}
    assert [h["status"] for h in menus.history()].count("success") == 2
    assert ended["failed"].startswith("FETCH_ERROR: ")


def test_sound_json_that_is_no_menu_is_a_format_error(menus: Menus) -> None:
    menus.qu.faults.add(Fault(kind="status", type="menus", status=200, body="json"))

    menus.sync("1001")

    assert menus.history()[-1]["error_message"].startswith("FORMAT_ERROR: ")


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


def test_what_a_killed_run_left_open_is_closed_by_the_next(menus: Menus) -> None:
    menus.do(
        "insert into integration_sync_history (source_name, source_config_id, status)"
        " values ('QU POS', %s, 'in_progress')",
        menus.config("1001").config_id,
    )

    menus.sync("1001")

    assert [h["status"] for h in menus.history()] == ["failed", "success"]
    assert "interrupted" in menus.history()[0]["error_message"]


def test_a_menu_that_has_lost_much_is_stopped_and_none_of_it_is_written(menus: Menus) -> None:
    menus.sync("1001")
    menus.restaurants.reprice("1001", sellable(menus, "1001"), "77.25")
    for path in menus.restaurants.paths("1001", GROUP)[1:]:
        menus.restaurants.mark_deleted("1001", path)

    run = menus.sync("1001")

    assert "stopped by the guard" in run.failures
    assert "are no longer at the source" in run.failures
    assert menus.value("select count(*) from integration_modifiers where is_missing") == 0
    assert (
        menus.value("select count(*) from integration_products where data ->> 'price' = '77.25'")
        == 0
    )
    assert menus.history()[-1]["error_message"].startswith("SAVE_ERROR: ")


def test_an_empty_menu_loses_nothing(menus: Menus) -> None:
    menus.sync("1001")
    for path in menus.restaurants.paths("1001", CATEGORY):
        menus.restaurants.mark_deleted("1001", path)

    run = menus.sync("1001")

    assert menus.steps(run)["integration_product", "1001"]["counts"]["read"] == 0
    assert menus.value("select count(*) from integration_products where is_missing") == 0


def test_a_dry_run_enters_nothing_into_the_products_own_account(menus: Menus) -> None:
    run = menus.sync("1001", dry_run=True)

    assert run.success
    assert menus.history() == []
    assert set(counts(menus).values()) == {0}
    assert menus.value("select count(*) from sync.plan where part <> ''") == 3


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


def test_what_the_target_refused_is_asked_for_again_although_the_menu_is_the_same(
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


def test_a_shorter_unique_index_is_told_of_before_it_rejects_a_menu(menus: Menus) -> None:
    shorter = "create unique index shorter on integration_products (wand_source_id, external_id)"
    menus.do(shorter)

    run = menus.sync("1001")

    assert "doctor --fix" in run.failures
    assert menus.value("select count(*) from integration_products") == 0
    assert menus.history()[0]["error_message"].startswith("SAVE_ERROR: ")
    migrate.migrate(menus.dsn, metadata(SYSTEMS), AFTER_MIGRATION)
    assert menus.sync("1001", "1002").success
    assert menus.value("select count(*) from sync.rejected") == 0


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


def test_without_the_tables_of_the_product_a_sync_says_what_is_missing(menus: Menus) -> None:
    menus.do("drop table integration_source_configs")

    run = menus.sync()

    assert "no tables integration_source_configs" in run.failures
    skipped = schedules.due(menus.instance, dt.datetime.now(dt.UTC))
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == run.failures


def test_a_menu_of_which_nothing_was_taken_is_no_success(menus: Menus) -> None:
    for table in TABLES:
        menus.do(f"alter table {table} add constraint never check (external_id = '')")

    menus.sync("1001")

    [entry] = menus.history()
    assert entry["status"] == "failed"
    assert entry["error_message"].startswith("SAVE_ERROR: ")
    assert menus.value("select error_count from integration_source_configs where site_id = 1") == 1


def test_discounts_that_all_end_are_missing_while_the_menu_goes_on(menus: Menus) -> None:
    menus.sync("1001")
    menus.restaurants.read("1001", lambda grown: grown.discounts.clear())
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
        [found] = guard._updates(session, rel, summary, parts)
        assert f"of {result} rows would be updated" in found
        assert list(guard._updates(session, rel, summary, None)) == []
