"""Runs that fail or write nothing, and what history, configuration and report say of each run."""

import datetime as dt
from io import StringIO

import dagster as dg
from rich.console import Console

from sync_pipeline.cli import output
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.orchestration import run_report
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.integrations.node import GROUP
from sync_pipeline.systems.integrations import schedules
from sync_pipeline.systems.migration_hooks import AFTER_MIGRATION
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.fixtures.integrations_system import Menus
from sync_pipeline_tests.systems.integrations.items import TABLES, counts, sellable


def test_history_and_configuration_have_what_was_saved(menus: Menus) -> None:
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


def test_the_report_of_a_run_sums_the_sites_up_and_lists_each(menus: Menus) -> None:
    run = menus.sync()

    report = run_report.report(menus.connection, run.id, "completed")

    sold = menus.value("select count(*) from integration_products")
    assert report.entities["integration_product"]["inserted"] == sold
    assert len(report.steps) == 9
    assert {step["part"] for step in report.steps} == {c.config_id for c in menus.configs}
    assert "inserted" in printed(report)


def test_a_site_that_fails_is_counted_in_the_table(menus: Menus) -> None:
    menus.qu.options.forbidden = ("1002",)
    run = menus.sync()

    assert "1 of 3 failed" in printed(
        run_report.report(menus.connection, run.id, "partial_success")
    )


def printed(report: run_report.RunReport) -> str:
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


def test_a_dry_run_writes_nothing_into_the_products_history(menus: Menus) -> None:
    run = menus.sync("1001", dry_run=True)

    assert run.success
    assert menus.history() == []
    assert set(counts(menus).values()) == {0}
    assert menus.value("select count(*) from sync.plan where part <> ''") == 3


def test_a_shorter_unique_index_is_reported_before_it_rejects_a_menu(menus: Menus) -> None:
    shorter = "create unique index shorter on integration_products (wand_source_id, external_id)"
    menus.do(shorter)

    run = menus.sync("1001")

    assert "doctor --fix" in run.failures
    assert menus.value("select count(*) from integration_products") == 0
    assert menus.history()[0]["error_message"].startswith("SAVE_ERROR: ")
    migrate.migrate(menus.dsn, metadata(SYSTEMS), AFTER_MIGRATION)
    assert menus.sync("1001", "1002").success
    assert menus.value("select count(*) from sync.rejected") == 0


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
