"""`demo`: every system once, from simulated sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sync_pipeline.cli import framework, output, run
from sync_pipeline.cli.commands import demo_edit
from sync_pipeline.cli.databases import REVERSE_DATABASE, SYSTEM_NAMES, TARGET, sandboxed
from sync_pipeline.cli.framework import log_progress
from sync_pipeline.cli.migration import MigrationReport, migrate_all
from sync_pipeline.errors import SettingsError
from sync_pipeline.model.scope import Mode, Scope
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import connect
from sync_pipeline.settings import TARGET as TARGET_VARIABLE
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import REVERSE_TARGET, REVERSES, SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.orchestration.run_report import RunReport


VARIABLES = ", ".join([TARGET_VARIABLE.name, *(s.source.variable for s in SYSTEMS)])


@framework.command(
    examples=("demo", "demo --scale 0.05"),
    short_help="Sync everything once, from simulated sources.",
    help="Sync every system from simulated sources into an embedded Postgres, print a summary, and end with"
    " steps to try.\n\n"
    "Exit code 0 although records are rejected: the simulated sources hold bad records on purpose. A second"
    " demo finds everything unchanged. Later commands meet the same simulated companies. What the"
    f" environment names ({VARIABLES}) is used in place of the sandbox.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0.01),
    help="Size of the simulated companies; 1 is 33,000 records in Bubble and 92,000 on the desktop."
    "  [default: that of the last demo in SYNC_HOME, or 1]",
)
def demo(*, scale: float | None, as_json: bool) -> int:
    """What `make demo` runs."""
    with sandboxed(scale=scale, sources=SYSTEM_NAMES, migrates=True, demo=True) as settings:
        log_progress("migrating the target")
        migration = migrate_all(settings)
        for line in migration.repairs(short=True):
            log_progress(line)
        reports = {system.name: _sync(system, "full") for system in SYSTEMS}
        problem = _reverse_problem(settings, migration)
        if not problem:
            reports |= {s.name: _sync(s, "delta") for s in REVERSES.values()}
        systems = [s for s in (*SYSTEMS, *REVERSES.values()) if s.name in reports]
        guided = _guided_field(settings)
        planted = {s.name for s in systems if _only_planted(s, reports[s.name], settings)}
    if as_json:
        output.print_json(reports)
    else:
        console = output.to_stdout()
        for database in (TARGET, REVERSE_DATABASE):
            for system in (s for s in database.systems if s.name in reports):
                heading = database.title(system.key_prefix[0])
                output.run_report(console, reports[system.name], system=heading)
        if problem:
            console.print(f"Reverse runs were left out: {problem}.", style="yellow", soft_wrap=True)
        output.hints(console, reports, planted, guided)
    return max((r.exit_code for n, r in reports.items() if n not in planted), default=0)


def _sync(system: System, mode: Mode) -> RunReport:
    return run.run(run.job_request(system, (), Scope(mode=mode)), "demo")


def _reverse_problem(settings: Settings, migration: MigrationReport) -> str | None:
    """Why reverse runs cannot be merged; None where they can."""
    try:
        REVERSE_TARGET.check(settings)
    except SettingsError as error:
        return str(error)
    return migration.reverse.problem if migration.reverse else None


def _guided_field(settings: Settings) -> output.GuidedField | None:
    """The field that the guided steps edit: of the first row that they have not edited yet."""
    for system in SYSTEMS:
        edit = system.source.guided_edit
        if not edit or not {"target", system.name} <= settings.sandboxed:
            continue
        entity = system[edit.entity]
        with connect(settings.target()) as connection:
            key = demo_edit.unedited_row(connection, entity, edit.column)
        if key:
            return output.GuidedField(f"{system.name}/{entity.name}", key, edit.column)
    return None


def _only_planted(system: System, report: RunReport, settings: Settings) -> bool:
    """Whether a run is partial only because of what a simulated source holds on purpose."""
    return (
        report.status == "partial_success"
        and system.key_prefix[0] in settings.sandboxed
        and all(step["success"] for step in report.steps)
    )
