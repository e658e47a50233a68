"""`demo`: every system once, from simulated sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sync_pipeline.cli import framework, output, run
from sync_pipeline.cli.databases import DESKTOP_DATABASE, TARGET, sandboxed
from sync_pipeline.cli.framework import say
from sync_pipeline.cli.group import cli
from sync_pipeline.cli.migration import prepare
from sync_pipeline.errors import SettingsError
from sync_pipeline.model.scope import Mode, Scope
from sync_pipeline.model.system import System
from sync_pipeline.systems.registry import REVERSES, SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.orchestration.launch import RunReport


SYSTEM_NAMES = [s.name for s in SYSTEMS]


@framework.command(
    cli,
    examples=("demo", "demo --scale 0.05"),
    short_help="Sync everything once, from simulated sources.",
    help="Sync every system from simulated sources into an embedded Postgres, and print a summary.\n\n"
    "A second demo finds everything unchanged. What the environment names (SYNC_TARGET_DSN,"
    " BUBBLE_API_URL, DESKTOP_DSN, QU_API_URL, META_GRAPH_URL) is used in place of a stand-in.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="Size of the simulated companies; 1 is 33,000 records in Bubble and 92,000 on the desktop.",
)
def demo(*, scale: float, as_json: bool) -> int:
    """What `make demo` runs."""
    reports: dict[str, RunReport] = {}
    options = {"scale": scale, "sources": SYSTEM_NAMES, "migrates": True, "demo": True}
    with sandboxed(**options) as settings:
        say("bringing the target's tables up to date")
        prepared = prepare(settings)
        opened = prepared.desktop
        for note in (n for n in prepared.notes if n.kind == "repaired"):
            say(f"{note.table}: {note.text}")
        for system in SYSTEMS:
            reports[system.name] = _demonstrate(system, "full")
        why_not = opened.problem if opened else None
        for system in REVERSES.values():
            try:
                settings.check_reverse()
            except SettingsError as error:
                why_not = str(error)
            if not why_not:
                reports[system.name] = _demonstrate(system, "delta")
    if as_json:
        output.print_json(reports)
    else:
        console = output.to_stdout()
        for account in (TARGET, DESKTOP_DATABASE):
            for system in (s for s in account.systems if s.name in reports):
                heading = account.title(system.key_prefix[0])
                output.run_report(console, reports[system.name], system=heading)
        if why_not:
            console.print(f"The way back was not run: {why_not}.", style="yellow", soft_wrap=True)
        output.hints(console, reports)
    # The simulated companies have records that nobody could sync; that they are named is the point.
    return max((r.exit_code for r in reports.values() if r.exit_code != 4), default=0)


def _demonstrate(system: System, mode: Mode) -> RunReport:
    return run.run(run.job_request(system, (), Scope(mode=mode)), "demo")
