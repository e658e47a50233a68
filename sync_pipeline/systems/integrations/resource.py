"""The point of sale as a Dagster resource: reads the menu of one source configuration at a time."""

import hashlib
import json
from collections.abc import Mapping
from typing import cast

from pydantic import PrivateAttr

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.bookkeeping import listings
from sync_pipeline.merge.stream import EntityBatches, Progress, SourceOutcome
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.settings import Settings
from sync_pipeline.sources.http.resource import HttpSource
from sync_pipeline.sources.http.retry import RetryPolicy
from sync_pipeline.systems.integrations.api import QuClient
from sync_pipeline.systems.integrations.entities import INTEGRATIONS, PARTITION_COLUMN
from sync_pipeline.systems.integrations.menu.formats import KINDS, Kind
from sync_pipeline.systems.integrations.menu.menu import Menu
from sync_pipeline.systems.integrations.settings import (
    CLIENT_ID,
    CLIENT_SECRET,
    INTEGRATION,
    SOURCE,
    URL,
)
from sync_pipeline.systems.integrations.source_configs import SourceConfig, configurations


def _fingerprint(config: SourceConfig) -> str:
    """Digest of the configuration: what it requests, and the values that it writes into rows."""
    content = json.dumps([config.row_values, dict(config.params)], sort_keys=True, default=str)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def _merged_generation(config: SourceConfig, since: Progress) -> str | None:
    """The generation that was merged last, if the configuration has not changed since."""
    cursor = since.cursor or {}
    if cursor.get("for") != _fingerprint(config):
        return None
    return cursor.get("generation") or None


def _has_rejections(config_id: str) -> bool:
    """Whether constraints of the target have rejected items of a configuration."""
    with TargetDatabase(retry_on_outage=True).connect() as connection:
        return listings.has_constraint_rejection(
            connection, INTEGRATIONS.name, PARTITION_COLUMN, config_id
        )


class MenuSource(HttpSource):
    """Reads the gateway named by QU_API_URL, QU_CLIENT_ID and QU_CLIENT_SECRET.

    One client serves a whole run, so that token and rate limit are shared. A menu is fetched once for all
    of its entities, and stays on disk until another one is requested.
    """

    _configs: Mapping[str, SourceConfig] | None = PrivateAttr(default=None)
    _menu: tuple[Scope, Menu | None] | None = PrivateAttr(default=None)

    def close(self) -> None:
        """Close the connections and free the space on disk; harmless when there is nothing."""
        self._drop_menu()
        super().close()
        self._configs = None

    @property
    def client(self) -> QuClient:
        """The run's client.

        Raises:
            SettingsError: the gateway is not named in the environment.
        """
        return self._open_client(_client)

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """The items of one entity on the menu of `scope.partition`; fetches the menu unless it is there.

        A delta of a menu with the same generation is empty and proves nothing missing. The menu is read
        again all the same if its configuration has changed, or if the target has rejected items of it.

        Raises:
            UnusableConfig: the configuration lacks a parameter.
            SourceRefused: credentials or permissions are not accepted.
            SourceBroken: the response is not a menu.
            SourceUnavailable: the gateway does not answer.
        """
        menu, calls = self._menu_of(scope, since)
        outcome = SourceOutcome(calls=calls)
        if menu is None:
            outcome.notes = {"unchanged_since": (since.cursor or {}).get("generation")}
            return EntityBatches(entity, [], scope, outcome, partition=scope.partition)
        kind = cast("Kind", entity.source)
        outcome.complete, outcome.partitions = True, (scope.partition,)
        # A menu with products may well have no modifiers or discounts.
        outcome.confirmed_empty = kind != KINDS[0] and any(True for _ in menu.batches(KINDS[0]))
        outcome.cursor = {
            "generation": menu.generation,
            "for": _fingerprint(self._config(scope.partition)),
        }
        outcome.bytes = menu.bytes if calls else 0
        outcome.duplicates = menu.duplicates[kind]
        outcome.notes = {f"left_out_{reason}": n for reason, n in menu.left_out.items() if calls}
        return EntityBatches(entity, menu.batches(kind), scope, outcome, partition=scope.partition)

    def _menu_of(self, scope: Scope, since: Progress) -> tuple[Menu | None, int]:
        """The menu of a scope, None if unchanged, and the calls that it took; 0 after the first entity."""
        if self._menu and self._menu[0] == scope:
            return self._menu[1], 0
        self._drop_menu()
        before = self.client.traffic.calls
        config = self._config(scope.partition)
        may_skip = (
            scope.mode == "delta" and not scope.force and not _has_rejections(scope.partition)
        )
        menu = self.client.menu(config, _merged_generation(config, since) if may_skip else None)
        self._menu = (scope, menu)
        return menu, self.client.traffic.calls - before

    def _drop_menu(self) -> None:
        if self._menu and self._menu[1]:
            self._menu[1].close()
        self._menu = None

    def _config(self, config_id: str) -> SourceConfig:
        if self._configs is None or config_id not in self._configs:
            with TargetDatabase(retry_on_outage=True).connect() as connection:
                self._configs = {c.config_id: c for c in configurations(connection)}
        if config_id not in self._configs:
            raise SettingsError(f"there is no source configuration {config_id!r}")
        return self._configs[config_id]

    def new_generation(self, config: SourceConfig, since: Progress) -> str | None:
        """The generation of a menu if it differs from the merged one, else None.

        Only the head of the response is read.

        Raises:
            SyncError: as for `read`.
        """
        return self.client.generation(config, _merged_generation(config, since))

    def fields(self) -> dict[str, list[str]]:
        """The fields of formatted items by kind, after one call that proves the credentials.

        A menu does not describe its fields: the guard notices one that is empty everywhere.

        Raises:
            SyncError: the gateway does not accept the credentials, or does not answer.
        """
        with TargetDatabase().connect() as connection:
            active = [c for c in configurations(connection) if not c.closed]
        for config in active[:1]:
            self.client.generation(config)
        return {
            e.source: sorted({s for f in e.fields for s in f.sources})
            for e in INTEGRATIONS.entities
        }


def _client(settings: Settings, retry_policy: RetryPolicy) -> QuClient:
    named = SOURCE.require(settings)
    return QuClient(
        named[URL.name],
        named[CLIENT_ID.name],
        named[CLIENT_SECRET.name],
        integration=settings.text(INTEGRATION),
        retry_policy=retry_policy,
    )
