"""Resources that every system shares: the target database and the scope of a run.

Clients of sources are resources too, but belong to their systems; they satisfy `Source`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal, Protocol

import dagster as dg
import psycopg
import stamina
from pydantic import Field, PrivateAttr

from sync_pipeline.errors import SettingsError, SyncError, TargetUnavailable
from sync_pipeline.merge.advisory_locks import lock_system
from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline.merge.session import Target
from sync_pipeline.merge.stream import EntityBatches, Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Mode, Scope
from sync_pipeline.postgres.connect import Connection, connect
from sync_pipeline.settings import Settings


class Source(Protocol):
    """What an entity asset needs of its system's client."""

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope.

        Args:
            entity: what is read.
            scope: how much of it.
            since: how far earlier runs have read; for a delta, without it everything is read.
        """
        ...


class TargetDatabase(dg.ConfigurableResource):
    """The database that is kept in step; where it is comes from the environment only.

    A system that goes both ways has a second one, of a class of its own.
    """

    key: ClassVar[str] = "target"
    """The key of the resource; what runs into another database than this are tagged with."""

    _held: dict[str, Connection] = PrivateAttr(default_factory=dict)

    patient: bool = Field(
        default=False,
        description="Wait for a target that is away, for as long as SYNC_OUTAGE says: a run goes on after a"
        " restart of the target, while a sensor or a person is told at once.",
    )

    def connect(self, name: str = "sync_pipeline") -> Connection:
        """Open a connection in autocommit."""
        settings = Settings.read()
        for attempt in stamina.retry_context(
            on=TargetUnavailable,
            attempts=None if self.patient else 1,
            timeout=settings.outage,
            wait_initial=0.2,
            wait_max=5.0,
        ):
            with attempt:
                return self._open(settings, name)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _open(self, settings: Settings, name: str) -> Connection:
        return connect(
            settings.target(),
            application_name=name,
            statement_timeout=settings.statement_timeout,
        )

    def lock_system(self, system: str) -> None:
        """Keep other runs of a system away until this run ends; to be called before its source is looked at.

        A source that is read in one snapshot must not be merged after a later one.

        Raises:
            EntityBusy: another run did not end in time.
        """
        if system in self._held:
            return
        connection = self.connect(f"sync_pipeline {system}")
        try:
            lock_system(connection, system, Settings.read().lock_wait)
        except BaseException:
            connection.close()
            raise
        self._held[system] = connection

    @contextmanager
    def system_locked(self, system: str) -> Iterator[None]:
        """Keep other runs of a system, or of a part of one, away for the length of a block.

        Raises:
            EntityBusy: another run did not end in time.
        """
        self.lock_system(system)
        try:
            yield
        finally:
            self._held.pop(system).close()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Let other runs go on."""
        while self._held:
            self._held.popitem()[1].close()

    def keeps_account(self) -> bool:
        """Whether the database is named, answers, and has bookkeeping tables."""
        try:
            with self.connect() as connection:
                return runs.has_bookkeeping(connection)
        except (SyncError, psycopg.Error):  # such as a role that may not look into the schema
            return False

    def target(self) -> Target:
        """How the merge reaches the database."""
        settings = Settings.read()
        return Target(
            self.connect,
            lock_wait=settings.lock_wait,
            outage=settings.outage,
            statement_timeout=settings.statement_timeout,
        )


class SyncScope(dg.ConfigurableResource):
    """What a run covers. The defaults do the sensible thing: what changed since the last run."""

    mode: Literal["delta", "full", "keys", "range"] = Field(
        default="delta",
        description="delta: changed since the last run. full: everything, and find what vanished. keys: the"
        " records named in `ids`. range: records modified between `since` and `until`, both included.",
    )
    # Not `keys`: dict() of a model that has an attribute of that name takes it for a mapping.
    ids: list[str] = Field(default=[], description="For mode keys: the source ids, one per entry.")
    of: str = Field(
        default="",
        description="The entity that `ids` or the range speak of, such as invoice: every selected asset is"
        " then synced as far as it belongs to those records. Empty: each asset's own records.",
    )
    since: str = Field(
        default="", description="For mode range: ISO date or time, UTC unless it says so."
    )
    until: str = Field(default="", description="For mode range: ISO date or time; empty means now.")
    force: bool = Field(
        default=False,
        description="Re-assert the source on mapped fields, over local edits too. Rows of other owners and"
        " local-only columns are never touched.",
    )
    dry_run: bool = Field(
        default=False, description="Stop after the plan; write nothing to the tables."
    )
    approve: list[str] = Field(
        default=[],
        description="Digests of plans that the guard stopped and that a person has looked at.",
    )

    def resolve(self) -> Scope:
        """The scope as the merge knows it.

        Raises:
            SettingsError: the parts contradict each other; the message says what to set.
        """
        mode: Mode = self.mode
        if mode == "keys" and not self.ids:
            raise SettingsError(
                "this run names no records: set resources → scope → config → ids in the launchpad, such as"
                ' ids: ["1672398191097x872601726695236800"]'
            )
        if mode == "range" and not self.since:
            raise SettingsError(
                "this run names no range: set resources → scope → config → since in the launchpad, such as"
                ' since: "2026-01-01"'
            )
        if self.ids and mode != "keys":
            raise SettingsError(
                f"this run names records in ids, but its mode is {mode}: set resources → scope → config →"
                " mode to keys, or leave ids out"
            )
        if (self.since or self.until) and mode != "range":
            raise SettingsError(
                f"this run names a range in since or until, but its mode is {mode}: set resources → scope →"
                " config → mode to range, or leave them out"
            )
        return Scope(
            mode=mode,
            keys=tuple(self.ids),
            of=self.of,
            since=_moment(self.since, "since"),
            until=_moment(self.until, "until", end_of_day=True),
            force=self.force,
            dry_run=self.dry_run,
            approve=frozenset(self.approve),
        )


def _moment(text: str, name: str, *, end_of_day: bool = False) -> dt.datetime | None:
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{name} is {text!r}; write 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    if end_of_day and len(text) <= len("2026-01-31"):
        moment += dt.timedelta(
            days=1, milliseconds=-1
        )  # a day as the end of a range includes the day
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
