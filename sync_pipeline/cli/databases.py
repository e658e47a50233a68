"""The databases that commands look at and act on: the target, and those of systems that go both ways."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from sync_pipeline.cli.framework import say
from sync_pipeline.errors import SettingsError, SyncError
from sync_pipeline.model.system import System
from sync_pipeline.remedies import typed
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import REVERSES, SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.postgres.connect import Connection

HINT_PATIENCE = timedelta(seconds=3)  # a hint is not worth more

Options = Callable[[Any], Any]


@dataclass(frozen=True)
class Database:
    """A database that runs are merged into, and the account that is kept there of them.

    Attributes:
        database: what it is called in messages.
        systems: what is merged into it.
        sources: systems that have to be configured before it can be reached.
    """

    database: str
    systems: tuple[System, ...]
    sources: tuple[str, ...] = ()

    @property
    def reverse(self) -> bool:
        """Whether commands about it need `--reverse`."""
        return self is DESKTOP_DATABASE

    @property
    def preposition_phrase(self) -> str:
        """Where its rows are, in words."""
        return f"in the {self.database}" if self.reverse else f"on the {self.database}"

    def typed(self, words: str) -> str:
        """A command about it, as it is typed."""
        return typed(words, reverse=self.reverse)

    def title(self, system: str) -> str:
        """What heads a run of a system into it."""
        return f"{system}, reverse (into the {self.database})" if self.reverse else system

    def system(self, name: str) -> System:
        """The system of that name."""
        return next(s for s in self.systems if s.name == name)

    def connect(self, settings: Settings) -> Connection:
        """Open a session on it."""
        if self.reverse:
            from sync_pipeline.systems.desktop.connection import open_desktop

            return open_desktop(settings)
        from sync_pipeline.postgres.connect import connect

        return connect(settings.target())

    @contextmanager
    def connected(self, settings: Settings) -> Iterator[Connection]:
        """A session on it, which is known to hold bookkeeping tables.

        Raises:
            SyncError: it holds none.
        """
        from sync_pipeline.merge.bookkeeping import runs

        with self.connect(settings) as connection:
            if not runs.has_bookkeeping(connection):
                tables = "" if self.reverse else " tables"
                raise SyncError(
                    f"the {self.database} has no bookkeeping{tables} yet; run: {typed('migrate')}"
                )
            yield connection

    @contextmanager
    def session(self, *, sources: Collection[str] = ()) -> Iterator[Connection]:
        """A session on it, whatever stands in for it.

        Args:
            sources: systems whose sources the command asks, where they are configured.
        """
        for name in self.sources:
            check_source_named(name)
        with (
            sandboxed(sources={*sources, *self.sources}, dagster=False) as settings,
            self.connected(settings) as connection,
        ):
            yield connection


TARGET = Database("target", SYSTEMS)
DESKTOP_DATABASE = Database("desktop database", tuple(REVERSES.values()), tuple(REVERSES))


def sandboxed(**options: Any) -> AbstractContextManager[Settings]:
    """Stand-ins for what the environment does not name; see `standins.stand_ins`."""
    from sync_pipeline.dev.environment import sandbox

    return sandbox(Settings.read(), say=say, **options)


def check_source_named(system: str) -> None:
    """Refuse a source that is neither named nor to be simulated.

    Raises:
        SettingsError: the target is named and the source is not.
    """
    settings = Settings.read()
    variable = settings.missing(system)
    if variable and settings.target_dsn:
        raise SettingsError(
            f"{variable} is not set, and a target that is named (SYNC_TARGET_DSN) is not synced from invented"
            f" data; set {variable}"
        )


def reverse_runs() -> int | None:
    """How many runs the desktop database knows; None where there is none that keeps account."""
    import psycopg

    from sync_pipeline.merge.bookkeeping import runs
    from sync_pipeline.systems.desktop.connection import open_desktop

    settings = Settings.read()
    if not settings.desktop_dsn:
        return None
    try:
        with open_desktop(settings, connect_timeout=HINT_PATIENCE) as connection:
            return runs.count(connection) if runs.has_bookkeeping(connection) else None
    except (SyncError, psycopg.Error):
        return None


def reverse_option(help_text: str) -> Options:
    """`--reverse`, which hands the command the account that it is about."""

    def account(_: click.Context, __: click.Parameter, value: Any) -> Database:
        return DESKTOP_DATABASE if value else TARGET

    return click.option("--reverse", "account", is_flag=True, callback=account, help=help_text)
