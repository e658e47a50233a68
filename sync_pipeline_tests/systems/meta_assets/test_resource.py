"""Reading the numbers of connected workspaces: whose, with which token, and what the outcome says."""

import logging

import pytest

from sync_pipeline.errors import SettingsError, SourceRefused, SourceUnavailable
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.scope import Scope
from sync_pipeline.simulators.meta_assets.credentials import PHONES, SYSTEM_TOKEN, TOKENS
from sync_pipeline.simulators.meta_assets.errors import GraphError
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.entities import PHONE_NUMBER
from sync_pipeline.systems.meta_assets.resource import MetaSource
from sync_pipeline_tests.fixtures.meta_assets import HARBOUR, NORTH, SOUTH, Messenger, workspace
from sync_pipeline_tests.systems.meta_assets.fast_client import held, numbers, records_of


class TestEverything:
    def test_every_connected_workspace_is_read_with_its_own_token(
        self, messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
    ) -> None:
        north = messenger.connect_account("north", NORTH, TOKENS[NORTH])
        harbour = messenger.connect_account("harbour", HARBOUR, TOKENS[HARBOUR])
        meta.accounts.rate(PHONES[NORTH][0], None)
        stream = messenger.read(meta_source)
        records = records_of(stream)
        assert held(records) == numbers("north", NORTH) | numbers("harbour", HARBOUR)
        first = next(r for r in records if r["id"] == PHONES[NORTH][0])
        assert first == {
            "workspace_id": north,
            "waba_id": NORTH,
            "id": PHONES[NORTH][0],
            "display_phone_number": first["display_phone_number"],
            "verified_name": first["verified_name"],
        }
        outcome = stream.outcome
        assert (outcome.complete, outcome.partitions) == (True, sorted([north, harbour]))
        assert (outcome.partition_errors, outcome.problems) == ({}, [])
        assert (outcome.calls, outcome.notes) == (2, {"workspaces": 2})
        assert outcome.bytes == meta.stats.bytes

    def test_a_number_of_two_workspaces_is_two_records(
        self, messenger: Messenger, meta_source: MetaSource
    ) -> None:
        for name in ("agency", "owner"):
            messenger.connect_account(name, SOUTH, SYSTEM_TOKEN)
        records = records_of(messenger.read(meta_source))
        assert held(records) == numbers("agency", SOUTH) | numbers("owner", SOUTH)

    def test_the_newest_token_that_has_not_expired_wins(
        self, messenger: Messenger, meta_source: MetaSource
    ) -> None:
        messenger.connect_account("north", NORTH)
        messenger.give_token("north", "EAAoldest", updated_at="-9 days")
        messenger.give_token(
            "north",
            f" {TOKENS[NORTH]}\n",
            "meta_whatsapp",
            updated_at="-2 days",
            expires_at="1 day",
        )
        messenger.give_token("north", "EAAexpired", updated_at="-1 day", expires_at="-1 hour")
        messenger.give_token("north", "EAAofAnotherKind", "instagram")
        messenger.give_token("north", "  ")
        assert held(records_of(messenger.read(meta_source))) == numbers("north", NORTH)

    def test_a_workspace_without_a_token_uses_the_one_of_the_environment(
        self,
        messenger: Messenger,
        meta: MetaSimulator,
        meta_source: MetaSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        north = messenger.connect_account("north", NORTH)
        stream = messenger.read(meta_source)
        assert records_of(stream) == []
        assert stream.outcome.partition_errors[north].startswith(
            "HTTP 403: no token: the workspace has"
        )
        assert meta.stats.total == 0
        monkeypatch.setenv("META_ACCESS_TOKEN", SYSTEM_TOKEN)
        assert held(records_of(messenger.read(meta_source))) == numbers("north", NORTH)

    def test_without_the_apps_tables_there_is_nothing_to_do_and_a_note_says_so(
        self,
        messenger: Messenger,
        meta_source: MetaSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        messenger.connect_account("north", NORTH)
        messenger.run("drop table meta_tokens")
        monkeypatch.setenv("META_ACCESS_TOKEN", SYSTEM_TOKEN)
        stream = messenger.read(meta_source)
        assert held(records_of(stream)) == numbers("north", NORTH)
        assert "no table public.meta_tokens" in stream.outcome.notes["connections"]
        messenger.run("drop table meta_whatsapp_connections")
        stream = messenger.read(meta_source)
        assert records_of(stream) == []
        assert "no workspace is connected" in stream.outcome.notes["connections"]
        assert not stream.outcome.complete

    def test_a_range_of_time_cannot_be_read(self, meta_source: MetaSource) -> None:
        with pytest.raises(SettingsError, match="sends no modification time"):
            meta_source.read(PHONE_NUMBER, Scope(mode="range"), Progress())

    def test_without_a_url_it_says_what_to_set(
        self, messenger: Messenger, meta_source: MetaSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        messenger.connect_account("north", NORTH, TOKENS[NORTH])
        monkeypatch.delenv("META_GRAPH_URL")
        with pytest.raises(SettingsError, match="META_GRAPH_URL"):
            records_of(messenger.read(meta_source))


class TestFailures:
    def test_a_bad_token_is_an_error_of_its_workspace_and_the_others_go_on(
        self, messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
    ) -> None:
        north = messenger.connect_account("north", NORTH, TOKENS[NORTH])
        south = messenger.connect_account("south", SOUTH, TOKENS[SOUTH])
        meta.accounts.break_token(TOKENS[SOUTH], 460)
        stream = messenger.read(meta_source)
        assert held(records_of(stream)) == numbers("north", NORTH)
        message = (
            "HTTP 400: code 190, subcode 460: Error validating access token: The session has been"
            " invalidated because the user changed their password."
        )
        outcome = stream.outcome
        assert (outcome.complete, outcome.partitions) == (True, [north])
        assert outcome.partition_errors == {south: message}
        assert outcome.problems == [f"workspace {south}: {message}"]

    def test_a_workspace_is_read_only_if_each_of_its_accounts_is(
        self, messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
    ) -> None:
        agency = messenger.connect_account("agency", NORTH, SYSTEM_TOKEN)
        messenger.connect_account("agency", SOUTH)
        meta.errors.arm(GraphError(code=10, message="(#10) No"), path=SOUTH)
        stream = messenger.read(meta_source)
        assert held(records_of(stream)) == numbers("agency", NORTH)
        assert (stream.outcome.complete, stream.outcome.partitions) == (False, [])
        assert stream.outcome.partition_errors == {agency: "HTTP 400: code 10: (#10) No"}

    def test_what_was_read_before_an_error_counts_but_the_workspace_does_not(
        self, messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
    ) -> None:
        harbour = messenger.connect_account("harbour", HARBOUR, TOKENS[HARBOUR])
        meta.options.repeat_cursor = True
        stream = messenger.read(meta_source)
        assert held(records_of(stream)) == numbers("harbour", HARBOUR)
        assert stream.outcome.partitions == []
        assert list(stream.outcome.partition_errors) == [harbour]

    def test_refusals_for_all_of_them_are_reported_one_by_one(
        self, messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
    ) -> None:
        for name, waba in (("north", NORTH), ("south", SOUTH)):
            messenger.connect_account(name, waba, TOKENS[waba])
            meta.accounts.break_token(TOKENS[waba])
        stream = messenger.read(meta_source)
        assert records_of(stream) == []
        assert set(stream.outcome.partition_errors) == {workspace("north"), workspace("south")}

    def test_a_host_that_answers_nobody_fails_the_read(
        self,
        messenger: Messenger,
        meta: MetaSimulator,
        meta_source: MetaSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        messenger.connect_account("north", NORTH, TOKENS[NORTH])
        messenger.connect_account("south", SOUTH, TOKENS[SOUTH])
        monkeypatch.setenv("SYNC_SOURCE_OUTAGE", "1")
        meta.stop()
        with pytest.raises(SourceUnavailable, match="gave no workspace an answer"):
            records_of(messenger.read(meta_source))

    def test_no_outcome_and_no_log_holds_a_token(
        self,
        messenger: Messenger,
        meta: MetaSimulator,
        meta_source: MetaSource,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        meta.options.echo = "plain"
        for name, waba in (("north", NORTH), ("south", SOUTH), ("harbour", HARBOUR)):
            messenger.connect_account(name, waba, TOKENS[waba])
        meta.accounts.break_token(TOKENS[NORTH])
        meta.errors.arm(GraphError(code=10), token=TOKENS[SOUTH])
        stream = messenger.read(meta_source)
        assert len(held(records_of(stream))) == 60
        written = f"{stream!r} {meta_source!r} {meta_source.client!r} {caplog.text}"
        assert written.count("Malformed access token ***") > 2
        assert not any(token in written for token in TOKENS.values())


class TestFields:
    def test_they_are_returned_once_a_workspace_was_read(
        self, messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
    ) -> None:
        messenger.connect_account("a", NORTH, TOKENS[NORTH])
        messenger.connect_account("b", SOUTH, TOKENS[SOUTH])
        meta.accounts.break_token(TOKENS[NORTH])
        mapped = {s for field in PHONE_NUMBER.fields for s in field.sources}
        assert mapped < set(meta_source.fields()["phone_numbers"])

    def test_no_answer_at_all_is_an_error(
        self, messenger: Messenger, meta: MetaSimulator, meta_source: MetaSource
    ) -> None:
        messenger.connect_account("north", NORTH, TOKENS[NORTH])
        meta.accounts.withhold(TOKENS[NORTH])
        with pytest.raises(SourceRefused, match="whatsapp_business_management"):
            meta_source.fields()
