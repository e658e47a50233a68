"""The databases that commands read and write: the target, and that of reverse runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
import psycopg

from sync_pipeline.cli.framework import log_progress
from sync_pipeline.errors import SettingsError, SyncError
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection, connect
from sync_pipeline.remedies import command_line
from sync_pipeline.settings import TARGET as TARGET_VARIABLE
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import REVERSE_TARGET, REVERSES, SYSTEMS

SYSTEM_NAMES = [system.name for system in SYSTEMS]
HINT_TIMEOUT = timedelta(seconds=3)  # a hint is not worth a longer wait


@dataclass(frozen=True)
class Database:
    """A database that runs of `systems` are merged into, with their bookkeeping.

    It can be reached once the `sources`, the systems whose source it is, are configured.
    """

    name: str
    systems: tuple[System, ...]
    sources: tuple[str, ...] = ()

    @property
    def reverse(self) -> bool:
        """Whether commands about it need `--reverse`."""
        return self is REVERSE_DATABASE

    @property
    def location(self) -> str:
        """Where its rows are, for messages."""
        return f"in the {self.name}" if self.reverse else f"on the {self.name}"

    def command(self, words: str) -> str:
        """A command about it, for messages."""
        return command_line(words, reverse=self.reverse)

    def title(self, system: str) -> str:
        """The heading of a run of a system into it."""
        return f"{system}, reverse (into the {self.name})" if self.reverse else system

    def system(self, name: str) -> System:
        """The system of that name."""
        return next(s for s in self.systems if s.name == name)

    def connect(self, settings: Settings) -> Connection:
        """Open a session on it."""
        if self.reverse:
            return REVERSE_TARGET.open(settings)
        return connect(settings.target())

    @contextmanager
    def connected(self, settings: Settings) -> Iterator[Connection]:
        """A session on it; raises `SyncError` if it has no bookkeeping tables."""
        from sync_pipeline.merge.bookkeeping import runs

        with self.connect(settings) as connection:
            if not runs.has_bookkeeping(connection):
                tables = "" if self.reverse else " tables"
                raise SyncError(
                    f"the {self.name} has no bookkeeping{tables} yet; run: {command_line('migrate')}"
                )
            yield connection

    @contextmanager
    def session(self, *, sources: Collection[str] = ()) -> Iterator[Connection]:
        """A session on it, or in the sandbox; `sources` are systems whose sources the command reads."""
        for name in self.sources:
            check_source_named(name)
        needed = {*sources, *self.sources}
        with (
            sandboxed(sources=needed, dagster=False) as settings,
            self.connected(settings) as session,
        ):
            yield session


TARGET = Database("target", SYSTEMS)
REVERSE_DATABASE = Database(REVERSE_TARGET.title, tuple(REVERSES.values()), tuple(REVERSES))


def read_settings() -> Settings:
    """Read the environment, all systems' variables too; raises `SettingsError` if one cannot be used."""
    settings = Settings.read()
    for system in SYSTEMS:
        system.source.check(settings)
    return settings


def sandboxed(**options: Any) -> AbstractContextManager[Settings]:
    """The sandbox for what the environment does not name; see `environment.sandbox`."""
    from sync_pipeline.dev.environment import sandbox

    return sandbox(read_settings(), report=log_progress, **options)


def missing_variable(system: str, settings: Settings) -> str | None:
    """The variable that would name the source of a system; None where it is set."""
    return TARGET.system(system).source.missing(settings)


def check_source_named(system: str) -> None:
    """Raise `SettingsError` if the target is named and the source, which is then not simulated, is not."""
    settings = read_settings()
    variable = missing_variable(system, settings)
    if variable and settings.target_dsn:
        raise SettingsError(
            f"{variable} is not set, and a target that is named ({TARGET_VARIABLE.name}) is not synced from"
            f" invented data; set {variable}"
        )


def count_reverse_runs() -> int | None:
    """The number of runs into the reverse target; None where it is not named or holds no bookkeeping."""
    from sync_pipeline.merge.bookkeeping import runs

    settings = Settings.read()
    if REVERSE_TARGET.system.source.missing(settings):
        return None
    try:
        with REVERSE_TARGET.open(settings, connect_timeout=HINT_TIMEOUT) as connection:
            return runs.count(connection) if runs.has_bookkeeping(connection) else None
    except (SyncError, psycopg.Error):
        return None


def reverse_option(help_text: str) -> Callable[[Any], Any]:
    """`--reverse`, which chooses the database that the command is about."""

    def choose(_: click.Context, __: click.Parameter, value: Any) -> Database:
        return REVERSE_DATABASE if value else TARGET

    return click.option("--reverse", "database", is_flag=True, callback=choose, help=help_text)
