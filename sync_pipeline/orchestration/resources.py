"""Resources of all systems: the target database, the scope of a run, and the protocol of sources.

Clients of sources are resources too and belong in `systems`.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
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
    """A resource that reads the entities of a system."""

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope.

        A delta reads what came after `since`, which earlier runs have read; everything if that is empty.
        """
        ...


class TargetDatabase(dg.ConfigurableResource):
    """The target database; its connection string comes from the environment only.

    A bidirectional system has a second target, of a subclass.
    """

    key: ClassVar[str] = "target"
    """The resource key, and the value of `TARGET_TAG`."""

    _system_locks: dict[str, Connection] = PrivateAttr(default_factory=dict)

    retry_on_outage: bool = Field(
        default=False,
        description="Retry the connection for up to SYNC_OUTAGE: a run continues after a restart of the"
        " target, while sensors and commands fail at once.",
    )

    def connect(self, name: str = "sync_pipeline") -> Connection:
        """Open a connection in autocommit."""
        settings = Settings.read()
        for attempt in stamina.retry_context(
            on=TargetUnavailable,
            attempts=None if self.retry_on_outage else 1,
            timeout=settings.outage,
            wait_initial=0.2,
            wait_max=5.0,
        ):
            with attempt:
                return self._open(settings, name)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _open(self, settings: Settings, name: str) -> Connection:
        return connect(
            settings.target(), application_name=name, statement_timeout=settings.statement_timeout
        )

    def lock_system(self, system: str) -> None:
        """Lock a system against other runs until this run ends. Call before its source is read.

        Otherwise an older snapshot of the source could be merged after a newer one.

        Raises:
            EntityBusy: another run did not end in time.
        """
        if system in self._system_locks:
            return
        connection = self.connect(f"sync_pipeline {system}")
        try:
            lock_system(connection, system, Settings.read().lock_wait)
        except BaseException:
            connection.close()
            raise
        self._system_locks[system] = connection

    @contextmanager
    def system_locked(self, system: str) -> Iterator[None]:
        """Lock a system, or a partition of one, for a block; raises `EntityBusy` if another run goes on."""
        self.lock_system(system)
        try:
            yield
        finally:
            self._system_locks.pop(system).close()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Release the locks."""
        while self._system_locks:
            self._system_locks.popitem()[1].close()

    def has_bookkeeping(self) -> bool:
        """Whether the database is configured, reachable, and has bookkeeping tables."""
        try:
            with self.connect() as connection:
                return runs.has_bookkeeping(connection)
        except (SyncError, psycopg.Error):  # such as a role without USAGE on the schema
            return False

    def target(self) -> Target:
        """The merge's connection settings."""
        settings = Settings.read()
        return Target(
            self.connect,
            lock_wait=settings.lock_wait,
            outage=settings.outage,
            statement_timeout=settings.statement_timeout,
        )


def with_bookkeeping(others: Sequence[TargetDatabase]) -> Iterator[TargetDatabase]:
    """The target, and those of other databases that have bookkeeping."""
    yield TargetDatabase()
    yield from (database for database in others if database.has_bookkeeping())


class SyncScope(dg.ConfigurableResource):
    """What a run covers; by default what changed since the last run."""

    mode: Literal["delta", "full", "keys", "range"] = Field(
        default="delta",
        description="delta: changed since the last run. full: everything, and find missing records. keys: the"
        " records named in `ids`. range: records modified between `since` and `until`, both included.",
    )
    # Not `keys`: dict() takes any object with an attribute of that name for a mapping.
    ids: list[str] = Field(default=[], description="For mode keys: the source ids, one per entry.")
    of: str = Field(
        default="",
        description="The entity of `ids` or of the range, such as invoice: every selected asset is"
        " then synced as far as it belongs to those records. Empty: each asset's own records.",
    )
    since: str = Field(
        default="", description="For mode range: ISO date or time; UTC without an offset."
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
        description="Digests of plans that the guard stopped and that a person has reviewed.",
    )

    def resolve(self) -> Scope:
        """The scope for the merge.

        Raises:
            SettingsError: the fields contradict each other; the message names what to set.
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
        # A day as the end of a range includes the day.
        moment += dt.timedelta(days=1, milliseconds=-1)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
