"""The Graph API as a Dagster resource: reads the phone numbers of every connected workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from sync_pipeline.errors import SettingsError, SourceRefused, SourceUnavailable
from sync_pipeline.merge.stream import EntityBatches, Progress, SourceOutcome
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.settings import Settings
from sync_pipeline.sources.http.resource import HttpSource, traffic_counted
from sync_pipeline.sources.http.retry import RetryPolicy
from sync_pipeline.systems.meta_assets.api.client import MetaClient, ReadResult
from sync_pipeline.systems.meta_assets.entities import PHONE_NUMBER
from sync_pipeline.systems.meta_assets.read_outcome import OutcomeBuilder
from sync_pipeline.systems.meta_assets.read_plan import ReadPlan, by_keys, every_workspace
from sync_pipeline.systems.meta_assets.settings import SOURCE, TOKEN, URL
from sync_pipeline.systems.meta_assets.workspaces import connected, holders

Record = dict[str, Any]

OURS = ("workspace_id", "waba_id")
"""Fields of a record that say for whom and where it was asked; Graph does not send them."""

ON_OFFER = (
    "account_mode",
    "code_verification_status",
    "country_code",
    "country_dial_code",
    "display_phone_number",
    "host_platform",
    "id",
    "is_official_business_account",
    "messaging_limit_tier",
    "name_status",
    "platform_type",
    "quality_rating",
    "status",
    "throughput",
    "username",
    "verified_name",
)
"""What Graph describes of a phone number; each has to be asked for by name."""


class MetaSource(HttpSource):
    """Reads the Graph API named by META_GRAPH_URL.

    The target says which workspaces are connected to which accounts, and has their tokens; a workspace
    without one uses META_ACCESS_TOKEN.
    """

    @property
    def client(self) -> MetaClient:
        """The run's client.

        Raises:
            SettingsError: the API is not named in the environment.
        """
        return self._open_client(_client)

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of phone numbers within a scope; see `orchestration.resources.Source`.

        A record has `workspace_id`, `waba_id` where it is known, and what Graph sends of a number. The
        parts of the outcome are workspaces. A key is the id of a number, of a workspace, or
        `workspace:number`.

        Raises:
            SettingsError: the scope is a range: numbers have no modification time.
        """
        if scope.mode == "range":
            raise SettingsError(
                f"{entity.name} cannot be read by a range of time, because Meta does not tell when a"
                " phone number changed; name workspaces or numbers, or run without a range"
            )
        outcome = SourceOutcome()
        return EntityBatches(entity, self._records(entity, scope, outcome), scope, outcome)

    def fields(self) -> dict[str, list[str]]:
        """Field names of a phone number, after one workspace has been asked for its numbers.

        Raises:
            SettingsError: the API is not named in the environment.
            SourceRefused: no workspace was given an answer; one is told of.
            SourceUnavailable: likewise, because the host does not answer.
        """
        client, errand = self.client, _errand(PHONE_NUMBER, Scope())
        with closing(client.answers(errand.asks)) as answers:
            failed = None
            for answer in answers:
                if answer.complaint is None:
                    break
                failed = answer
            else:
                if failed:
                    raise _no_answer(failed)
        return {PHONE_NUMBER.source: [*OURS, *ON_OFFER]}

    def _records(
        self, entity: Entity, scope: Scope, outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        errand = _errand(entity, scope, outcome)
        tally = OutcomeBuilder(errand, outcome)
        if errand.asks:
            yield from self._asked(errand, tally, outcome)
        tally.close()

    def _asked(
        self, errand: ReadPlan, tally: OutcomeBuilder, outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        """Read, and attribute the client's traffic to this stream meanwhile."""
        failed: ReadResult | None = None
        with (
            traffic_counted(self.client.traffic, outcome),
            closing(self.client.answers(errand.asks)) as answers,
        ):
            for answer in answers:
                tally.add(answer)
                failed = answer if answer.complaint else failed
                if answer.records:
                    yield _records_of(answer)
        if failed and tally.host_is_away:
            raise _no_answer(failed)


def _client(settings: Settings, retry_policy: RetryPolicy) -> MetaClient:
    url = SOURCE.require(settings)[URL.name]
    return MetaClient(url, fields=asked_for(PHONE_NUMBER), retry_policy=retry_policy)


def asked_for(entity: Entity) -> tuple[str, ...]:
    """The fields that Graph is asked for: those that the entity maps, and no more."""
    mapped = dict.fromkeys(source for field in entity.fields for source in field.sources)
    return tuple(source for source in mapped if source not in OURS)


def _errand(entity: Entity, scope: Scope, outcome: SourceOutcome | None = None) -> ReadPlan:
    """What has to be asked; the connection to the target is closed again before anything is."""
    default = Settings.read().text(TOKEN) or ""
    with TargetDatabase().connect() as connection:

        def find(phones: Sequence[str]) -> list[Any]:
            return holders(connection, entity.schema, entity.table, phones)

        known = connected(connection, entity.schema, default)
        errand = (
            by_keys(known, scope.keys, find) if scope.mode == "keys" else every_workspace(known)
        )
    if outcome:
        outcome.notes["workspaces"] = errand.workspaces
        if known.notes:
            outcome.notes["connections"] = "; ".join(known.notes)
    return errand


def _records_of(answer: ReadResult) -> list[Record]:
    ours = {"workspace_id": answer.ask.workspace_id}
    if answer.ask.waba_id:
        ours["waba_id"] = answer.ask.waba_id
    return [{**ours, **record} for record in answer.records]


def _no_answer(failed: ReadResult) -> SourceRefused | SourceUnavailable:
    complaint = failed.complaint
    assert complaint is not None, "only an answer that failed"
    kind = SourceUnavailable if complaint.verdict.passes else SourceRefused
    return kind(
        f"Meta gave no workspace an answer; workspace {failed.ask.workspace_id}, account"
        f" {failed.ask.waba_id}: {complaint.text}. {complaint.verdict.value}"
    )
