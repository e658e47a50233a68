"""Partial resyncs: single numbers and single workspaces."""

from sync_pipeline.simulators.meta_assets.credentials import PHONES, SYSTEM_TOKEN, TOKENS
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.resource import MetaSource
from sync_pipeline_tests.fixtures.meta_assets import NORTH, SOUTH, Messenger, workspace
from sync_pipeline_tests.systems.meta_assets.fast_client import held, numbers, records_of

NOT_THERE = "code 100, subcode 33: Unsupported get request. Object with ID"


def test_a_number_is_requested_by_itself_for_each_workspace_that_has_it(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    phone = PHONES[SOUTH][0]
    messenger.connect_account("owner", SOUTH, TOKENS[SOUTH], phone=phone)
    messenger.give_token("agency", SYSTEM_TOKEN)
    messenger.run(
        "insert into meta_assets_cache (workspace_id, phone_number_id, waba_id)"
        " values (%s, %s, null)",
        workspace("agency"),
        phone,
    )
    stream = messenger.read(meta_source, phone)
    records = records_of(stream)
    assert held(records) == {(workspace("owner"), phone), (workspace("agency"), phone)}
    # Of which account it is, only the connection knows.
    assert {r["workspace_id"]: r.get("waba_id") for r in records} == {
        workspace("owner"): SOUTH,
        workspace("agency"): None,
    }
    assert set(meta.stats.by_path) == {"GET /{id}"}
    outcome = stream.outcome
    assert (outcome.complete, outcome.partitions, outcome.problems) == (False, [], [])


def test_a_workspace_is_read_as_a_whole(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    north = messenger.connect_account("north", NORTH, TOKENS[NORTH])
    messenger.connect_account("south", SOUTH, TOKENS[SOUTH])
    stream = messenger.read(meta_source, north.upper(), f"{north}:{PHONES[NORTH][0]}")
    assert held(records_of(stream)) == numbers("north", NORTH)
    assert (stream.outcome.complete, stream.outcome.partitions) == (True, [north])
    assert meta.stats.total == 1


def test_a_new_number_of_a_workspace_is_looked_for_in_all_of_it(
    messenger: Messenger, meta_source: MetaSource
) -> None:
    north = messenger.connect_account("north", NORTH, TOKENS[NORTH])
    stream = messenger.read(meta_source, f"{north}:{PHONES[NORTH][1]}", f"{north}:404")
    assert held(records_of(stream)) == numbers("north", NORTH)
    assert stream.outcome.partitions == [north]
    assert stream.outcome.problems == [
        f"phone_numbers {north}:404: none of the workspace's accounts has this number"
    ]


def test_keys_that_nobody_knows_are_named(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    stranger = workspace("stranger")
    stream = messenger.read(meta_source, "404", stranger, f"{stranger}:404")
    assert records_of(stream) == []
    problems = stream.outcome.problems
    assert len(problems) == 3
    assert any("phone_numbers 404: no workspace is known" in p for p in problems)
    assert sum("has no account in meta_whatsapp_connections" in p for p in problems) == 2
    assert meta.stats.total == 0


def test_a_missing_number_is_no_error_of_its_workspace(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    phone = PHONES[NORTH][0]
    north = messenger.connect_account("north", NORTH, TOKENS[NORTH], phone=phone)
    meta.accounts.remove(phone)
    stream = messenger.read(meta_source, phone)
    assert records_of(stream) == []
    assert stream.outcome.partition_errors == {}
    (problem,) = stream.outcome.problems
    assert problem.startswith(f"phone_numbers {north}:{phone}: HTTP 400: {NOT_THERE}")
