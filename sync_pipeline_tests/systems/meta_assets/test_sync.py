"""What the numbers that were read, and the failures, do to the cache."""

from sync_pipeline.simulators.meta_assets.credentials import PHONES, TOKENS
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.resource import MetaSource
from sync_pipeline_tests.fixtures.meta_assets import NORTH, SOUTH, Messenger


def test_a_failed_workspace_keeps_its_rows_with_the_error_until_it_succeeds(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    for name, waba in (("north", NORTH), ("south", SOUTH)):
        messenger.connect_account(name, waba, TOKENS[waba])
    messenger.merge(messenger.read(meta_source))
    assert [row["last_error"] for row in messenger.cached()] == [None] * 3
    meta.accounts.break_token(TOKENS[SOUTH])
    meta.accounts.rename(PHONES[NORTH][0], "Moonlight Tours")
    before = messenger.cached("south")
    messenger.merge(messenger.read(meta_source))
    (row,) = messenger.cached("south")
    assert row["last_error"].startswith("HTTP 400: code 190, subcode 463: Error validating")
    assert row["last_synced_at"] == before[0]["last_synced_at"]
    assert "Moonlight Tours" in {row["verified_name"] for row in messenger.cached("north")}
    meta.accounts.restore_token(TOKENS[SOUTH])
    messenger.merge(messenger.read(meta_source))
    assert messenger.cached("south")[0]["last_error"] is None


def test_the_same_failure_once_more_writes_nothing(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    messenger.connect_account("south", SOUTH, TOKENS[SOUTH])
    messenger.connect_account("north", NORTH, TOKENS[NORTH])
    messenger.merge(messenger.read(meta_source))
    meta.accounts.break_token(TOKENS[SOUTH])
    messenger.merge(messenger.read(meta_source))
    before = messenger.rows("select ctid, xmin, * from meta_assets_cache order by id")
    messenger.merge(messenger.read(meta_source))
    after = messenger.rows("select ctid, xmin, * from meta_assets_cache order by id")
    assert after == before


def test_a_rating_that_is_left_out_is_left_alone(
    messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
) -> None:
    phone = PHONES[SOUTH][0]
    meta.accounts.rate(phone, "YELLOW")
    messenger.connect_account("south", SOUTH, TOKENS[SOUTH], phone=phone)
    messenger.merge(messenger.read(meta_source))
    meta.accounts.rate(phone, None)
    messenger.merge(messenger.read(meta_source, phone))
    assert messenger.cached("south")[0]["quality_rating"] == "YELLOW"
