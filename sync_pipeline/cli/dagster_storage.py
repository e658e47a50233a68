"""Dagster's storage, as `dagster.yaml` names it: the database in DAGSTER_PG_URL, or the sandbox's.

`sync-pipeline` and deployments set DAGSTER_PG_URL; then this is dagster-postgres and no more. Without it,
somebody has typed a command of Dagster's own in the project's folder, such as `dagster dev` or `dg launch`.
It gets the sandbox that `sync-pipeline up` has (embedded Postgres, simulated sources, migrated tables), which
is stopped when the command ends.
"""

import atexit
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from typing import Any, Self

import click

# Dagster documents that storages can be plugged in, but exports none of the classes that takes.
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.legacy_storage import (
    LegacyEventLogStorage,
    LegacyRunStorage,
    LegacyScheduleStorage,
)
from dagster._core.storage.runs.base import RunStorage
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

VARIABLE = "DAGSTER_PG_URL"


class SandboxStorage(DagsterStorage, ConfigurableClass):
    """Storage in the named database, or in the sandbox's.

    The sandbox is started when something is first read or written: `dagster definitions validate` and
    `dg list defs` never do. For `dagster dev` it is started at once, because the processes that are about to
    be started inherit its variables.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()
        self._inst_data = inst_data
        command = click.get_current_context(silent=True)
        if VARIABLE not in os.environ and command and command.info_name == "dev":
            _start(_sandbox_to_serve())
        url = os.environ.get(VARIABLE)
        self._named = DagsterPostgresStorage(url) if url else None
        self._on_demand = _OnDemand()

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """It takes no configuration: the environment says which database it is."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """How Dagster makes it."""
        return cls(inst_data, **config_value)

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Where Dagster found this class."""
        return self._inst_data

    @property
    def run_storage(self) -> RunStorage:
        """Runs, and the cursors of the daemon."""
        return self._named.run_storage if self._named else _Runs(self._on_demand)

    @property
    def event_log_storage(self) -> EventLogStorage:
        """Events of runs and assets."""
        return self._named.event_log_storage if self._named else _Events(self._on_demand)

    @property
    def schedule_storage(self) -> ScheduleStorage:
        """Schedules and sensors with their ticks."""
        named = self._named
        return named.schedule_storage if named else LegacyScheduleStorage(self._on_demand)


class _OnDemand(DagsterStorage):
    """Storages in the sandbox, which asking for the first of them starts."""

    @cached_property
    def _postgres(self) -> DagsterPostgresStorage:
        _start(_sandbox_to_execute())
        return DagsterPostgresStorage(os.environ[VARIABLE])

    @property
    def is_started(self) -> bool:
        return "_postgres" in vars(self)

    @property
    def run_storage(self) -> RunStorage:
        return self._postgres.run_storage

    @property
    def event_log_storage(self) -> EventLogStorage:
        return self._postgres.event_log_storage

    @property
    def schedule_storage(self) -> ScheduleStorage:
        return self._postgres.schedule_storage


class _Runs(LegacyRunStorage):
    """Passes calls on to the sandbox, except those that Dagster makes whatever the command."""

    def __init__(self, on_demand: _OnDemand) -> None:
        super().__init__(on_demand)
        self._on_demand = on_demand

    def get_cursor_values(self, keys: set[str]) -> Mapping[str, str]:
        # Loading definitions looks up the state of components among the cursors. Ours have none.
        return super().get_cursor_values(keys) if self._on_demand.is_started else {}

    def dispose(self) -> None:
        pass


class _Events(LegacyEventLogStorage):
    def dispose(self) -> None:
        pass


@contextmanager
def _sandbox_to_serve() -> Iterator[None]:
    """What `sync-pipeline up` serves; processes that outlive `dagster dev` are ended with it."""
    from sync_pipeline.cli.commands.up import environment_to_serve
    from sync_pipeline.dev.dagster_services import marked_processes
    from sync_pipeline.settings import Settings

    home = Settings.read().home
    with environment_to_serve(home), marked_processes(home):
        yield


@contextmanager
def _sandbox_to_execute() -> Iterator[None]:
    """What runs in this process need. A target that is named is not migrated unasked."""
    from sync_pipeline.cli.databases import sandboxed
    from sync_pipeline.cli.migration import migrate_all
    from sync_pipeline.systems.registry import SYSTEMS

    with sandboxed(sources=[system.name for system in SYSTEMS], migrates=True) as settings:
        if "target" in settings.sandboxed:
            migrate_all(settings, reverse_may_fail=True)
        yield


def _start(sandbox: AbstractContextManager[None]) -> None:
    from sync_pipeline.cli import framework

    progress = logging.getLogger(framework.__name__)
    if not progress.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("sync-pipeline: %(message)s"))
        progress.addHandler(handler)
        progress.setLevel(logging.INFO)
        progress.propagate = False
    stack = ExitStack()
    try:
        stack.enter_context(sandbox)
    except Exception as error:  # `dagster` and `dg` print the line and exit with 1
        raise click.ClickException(framework.error_line(error)) from error
    atexit.register(_stop, stack)
    # A background job of a shell begins with SIGINT ignored, and Dagster handles SIGTERM as SIGINT: no signal
    # would end it. And a closed terminal would end the process without exit handlers.
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) in (signal.SIG_DFL, signal.SIG_IGN):
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGINT))


def _stop(sandbox: ExitStack) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave the servers running
    sandbox.close()
