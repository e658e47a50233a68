"""The phone cache under Dagster: a run over all workspaces, and the questions that its checks ask."""

from collections.abc import Callable

import dagster as dg
import pytest

from sync_pipeline.orchestration.asset_keys import asset_key
from sync_pipeline.simulators.meta_assets.credentials import PHONES, TOKENS
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.assets import ENTITY
from sync_pipeline_tests.fixtures.dagster_run import DagsterRun, launchpad, run_job
from sync_pipeline_tests.fixtures.meta_assets import NORTH, SOUTH, Messenger

Run = Callable[..., DagsterRun]


@pytest.fixture
def run(messenger: Messenger) -> Run:
    """Runs a job with two workspaces connected."""
    messenger.connect_account("north", NORTH, TOKENS[NORTH])
    messenger.connect_account("south", SOUTH, TOKENS[SOUTH])

    def launched(
        job: str = "meta_assets_sync", *, checks: bool = False, **scope: object
    ) -> DagsterRun:
        with dg.DagsterInstance.ephemeral() as instance:
            return run_job(instance, job, launchpad(scope), checks=checks)

    return launched


def test_every_workspace_is_synced_and_the_checks_agree(messenger: Messenger, run: Run) -> None:
    found = run(checks=True)

    assert found.success
    assert found.materialized == {asset_key(ENTITY).to_user_string()}
    assert len(messenger.cached()) == 3
    checks = found.checks(ENTITY)
    assert {"unique_index", "no_duplicate_keys", "upsert_works"} <= set(checks)
    assert [name for name, check in checks.items() if not check.passed] == []


def test_a_bad_token_is_reported_and_leaves_the_others_synced(
    messenger: Messenger, meta: MetaSimulator, run: Run
) -> None:
    run()
    meta.accounts.break_token(TOKENS[NORTH])
    meta.accounts.rename(PHONES[SOUTH][0], "Harbour Grill")

    found = run(checks=True)

    assert found.success
    names = {row["verified_name"] for row in messenger.cached("south")}
    assert names == {"Harbour Grill"}
    errors = {row["last_error"] for row in messenger.cached("north")}
    assert len(errors) == 1
    assert str(errors.pop()).startswith("HTTP 400: ")
    warned = found.checks(ENTITY)["workspace_errors"]
    assert not warned.passed
    message = (
        f"{warned.description} {found.metadata(ENTITY)} {messenger.rows('select * from sync.step')}"
    )
    assert TOKENS[NORTH] not in message


def test_rows_without_a_number_are_nobodys_duplicates(messenger: Messenger, run: Run) -> None:
    run()
    workspace = messenger.cached("north")[0]["workspace_id"]
    for business in ("a", "b"):
        messenger.run(
            "insert into meta_assets_cache (workspace_id, business_id) values (%s, %s)",
            workspace,
            business,
        )

    found = run(checks=True)

    assert found.checks(ENTITY)["no_duplicate_keys"].passed
    # The question of the product's own document counts them as duplicates, which the index allows.
    asked = (
        "select workspace_id, phone_number_id, count(*) from meta_assets_cache"
        " group by workspace_id, phone_number_id having count(*) > 1"
    )
    assert len(messenger.rows(asked)) == 1


def test_an_upsert_that_would_fail_is_found_before_a_program_tries(
    messenger: Messenger, run: Run
) -> None:
    run()
    messenger.run(
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin raise exception 'no more numbers'; end $$"
    )
    messenger.run(
        "create trigger refuse before insert on meta_assets_cache for each row execute function refuse()"
    )
    before = messenger.cached()

    check = run(checks=True).checks(ENTITY)["upsert_works"]

    assert not check.passed
    assert "no more numbers" in (check.description or "")
    assert messenger.cached() == before


def test_one_number_is_synced_on_demand(
    messenger: Messenger, meta: MetaSimulator, run: Run
) -> None:
    run()
    number = messenger.cached("south")[0]["phone_number_id"]
    for phone in (*PHONES[NORTH], *PHONES[SOUTH]):
        meta.accounts.rename(phone, "Renamed")

    run("meta_assets_partial", mode="keys", ids=[number])

    names = {row["phone_number_id"]: row["verified_name"] for row in messenger.cached()}
    assert [n for n, name in names.items() if name == "Renamed"] == [number]
