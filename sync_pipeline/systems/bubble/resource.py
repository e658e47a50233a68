"""The Bubble app as a Dagster resource: reads any entity within any scope."""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any

from pydantic import PrivateAttr

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.stream import EntityBatches, Progress, SourceOutcome
from sync_pipeline.merge.table_reader import Relation
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.settings import Settings
from sync_pipeline.sources.field_coverage import FieldCoverage
from sync_pipeline.sources.http.resource import HttpSource, traffic_counted
from sync_pipeline.sources.http.retry import RetryPolicy
from sync_pipeline.systems.bubble.api.client import BubbleClient
from sync_pipeline.systems.bubble.api.dates import MILLISECOND
from sync_pipeline.systems.bubble.api.pages import Record
from sync_pipeline.systems.bubble.api.scan import Scan
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.bubble.packages import Packages, TargetLinks, fetch_packages
from sync_pipeline.systems.bubble.settings import REQUESTS_PER_MINUTE, SOURCE, TOKEN, URL

log = logging.getLogger(__name__)


class BubbleSource(HttpSource):
    """Reads the Bubble app named by BUBBLE_API_URL and BUBBLE_API_TOKEN.

    One client serves a whole run, so that its rate limit and its connections are shared; packages are
    fetched once per run, with the first entity that is read.
    """

    _packages: dict[Scope, Packages] = PrivateAttr(default_factory=dict)

    def close(self) -> None:
        """Close the connections; harmless when there are none."""
        super().close()
        self._packages.clear()

    @property
    def client(self) -> BubbleClient:
        """The run's client.

        Raises:
            SettingsError: the app is not named in the environment.
        """
        return self._open_client(_client)

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope; see `orchestration.resources.Source`."""
        outcome = SourceOutcome()
        if scope.of:
            batches = self._of_packages(entity, scope, outcome)
        elif scope.mode == "keys":
            batches = self._by_keys(entity, scope, outcome)
        else:
            batches = self._scanned(entity, scope, since.watermark, outcome)
        overlap = Settings.read().overlap
        return EntityBatches(entity, self._counted(batches, outcome), scope, outcome, overlap)

    def fields(self) -> dict[str, list[str]]:
        """Field names of each type, as the app describes them."""
        return {
            name.lower(): [f["display"] for f in described.get("fields", [])]
            for name, described in self.client.meta().items()
        }

    def _counted(
        self, batches: Iterable[list[Record]], outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        """Attribute the client's traffic to this stream while it is read."""
        with traffic_counted(self.client.traffic, outcome):
            yield from batches

    def _scanned(
        self, entity: Entity, scope: Scope, since: dt.datetime | None, outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        with closing(self._scan(entity, scope, since)) as scan:
            coverage = FieldCoverage(entity)
            for page in scan:
                coverage.observe(page)
                yield page
            outcome.complete = scan.complete
            # The first delta is a full scan too, and not in the order of modification.
            full = scope.mode == "full" or (scope.mode == "delta" and since is None)
            outcome.has_gaps = full and not scan.complete
            outcome.read_started = scan.started_at
            outcome.notes["reported_by_source"] = scan.count_reported
            if full:
                outcome.notes["coverage"] = coverage.report()

    def _scan(self, entity: Entity, scope: Scope, since: dt.datetime | None) -> Scan:
        if scope.mode == "range":
            assert scope.since
            since = scope.since - MILLISECOND  # the scan excludes its start, the scope includes it
            return self.client.scan(entity.source, modified_since=since, modified_until=scope.until)
        return self.client.scan(
            entity.source, modified_since=since if scope.mode == "delta" else None
        )

    def _by_keys(
        self, entity: Entity, scope: Scope, outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        found = self.client.lookup(entity.source, scope.keys)
        outcome.problems += [f"{entity.source} {key}: {why}" for key, why in found.failed.items()]
        outcome.problems += [
            f"{entity.source} {key}: not found; deleted, hidden, on another branch, or a mistyped id"
            for key in found.missing
        ]
        yield found.records

    def _of_packages(
        self, entity: Entity, scope: Scope, outcome: SourceOutcome
    ) -> Iterator[list[Record]]:
        packages = self.packages(scope)
        outcome.problems += packages.problems.get(entity.name, [])
        if entity.name == scope.of:
            outcome.problems += [f"{scope.of} {key}: {why}" for key, why in packages.failed.items()]
        yield list(packages.records.get(entity.name, {}).values())

    def packages(self, scope: Scope) -> Packages:
        """The packages of the invoices that a scope names, fetched once per run.

        Raises:
            SettingsError: the scope's entity has no package.
        """
        if scope not in self._packages:
            if scope.of != "invoice":
                raise SettingsError(
                    f"of={scope.of!r}: only an invoice has a package; use of: invoice"
                )
            self._packages[scope] = self._fetch_packages(scope)
        return self._packages[scope]

    def _fetch_packages(self, scope: Scope) -> Packages:
        failed: dict[str, str] = {}
        if scope.mode == "keys":
            found = self.client.lookup("invoice", scope.keys)
            invoices, failed = found.records, dict(found.failed)
            failed |= dict.fromkeys(found.missing, "not found; deleted, hidden, or a mistyped id")
        else:
            with closing(self._scan(BUBBLE["invoice"], scope, None)) as scan:
                invoices = [record for page in scan for record in page]
        log.info("fetching the packages of %s invoices", f"{len(invoices):,}")
        packages = fetch_packages(
            self.client, invoices, _target_links([i["_id"] for i in invoices])
        )
        packages.failed = failed
        return packages


def _client(settings: Settings, retry_policy: RetryPolicy) -> BubbleClient:
    named = SOURCE.require(settings)
    return BubbleClient(
        named[URL.name],
        named[TOKEN.name],
        retry_policy=retry_policy,
        requests_per_minute=settings.number(REQUESTS_PER_MINUTE),
    )


def _target_links(invoices: list[str]) -> TargetLinks:
    """The links that the target holds of these invoices."""
    with TargetDatabase().connect() as connection:
        sedas: dict[str, list[str]] = {}
        relation = Relation(connection, BUBBLE["seda_registration"])
        for row in relation.holding("linked_invoice", invoices, ["bubble_id", "linked_invoice"]):
            for invoice in row["linked_invoice"]:
                sedas.setdefault(invoice, []).append(row["bubble_id"])
        agents = Relation(connection, BUBBLE["agent"]).iter(["bubble_id", "linked_user_login"])
        logins = {a["linked_user_login"]: a["bubble_id"] for chunk in agents for a in chunk}
    return TargetLinks(sedas, {login: agent for login, agent in logins.items() if login})


def outcome_of(
    packages: Packages, touched: Mapping[str, set[str]], rejected: Mapping[str, set[str]]
) -> dict[str, Any]:
    """The outcome of each invoice's package.

    Args:
        packages: what was fetched.
        touched: by entity, keys of the rows that the run changed.
        rejected: by entity, keys of the records that the run rejected.

    Returns:
        `total`, `synced` (something in the package changed), `skipped` (nothing did), `failed`, and
        `errors`, a line each.
    """
    errors = [f"invoice {key}: {why}" for key, why in packages.failed.items()]
    synced = skipped = failed = 0
    for invoice, members in packages.members.items():
        bad = [f"{entity} {key}" for entity, key in members if key in rejected.get(entity, ())]
        if bad:
            failed += 1
            errors.append(f"invoice {invoice}: rejected {', '.join(sorted(bad))}")
        elif any(key in touched.get(entity, ()) for entity, key in members):
            synced += 1
        else:
            skipped += 1
    errors += [f"{entity}: {p}" for entity, problems in packages.problems.items() for p in problems]
    return {
        "total": len(packages.members) + len(packages.failed),
        "synced": synced,
        "skipped": skipped,
        "failed": failed + len(packages.failed),
        "errors": errors,
    }
