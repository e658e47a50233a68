"""The point of sale as a Dagster resource: reads the menu of one source configuration at a time."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from typing import cast

import dagster as dg
from pydantic import PrivateAttr

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.stream import EntityBatches, Progress, SourceOutcome
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.settings import Settings
from sync_pipeline.sources.http.retry import RetryPolicy
from sync_pipeline.systems.integrations.api import QuClient
from sync_pipeline.systems.integrations.entities import INTEGRATIONS, PART
from sync_pipeline.systems.integrations.menu.formats import KINDS, Kind
from sync_pipeline.systems.integrations.menu.menu import Menu
from sync_pipeline.systems.integrations.sites import SiteConfig
from sync_pipeline.systems.integrations.source_configs import SourceConfig, configurations


def _mark(site: SiteConfig) -> str:
    """Names what a configuration asks for and stamps on its rows."""
    said = json.dumps([site.target, dict(site.params)], sort_keys=True, default=str)
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def _known(site: SiteConfig, since: Progress) -> str | None:
    """The generation that was merged for the configuration as it is now."""
    cursor = since.cursor or {}
    return cursor.get("generation") or None if cursor.get("for") == _mark(site) else None


def _refused(part: str) -> bool:
    """Whether a constraint of the target has kept items of a configuration out."""
    with TargetDatabase(patient=True).connect() as connection:
        row = connection.execute(
            'select exists (select from sync.rejected where system = %s and "constraint" is not null'
            " and key ->> %s = %s)",
            [INTEGRATIONS.name, PART, part],
        ).fetchone()
    return bool(row and row[0])


class MenuSource(dg.ConfigurableResource):
    """Reads the gateway named by QU_API_URL, QU_CLIENT_ID and QU_CLIENT_SECRET.

    One client serves a whole run, so that its token and its pace are shared. A menu is fetched once for all
    of its entities, and is kept on disk until the next one is asked for.
    """

    _client: QuClient | None = PrivateAttr(default=None)
    _most_patience: dt.timedelta = PrivateAttr(default=dt.timedelta.max)
    _sites: Mapping[str, SiteConfig] | None = PrivateAttr(default=None)
    _menu: tuple[Scope, Menu | None] | None = PrivateAttr(default=None)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the connections at the end of the run."""
        self.close()

    def close(self) -> None:
        """Close the connections and give up the space on disk; harmless when there is nothing."""
        self._forget()
        if self._client:
            self._client.close()
            self._client = None
        self._sites = None

    def set_time_budget(self, patience: dt.timedelta) -> None:
        """Give a call up after this time, even if the environment allows for more."""
        self._most_patience = patience

    @property
    def client(self) -> QuClient:
        """The run's client.

        Raises:
            SettingsError: the gateway is not named in the environment.
        """
        if self._client is None:
            settings = Settings.read()
            if not (settings.qu_url and settings.qu_client_id and settings.qu_client_secret):
                raise SettingsError(
                    "QU_API_URL, QU_CLIENT_ID and QU_CLIENT_SECRET are not set and no simulator was started"
                    " here; set them, or start through `sync-pipeline up`, `demo` or `sync`"
                )
            client = QuClient(
                settings.qu_url,
                settings.qu_client_id,
                settings.qu_client_secret,
                integration=settings.qu_integration,
                patience=RetryPolicy(time_budget=min(settings.source_outage, self._most_patience)),
            )
            self._client = client.__enter__()
        return self._client

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """What the menu of `scope.part` has of an entity; the menu is fetched at once.

        A delta of a menu that has not been made anew is empty, and says nothing of what vanished; unless the
        configuration has changed since, or the target has refused items that it may take now.

        Raises:
            UnusableConfig: the configuration lacks a parameter.
            SourceRefused: credentials or permissions are not accepted.
            SourceBroken: the reply is no menu.
            SourceUnavailable: the gateway does not answer.
        """
        menu, calls = self._fetched(scope, since)
        outcome = SourceOutcome(calls=calls)
        if menu is None:
            outcome.notes = {"unchanged_since": (since.cursor or {}).get("generation")}
            return EntityBatches(entity, [], scope, outcome, partition=scope.part)
        kind = cast("Kind", entity.source)
        outcome.complete, outcome.partitions = True, (scope.part,)
        # A menu with products may well have no modifiers or discounts.
        outcome.confirmed_empty = kind != KINDS[0] and any(True for _ in menu.batches(KINDS[0]))
        outcome.cursor = {"generation": menu.generation, "for": _mark(self._site(scope.part))}
        outcome.bytes = menu.bytes if calls else 0
        outcome.duplicates = menu.duplicates[kind]
        outcome.notes = {f"left_out_{reason}": n for reason, n in menu.left_out.items() if calls}
        return EntityBatches(entity, menu.batches(kind), scope, outcome, partition=scope.part)

    def _fetched(self, scope: Scope, since: Progress) -> tuple[Menu | None, int]:
        """The menu of a scope, and the calls that it took; none for the entities after the first."""
        if self._menu and self._menu[0] == scope:
            return self._menu[1], 0
        self._forget()
        before = self.client.traffic.calls
        site = self._site(scope.part)
        asks = scope.mode == "delta" and not scope.force and not _refused(scope.part)
        menu = self.client.menu(site, _known(site, since) if asks else None)
        self._menu = (scope, menu)
        return menu, self.client.traffic.calls - before

    def _forget(self) -> None:
        if self._menu and self._menu[1]:
            self._menu[1].close()
        self._menu = None

    def _site(self, config_id: str) -> SiteConfig:
        if self._sites is None or config_id not in self._sites:
            with TargetDatabase(patient=True).connect() as connection:
                self._sites = {c.site.config_id: c.site for c in configurations(connection)}
        if config_id not in self._sites:
            raise SettingsError(f"there is no source configuration {config_id!r}")
        return self._sites[config_id]

    def moved(self, config: SourceConfig, since: Progress) -> str | None:
        """The generation of a menu that was made anew since the last sync; None if it was not.

        Only the head of the reply is read.

        Raises:
            SyncError: as for `read`.
        """
        return self.client.generation(config.site, _known(config.site, since))

    def fields(self) -> dict[str, list[str]]:
        """The fields of formatted items by kind, after one question that proves the credentials.

        A menu describes no fields of its own; what it lacks shows in the guard.

        Raises:
            SyncError: the gateway does not accept the credentials, or does not answer.
        """
        with TargetDatabase().connect() as connection:
            active = [c for c in configurations(connection) if not c.closed]
        for config in active[:1]:
            self.client.generation(config.site)
        return {
            e.source: sorted({s for f in e.fields for s in f.sources})
            for e in INTEGRATIONS.entities
        }
