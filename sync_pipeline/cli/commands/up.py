"""`up`: Dagster's web server and daemon until Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from sync_pipeline.cli import framework
from sync_pipeline.cli.databases import sandboxed
from sync_pipeline.cli.framework import say
from sync_pipeline.cli.group import cli
from sync_pipeline.cli.migration import prepare
from sync_pipeline.errors import SyncError
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import SYSTEMS

SYSTEM_NAMES = [s.name for s in SYSTEMS]


@framework.command(
    cli,
    examples=("up", "up --port 3100"),
    short_help="Keep everything running, with the Dagster UI.",
    help="Keep everything running with the Dagster UI and its daemon, until Ctrl-C.\n\n"
    "Migrates the target first, and says what it repaired. Where SYNC_TARGET_DSN names a target, systems"
    " whose source is not named are left out.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=3000,
    show_default=True,
    help="Of the UI; the next free one if it is taken.",
)
def up(*, port: int, as_json: bool) -> int:
    """What `make up` runs."""
    from sync_pipeline.dev import dagster_services

    home = Settings.read().home
    with environment_to_serve(home):
        return dagster_services.serve(home, port, say=say, as_json=as_json)


@contextmanager
def environment_to_serve(home: Path) -> Iterator[None]:
    """All that Dagster's web server and daemon need, migrated, for the only one who serves this home."""
    from sync_pipeline.dev import dagster_services

    options = {"sources": SYSTEM_NAMES, "migrates": True, "executes": False}
    with dagster_services.alone(home, say=say), sandboxed(**options) as settings:
        _prepare_to_serve(settings)
        yield


def _prepare_to_serve(settings: Settings) -> None:
    """Migrate, and tell what will not run; none of it keeps the rest from running."""
    prepared = prepare(settings, without_desktop=True)
    opened = prepared.desktop
    for note in (n for n in prepared.notes if n.kind in {"repaired", "refused"}):
        say(f"{note.table}: {note.text}")
    for system in SYSTEM_NAMES:
        variable = settings.missing(system)
        if variable:
            say(f"{system} is not configured: {variable} is not set; its schedules skip")
    if opened and opened.problem:
        say(f"the desktop database: {opened.problem}")
    if settings.sandboxed & {"target", "desktop"}:
        _tell_where(settings)
    try:
        settings.check_reverse()
    except SyncError as error:
        say(str(error))


def _tell_where(settings: Settings) -> None:
    """How people reach the embedded databases, which nobody but us has named."""
    from sync_pipeline.postgres.connect import redact

    for name, dsn in (("target", settings.target_dsn), ("desktop", settings.desktop_dsn)):
        if name in settings.sandboxed and dsn:
            say(f"the {name} database is at {redact(dsn)}")
    password = settings.home / "postgres" / "cluster" / "sync_pipeline.password"
    say(f"their password is in {password}")
