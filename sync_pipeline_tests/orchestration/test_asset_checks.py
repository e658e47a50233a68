"""Asset checks: each passes on clean data, and fails when what it looks for is really there."""

from typing import Any

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.merge.stream import EntityBatches
from sync_pipeline.model.scope import Scope
from sync_pipeline.orchestration.asset_checks import entity_checks
from sync_pipeline.orchestration.io_manager import merge_io_manager
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase
from sync_pipeline_tests.fixtures.bubble_system import (
    AGENT,
    CUSTOMER,
    ENTITIES,
    INVOICE,
    BubbleSystem,
    uid,
)
from sync_pipeline_tests.fixtures.dagster_run import SILENT
from sync_pipeline_tests.fixtures.sample_system import SHOPS, Workbench

UNKNOWN = uid(99)


def check(
    bubble_system: BubbleSystem, entity: str, *names: str
) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the checks of an entity, or some of them, without syncing it."""
    key = dg.AssetKey(["bubble", entity])
    selection: dg.AssetSelection = dg.AssetSelection.checks_for_assets(key)
    if names:
        selection = dg.AssetSelection.checks(*(dg.AssetCheckKey(key, name) for name in names))
    job = dg.define_asset_job("only_checks", selection=selection)
    looking = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    result = looking.resolve_job_def("only_checks").execute_in_process(
        instance=bubble_system.instance, run_config=SILENT
    )
    return {c.check_name: c for c in result.get_asset_check_evaluations()}


def value(evaluation: dg.AssetCheckEvaluation, name: str) -> Any:
    return evaluation.metadata[name].value


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_check_passes_on_clean_data(tiny: BubbleSystem, entity: str) -> None:
    found = check(tiny, entity)

    assert {name: c.description for name, c in found.items() if not c.passed} == {}
    assert {"accounting", "unique_index", "no_duplicate_keys", "row_count", "freshness"} <= set(
        found
    )
    assert "links" in found


def test_checks_run_with_every_sync(tiny: BubbleSystem) -> None:
    run = tiny.run("bubble_sync", "invoice", "payment", checks=True)

    assert all(c.passed for c in run.checks("invoice").values())
    assert len(run.checks("invoice")) == len(run.checks("payment")) == 8
    assert run.checks("agent") == {}


def test_one_check_can_be_run_alone(tiny: BubbleSystem) -> None:
    assert set(check(tiny, "agent", "unique_index")) == {"unique_index"}


@pytest.mark.parametrize(
    ("entity", "column", "planted", "where"),
    [
        ("invoice", "linked_customer", UNKNOWN, "no customer"),
        ("invoice", "linked_payment", [uid(5), UNKNOWN], "no payment or submitted_payment"),
        ("invoice", "created_by", UNKNOWN, "no user"),
        ("user", "linked_agent_profile", UNKNOWN, "no agent"),
        ("payment", "linked_invoice", UNKNOWN, "no invoice"),
        ("seda_registration", "linked_invoice", [UNKNOWN, INVOICE], "no invoice"),
        ("agent", "linked_user_login", UNKNOWN, "no user"),
    ],
)
def test_a_dangling_link_is_named(
    tiny: BubbleSystem, entity: str, column: str, planted: object, where: str
) -> None:
    [row] = tiny.keys(entity)
    tiny.edit_here(entity, row, **{column: planted})

    links = check(tiny, entity)["links"]

    assert not links.passed
    assert links.severity is dg.AssetCheckSeverity.WARN
    assert value(links, "dangling") == 1
    assert f"- {column}: 1 point at {where}, such as {row} → {UNKNOWN}" in value(links, "details")


def test_links_of_the_admin_and_agents_by_their_login_do_not_dangle(tiny: BubbleSystem) -> None:
    login = tiny.here("agent", AGENT)["linked_user_login"]
    tiny.edit_here("invoice", INVOICE, created_by="admin_user_suria_live", linked_agent=login)

    assert check(tiny, "invoice")["links"].passed


def test_links_to_what_is_synced_later_in_the_run_do_not_dangle(tiny: BubbleSystem) -> None:
    payment = tiny.create_there("payment", **{"Linked Invoice": INVOICE})
    user = tiny.create_there("user", Dealership="North")
    tiny.touch_there("invoice", INVOICE, **{"Linked Payment": [payment]})
    tiny.touch_there("agent", AGENT, **{"Linked User Login": user})

    run = tiny.run(checks=True)

    assert run.checks("invoice")["links"].passed
    assert run.checks("agent")["links"].passed


def test_an_empty_link_does_not_dangle(tiny: BubbleSystem) -> None:
    tiny.edit_here("invoice", INVOICE, linked_customer="", linked_payment=[], created_by=None)

    assert check(tiny, "invoice")["links"].passed


def test_dangling_links_of_a_whole_company_are_counted_as_they_are(synced: BubbleSystem) -> None:
    users = synced.keys("user")
    expected = sum(
        1
        for row in synced.rows("select created_by from payment where created_by <> ''")
        if row["created_by"] not in users and not row["created_by"].startswith("admin_user_")
    )
    for column, parents in (
        ("linked_invoice", synced.keys("invoice")),
        ("linked_customer", synced.keys("customer")),
    ):
        rows = synced.rows(f"select {column} as link from payment where {column} <> ''")
        expected += sum(row["link"] not in parents for row in rows)
    agents = synced.keys("agent") | {
        row["linked_user_login"] for row in synced.rows("select linked_user_login from agent")
    }
    rows = synced.rows("select linked_agent as link from payment where linked_agent <> ''")
    expected += sum(row["link"] not in agents for row in rows)

    links = check(synced, "payment")["links"]

    assert expected > 0
    assert value(links, "dangling") == expected


def test_a_table_without_its_unique_index_comes_with_the_fix(tiny: BubbleSystem) -> None:
    drop_index(tiny, "agent")

    index = check(tiny, "agent")["unique_index"]

    assert not index.passed
    assert index.severity is dg.AssetCheckSeverity.ERROR
    assert "no valid, total unique index on (bubble_id)" in (index.description or "")
    assert "sync-pipeline migrate" in (index.description or "")


def test_a_partial_unique_index_is_no_unique_index(tiny: BubbleSystem) -> None:
    drop_index(tiny, "agent")
    tiny.db.run("create unique index agent_some on agent (bubble_id) where name is not null")

    assert not check(tiny, "agent")["unique_index"].passed


def test_a_sync_into_a_table_without_its_unique_index_fails_before_it_writes(
    tiny: BubbleSystem,
) -> None:
    drop_index(tiny, "agent")
    tiny.edit_there("agent", AGENT, Name="Someone else")
    before = tiny.here("agent", AGENT)

    run = tiny.run("bubble_sync", "agent", checks=True)

    assert "no valid, total unique index" in run.failure("agent")
    assert "42P10" not in run.failure("agent")
    assert tiny.here("agent", AGENT) == before


def drop_index(bubble_system: BubbleSystem, entity: str) -> None:
    [index] = bubble_system.rows(
        "select indexrelid::regclass::text as name from pg_index"
        " where indrelid = %s::regclass and indisunique and not indisprimary",
        entity,
    )
    bubble_system.db.run(f"drop index {index['name']}")


def test_a_repeated_key_is_found(tiny: BubbleSystem) -> None:
    drop_index(tiny, "customer")
    tiny.db.run("insert into customer (customer_id, name) select customer_id, 'twin' from customer")

    found = check(tiny, "customer")

    assert not found["no_duplicate_keys"].passed
    assert value(found["no_duplicate_keys"], "repeated_keys") == 1
    assert not found["unique_index"].passed


def test_a_table_that_lost_rows_since_the_run_before_is_found(synced: BubbleSystem) -> None:
    synced.run("bubble_sync", "customer", checks=True)
    rows = synced.count("customer")
    lost = rows // 10
    synced.db.run(
        f"delete from customer where id in (select id from customer order by id limit {lost})"
    )

    run = synced.run("bubble_sync", "customer", checks=True)

    fell = run.checks("customer")["row_count"]
    assert not fell.passed
    assert fell.severity is dg.AssetCheckSeverity.WARN
    assert fell.description == f"row_count fell from {rows} to {rows - lost}"
    assert synced.run("bubble_sync", "customer", checks=True).checks("customer")["row_count"].passed


def test_a_table_that_lost_a_few_rows_is_within_bounds(synced: BubbleSystem) -> None:
    synced.run("bubble_sync", "customer", checks=True)
    synced.db.run("delete from customer where id = (select min(id) from customer)")

    assert synced.run("bubble_sync", "customer", checks=True).checks("customer")["row_count"].passed


def test_a_failed_last_run_is_found_with_its_reason(tiny: BubbleSystem) -> None:
    tiny.bubble.options.disabled_types = ("agent",)
    tiny.run("bubble_sync", "agent", checks=True)

    stale = check(tiny, "agent")["freshness"]

    assert not stale.passed
    assert "the last run failed: Bubble refused" in (stale.description or "")


def test_a_run_that_the_guard_stopped_is_not_fresh_either(synced: BubbleSystem) -> None:
    synced.bubble.store.hide_field("invoice", "Type")
    synced.run("bubble_full", "invoice")

    stale = check(synced, "invoice")["freshness"]

    assert not stale.passed
    assert "the last run stopped" in (stale.description or "")


def test_a_table_that_was_not_synced_for_more_than_a_day_is_stale(tiny: BubbleSystem) -> None:
    tiny.db.run(
        "update sync.step set finished_at = now() - interval '27 hours' where entity = 'agent'"
    )

    stale = check(tiny, "agent")["freshness"]

    assert not stale.passed
    assert value(stale, "age_minutes") >= 27 * 60


def test_a_table_that_was_never_synced_is_not_fresh(bubble_system: BubbleSystem) -> None:
    stale = check(bubble_system, "agent")["freshness"]

    assert not stale.passed
    assert stale.description == "never synced"


def test_counts_that_do_not_add_up_are_found(tiny: BubbleSystem) -> None:
    tiny.db.run(
        "update sync.step set counts = jsonb_set(counts, '{read}', '7') where entity = 'agent'"
    )

    accounting = check(tiny, "agent")["accounting"]

    assert not accounting.passed
    assert value(accounting, "read") == 7


def test_without_its_table_every_check_of_an_entity_says_what_to_do(tiny: BubbleSystem) -> None:
    tiny.db.run("drop table payment")

    found = check(tiny, "payment")

    assert len(found) == 8
    assert {c.description for c in found.values()} == {"the table does not exist; migrate first"}
    assert not any(c.passed for c in found.values())


def test_a_failing_check_of_one_table_does_not_keep_its_children_from_syncing(
    tiny: BubbleSystem,
) -> None:
    tiny.edit_here("customer", CUSTOMER, created_by=UNKNOWN)

    run = tiny.run(checks=True)

    assert not run.checks("customer")["links"].passed
    assert run.success
    assert set(ENTITIES) <= run.materialized


# -- an entity that shares its table with other owners


@pytest.fixture
def desks(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A table of which some rows belong to others."""
    monkeypatch.setenv("SYNC_TARGET_DSN", bench.dsn)
    bench.sync(*({"_id": f"s{n}", "Name": "Corner"} for n in range(3)))
    for number in range(3):
        bench.run("insert into desk (shop_id, number, source) values ('s1', %s, 'M')", number)
    return bench


def sync_desks(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    @dg.asset(key=["shops", "desk"], io_manager_key="merge")
    def desk() -> dg.MaterializeResult:
        batches = [[{"shop_id": "s2", "number": 1}]]
        return dg.MaterializeResult(value=EntityBatches(SHOPS["desk"], batches, Scope(mode="keys")))

    shared = dg.Definitions(
        assets=[desk],
        asset_checks=[
            checks
            for checks in entity_checks(SHOPS)
            if {key.asset_key.path[-1] for key in checks.check_keys} == {"desk"}
        ],
        resources={
            "target": TargetDatabase(),
            "scope": SyncScope(),
            "merge": merge_io_manager([SHOPS]),
        },
    )
    result = shared.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, run_config=SILENT
    )
    return {c.check_name: c for c in result.get_asset_check_evaluations()}


def test_rows_of_other_owners_that_become_fewer_are_found(desks: Workbench) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        sync_desks(instance)
        assert sync_desks(instance)["owner_rows"].passed
        desks.run("delete from desk where source = 'M' and number = 2")

        fewer = sync_desks(instance)["owner_rows"]

        assert not fewer.passed
        assert fewer.description == "rows_of_other_owners fell from 3 to 2"
        assert sync_desks(instance)["owner_rows"].passed
