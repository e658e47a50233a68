"""`up`: Dagster's web server and daemon until Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from sync_pipeline.cli import framework, output
from sync_pipeline.cli.databases import SYSTEM_NAMES, missing_variable, read_settings, sandboxed
from sync_pipeline.cli.framework import log_progress
from sync_pipeline.cli.migration import migrate_all
from sync_pipeline.dev import dagster_services
from sync_pipeline.errors import SyncError
from sync_pipeline.postgres.connect import redact
from sync_pipeline.settings import TARGET, Settings
from sync_pipeline.systems.registry import REVERSE_TARGET, SYSTEMS


@framework.command(
    examples=("up", "up --port 3100"),
    short_help="Keep everything running, with the Dagster UI.",
    help="Keep everything running with the Dagster UI and its daemon, until Ctrl-C.\n\n"
    "Migrates the target first, and logs what it repaired. Where SYNC_TARGET_DSN names a target, schedules of"
    " systems whose source is not named skip.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=3000,
    show_default=True,
    help="Of the UI; the next free one if it is taken.",
)
def up(*, port: int, as_json: bool) -> None:
    """What `make up` runs."""

    def announce(url: str, logs: Path) -> None:
        if as_json:
            output.print_json({"status": "running", "url": url, "logs": logs})
        else:
            line = f"Dagster is at {url}; Ctrl-C stops everything. Logs: {logs}"
            output.to_stdout().print(line, style="green")

    home = read_settings().home
    with environment_to_serve(home):
        dagster_services.serve(home, port, report=log_progress, ready=announce)


@contextmanager
def environment_to_serve(home: Path) -> Iterator[None]:
    """All that Dagster's web server and daemon need, migrated, for the only one who serves this home."""
    options = {"sources": SYSTEM_NAMES, "migrates": True, "executes": False}
    with (
        dagster_services.single_instance(home, report=log_progress),
        sandboxed(**options) as settings,
    ):
        _prepare_to_serve(settings)
        yield


def _prepare_to_serve(settings: Settings) -> None:
    """Migrate, and report what will not run; none of it keeps the rest from running."""
    report = migrate_all(settings, reverse_may_fail=True)
    for line in report.repairs():
        log_progress(line)
    for system in SYSTEM_NAMES:
        variable = missing_variable(system, settings)
        if variable:
            log_progress(f"{system} is not configured: {variable} is not set; its schedules skip")
    if report.reverse and report.reverse.problem:
        log_progress(f"the {REVERSE_TARGET.title}: {report.reverse.problem}")
    _report_databases(settings)
    try:
        REVERSE_TARGET.check(settings)
    except SyncError as error:
        log_progress(str(error))


def _report_databases(settings: Settings) -> None:
    """Log where the embedded databases are."""
    variables = {"target": TARGET.name}
    variables |= {s.name: s.source.variable for s in SYSTEMS if s.source.database}
    embedded = [name for name in variables if name in settings.sandboxed]
    for name in embedded:
        log_progress(f"the {name} database is at {redact(settings.database(variables[name]))}")
    if embedded:
        password = settings.home / "postgres" / "cluster" / "sync_pipeline.password"
        log_progress(f"their password is in {password}")
