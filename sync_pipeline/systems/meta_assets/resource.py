"""The Graph API as a Dagster resource: reads the phone numbers of every connected workspace."""

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

LOCAL_FIELDS = ("workspace_id", "waba_id")
"""Fields of a record that come from its request; Graph does not send them."""

GRAPH_FIELDS = (
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
"""Fields of a phone number; each has to be requested by name."""


class MetaSource(HttpSource):
    """Reads the Graph API named by META_GRAPH_URL.

    The target has the connected accounts and the tokens of workspaces; a workspace without a token uses
    META_ACCESS_TOKEN.
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

        A record has `workspace_id`, `waba_id` where it is known, and the fields that Graph sends. The
        partitions of the outcome are workspaces. A key is the id of a number, of a workspace, or
        `workspace:number`.

        Raises:
            SettingsError: the scope is a range: numbers have no modification time.
        """
        if scope.mode == "range":
            raise SettingsError(
                f"{entity.name} cannot be read by a range of time, because Meta sends no modification time"
                " of phone numbers; name workspaces or numbers, or run without a range"
            )
        outcome = SourceOutcome()
        return EntityBatches(entity, self._records(entity, scope, outcome), scope, outcome)

    def fields(self) -> dict[str, list[str]]:
        """Field names of a phone number, after one workspace's numbers were read.

        Raises:
            SettingsError: the API is not named in the environment.
            SourceRefused: no workspace could be read; the message has one of the errors.
            SourceUnavailable: likewise, because the host does not answer.
        """
        client, plan = self.client, _plan(PHONE_NUMBER, Scope())
        with closing(client.read(plan.requests)) as results:
            failed = None
            for result in results:
                if result.error is None:
                    break
                failed = result
            else:
                if failed:
                    raise _all_failed(failed)
        return {PHONE_NUMBER.source: [*LOCAL_FIELDS, *GRAPH_FIELDS]}

    def _records(
        self, entity: Entity, scope: Scope, outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        plan = _plan(entity, scope, outcome)
        builder = OutcomeBuilder(plan, outcome)
        if plan.requests:
            yield from self._results(plan, builder, outcome)
        builder.close()

    def _results(
        self, plan: ReadPlan, builder: OutcomeBuilder, outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        """Read, and attribute the client's traffic to this stream meanwhile."""
        failed: ReadResult | None = None
        with (
            traffic_counted(self.client.traffic, outcome),
            closing(self.client.read(plan.requests)) as results,
        ):
            for result in results:
                builder.add(result)
                failed = result if result.error else failed
                if result.records:
                    yield _records_of(result)
        if failed and builder.host_is_down:
            raise _all_failed(failed)


def _client(settings: Settings, retry_policy: RetryPolicy) -> MetaClient:
    url = SOURCE.require(settings)[URL.name]
    return MetaClient(url, fields=requested_fields(PHONE_NUMBER), retry_policy=retry_policy)


def requested_fields(entity: Entity) -> tuple[str, ...]:
    """The fields to request: those that the entity maps."""
    mapped = dict.fromkeys(source for field in entity.fields for source in field.sources)
    return tuple(source for source in mapped if source not in LOCAL_FIELDS)


def _plan(entity: Entity, scope: Scope, outcome: SourceOutcome | None = None) -> ReadPlan:
    """The requests of a scope; the connection to the target is closed before any is sent."""
    default = Settings.read().text(TOKEN) or ""
    with TargetDatabase().connect() as connection:

        def find(phones: Sequence[str]) -> list[Any]:
            return holders(connection, entity.schema, entity.table, phones)

        known = connected(connection, entity.schema, default)
        plan = by_keys(known, scope.keys, find) if scope.mode == "keys" else every_workspace(known)
    if outcome:
        outcome.notes["workspaces"] = plan.workspaces
        if known.notes:
            outcome.notes["connections"] = "; ".join(known.notes)
    return plan


def _records_of(result: ReadResult) -> list[Record]:
    local = {"workspace_id": result.request.workspace_id}
    if result.request.waba_id:
        local["waba_id"] = result.request.waba_id
    return [{**local, **record} for record in result.records]


def _all_failed(failed: ReadResult) -> SourceRefused | SourceUnavailable:
    error = failed.error
    assert error is not None, "only a result that failed"
    exception = SourceUnavailable if error.kind.is_transient else SourceRefused
    return exception(
        f"Meta gave no workspace an answer; workspace {failed.request.workspace_id}, account"
        f" {failed.request.waba_id}: {error.text}. {error.kind.value}"
    )
