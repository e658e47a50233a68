"""Commands that sync: once from simulated sources, as somebody asks for it, and on a schedule."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sync_pipeline import printing
from sync_pipeline.cli import commanding, naming, scoping
from sync_pipeline.cli.accounts import DESKTOP_DATABASE, TARGET, Account, check_named, standing_in
from sync_pipeline.cli.commanding import say
from sync_pipeline.cli.group import cli
from sync_pipeline.cli.preparing import prepare
from sync_pipeline.errors import SettingsError, SyncError
from sync_pipeline.model.catalog import System
from sync_pipeline.model.scope import Mode, Scope
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import REVERSES, SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.orchestration.runs import RunReport

SYSTEM_NAMES = [s.name for s in SYSTEMS]


@commanding.command(
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
    with standing_in(**options) as settings:
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
        printing.print_json(reports)
    else:
        console = printing.to_stdout()
        for account in (TARGET, DESKTOP_DATABASE):
            for system in (s for s in account.systems if s.name in reports):
                heading = account.title(system.place[0])
                printing.run_report(console, reports[system.name], system=heading)
        if why_not:
            console.print(f"The way back was not run: {why_not}.", style="yellow", soft_wrap=True)
        printing.hints(console, reports)
    # The simulated companies have records that nobody could sync; that they are named is the point.
    return max((r.exit_code for r in reports.values() if r.exit_code != 4), default=0)


def _demonstrate(system: System, mode: Mode) -> RunReport:
    return scoping.run(scoping.wished(system, (), Scope(mode=mode)), "demo")


@commanding.command(
    cli,
    examples=(
        "sync bubble",
        "sync bubble --full --dry-run",
        "sync bubble --keys 1672398191097x872601726695236800",
        "sync bubble payment --keys ID,ID --force",
        "sync bubble --from 2026-01-01 --to 2026-01-31",
        'sync desktop jobshead --keys "100017,3;100018,4"',
        'sync integrations --keys "Burgers 1001"',
        "sync meta_assets --keys 106540352242922",
        "sync desktop --reverse",
    ),
    short_help="Run a sync: what changed, everything, or some records.",
    help="Sync a system, or some of its entities, as one run that the Dagster UI shows.\n\n"
    "Without options: what changed since the last run; the first run reads everything.",
)
@click.argument("system", type=click.Choice(SYSTEM_NAMES))
@click.argument("entities", nargs=-1, metavar="[ENTITY]...")
@click.option(
    "--reverse",
    is_flag=True,
    help="The way back, for systems that have one (desktop): what mobile users entered, from the"
    " target into the desktop database.",
)
@click.option(
    "--full", is_flag=True, help="Read everything; also finds what vanished from the source."
)
@click.option(
    "--keys",
    metavar="ID,ID",
    help="Only these records, by source id. For bubble these are invoices, each with its package,"
    " unless another entity is named. Where a key has several columns, commas separate its parts, an"
    ' empty one means null, and semicolons separate the keys: "17,3;18,4". For integrations a key is a source'
    " configuration, by id or name; for meta_assets a phone number or a workspace, by id.",
)
@click.option(
    "--from",
    "since",
    callback=naming.day,
    metavar="D",
    help="Records modified from this ISO date or time on, included.",
)
@click.option(
    "--to",
    "until",
    callback=naming.day,
    metavar="D",
    help="… until this one, included; now when left out.",
)
@click.option(
    "--force", is_flag=True, help="Re-assert the source over local edits of mapped fields."
)
@click.option(
    "--dry-run", is_flag=True, help="Stop after the plan; nothing of the tables is written."
)
@click.option(
    "--approve",
    multiple=True,
    metavar="DIGEST",
    help="Let exactly this plan, which the guard stopped, pass.",
)
def sync(
    *,
    system: str,
    entities: tuple[str, ...],
    reverse: bool,
    full: bool,
    keys: str | None,
    since: str | None,
    until: str | None,
    force: bool,
    dry_run: bool,
    approve: tuple[str, ...],
    as_json: bool,
) -> int:
    """One run."""
    if sum((full, keys is not None, bool(since))) > 1:
        raise click.UsageError("--full, --keys and --from exclude each other; give one of them")
    if until and not since:
        raise click.UsageError("--to needs --from, such as: --from 2026-01-01 --to 2026-01-31")
    account = _account(system, reverse=reverse)
    found = REVERSES[system] if reverse else account.system(system)
    named = naming.entities_of(found, entities)
    mode = "full" if full else "range" if since else "delta" if keys is None else "keys"
    scope = scoping.scope_of(
        mode=mode,
        ids=naming.keys_of(found, named, keys),
        since=since or "",
        until=until or "",
        force=force,
        dry_run=dry_run,
        approve=list(approve),
    )
    wanted = scoping.wished(found, named, scope)
    check_named(system)
    with standing_in(sources=[system]) as settings:
        _check(settings, account)
        report = scoping.run(wanted, "command line")
    if as_json:
        printing.print_json(report)
    else:
        printing.run_report(printing.to_stdout(), report, system=account.title(system))
        printing.approval(printing.to_stdout(), report, sys.argv[1:])
    return report.exit_code


def _account(system: str, *, reverse: bool) -> Account:
    if reverse and system not in REVERSES:
        raise click.UsageError(f"{system} has no way back; --reverse is for: {', '.join(REVERSES)}")
    return DESKTOP_DATABASE if reverse else TARGET


def _check(settings: Settings, account: Account) -> None:
    """Say now, and in one line, what would fail in the middle of a run."""
    if account.reverse:
        settings.check_reverse()
        with account.connected(settings):
            pass
    with TARGET.connected(settings):
        pass


@commanding.command(
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
    from sync_pipeline import serving

    home = Settings.read().home
    options = {"sources": SYSTEM_NAMES, "migrates": True, "executes": False}
    with serving.alone(home, say=say), standing_in(**options) as settings:
        _prepare_to_serve(settings)
        return serving.serve(home, port, say=say, as_json=as_json)


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
    if settings.standing_in & {"target", "desktop"}:
        _tell_where(settings)
    try:
        settings.check_reverse()
    except SyncError as error:
        say(str(error))


def _tell_where(settings: Settings) -> None:
    """How people reach the embedded databases, which nobody but us has named."""
    from sync_pipeline.postgres.connect import redact

    for name, dsn in (("target", settings.target_dsn), ("desktop", settings.desktop_dsn)):
        if name in settings.standing_in and dsn:
            say(f"the {name} database is at {redact(dsn)}")
    password = settings.home / "postgres" / "cluster" / "sync_pipeline.password"
    say(f"their password is in {password}")
