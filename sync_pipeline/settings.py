"""Environment variables: those of the project itself, read in one place, and what a variable is.

All are optional: where a source or the target is not named, the embedded server and the simulators take
its place. Nothing but these variables differs between the demo and production. Each system declares the
variables of its source in `systems/<name>/settings.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sync_pipeline.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
SANDBOXED = "_SYNC_SANDBOXED"
MOST = 2_000_000  # seconds as milliseconds fit into Postgres's settings, days into its times


@dataclass(frozen=True)
class Variable:
    """An environment variable, as data: checks, `--help` and the table of the docs follow from it.

    Attributes:
        example: what it looks like; one that is a URL or a DSN asks for a value of that kind.
        default: of a whole number above zero; None: the value is text.
        secret: never shown.
        optional: of a source's variables, one that it can be read without.
    """

    name: str
    meaning: str
    example: str = ""
    default: int | None = None
    secret: bool = False
    optional: bool = False


HOME = Variable("SYNC_HOME", "directory of the embedded data, Dagster's home and logs", ".sync")
TARGET = Variable(
    "SYNC_TARGET_DSN",
    "libpq URI of the target database; unset: the embedded server",
    "postgresql://sync@db.internal/app",
    secret=True,
)
DAGSTER = Variable(
    "SYNC_DAGSTER_DSN",
    "libpq URI of Dagster's own database; unset: the embedded server",
    "postgresql://sync@db.internal/dagster",
    secret=True,
)
OVERLAP = Variable("SYNC_OVERLAP", "seconds that a source may take to show a change", default=300)
LOCK_WAIT = Variable(
    "SYNC_LOCK_WAIT", "seconds to wait for another run of the same entity", default=120
)
STATEMENT_TIMEOUT = Variable(
    "SYNC_STATEMENT_TIMEOUT", "seconds for one statement of a merge", default=600
)
OUTAGE = Variable("SYNC_OUTAGE", "seconds to wait for a target that is away", default=120)
SOURCE_OUTAGE = Variable(
    "SYNC_SOURCE_OUTAGE", "seconds to retry a call to a source that keeps failing", default=120
)
RETENTION = Variable("SYNC_RETENTION_DAYS", "days that runs and before-images are kept", default=90)
_SECONDS = (OVERLAP, LOCK_WAIT, STATEMENT_TIMEOUT, OUTAGE, SOURCE_OUTAGE)
VARIABLES = (TARGET, DAGSTER, HOME, *_SECONDS, RETENTION)
"""The project's own."""


@dataclass(frozen=True)
class Settings:
    """The environment's values; the variables above say what each is for.

    Attributes:
        overlap: how long a source may take to show a change; the watermark stays this far behind.
        sandboxed: `target` and the systems whose database or source is embedded or simulated; set by the
            command line for the processes that it starts, and by nobody else.
        environment: where the variables of systems are read.
    """

    home: Path
    target_dsn: str | None = field(repr=False)
    dagster_dsn: str | None = field(repr=False)
    overlap: timedelta
    lock_wait: timedelta
    statement_timeout: timedelta
    outage: timedelta
    source_outage: timedelta
    retention: timedelta
    sandboxed: frozenset[str]
    environment: Mapping[str, str] = field(repr=False, compare=False)

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment; raises `SettingsError` with the name of a variable that cannot be used."""
        env = dict(os.environ if environment is None else environment)

        def seconds(variable: Variable) -> timedelta:
            return timedelta(seconds=_number(env, variable))

        return cls(
            home=Path(_text(env, HOME.name) or PROJECT / ".sync").absolute(),
            target_dsn=_text(env, TARGET.name),
            dagster_dsn=_text(env, DAGSTER.name),
            overlap=seconds(OVERLAP),
            lock_wait=seconds(LOCK_WAIT),
            statement_timeout=seconds(STATEMENT_TIMEOUT),
            outage=seconds(OUTAGE),
            source_outage=seconds(SOURCE_OUTAGE),
            retention=timedelta(days=_number(env, RETENTION)),
            sandboxed=frozenset((_text(env, SANDBOXED) or "").split()),
            environment=env,
        )

    def text(self, variable: Variable) -> str | None:
        """The value of a variable; None where it is unset or blank."""
        return _text(self.environment, variable.name)

    def number(self, variable: Variable) -> int:
        """The number of a variable, or its default; raises `SettingsError` unless it is above zero."""
        return _number(self.environment, variable)

    def database(self, variable: str) -> str:
        """The DSN of a database by its variable; raises `SettingsError` if that is not set."""
        if variable == TARGET.name:
            return self.target()
        dsn = _text(self.environment, variable)
        if not dsn:
            raise SettingsError(f"{variable} is not set; it is the libpq URI of a source database")
        return dsn

    def target(self) -> str:
        """The target's DSN; raises `SettingsError` if there is none, and no embedded server was started."""
        if self.target_dsn:
            return self.target_dsn
        raise SettingsError(
            f"{TARGET.name} is not set and no embedded server was started here; set it, or start through"
            " `sync-pipeline up`, `demo` or `sync`"
        )


def _text(environment: Mapping[str, str], name: str) -> str | None:
    return environment.get(name, "").strip() or None


def _number(environment: Mapping[str, str], variable: Variable) -> int:
    value = _text(environment, variable.name)
    if value is None:
        assert variable.default
        return variable.default
    if not value.isdecimal() or not 0 < int(value[:20]) <= MOST:
        raise SettingsError(
            f"{variable.name} must be a whole number from 1 to {MOST:,}; it is {value[:40]!r}"
        )
    return int(value)
