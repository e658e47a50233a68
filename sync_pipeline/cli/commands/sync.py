"""`sync`: one run of a system or of some of its tables."""

import sys

import click

from sync_pipeline.cli import arguments, framework, output, run
from sync_pipeline.cli.databases import (
    REVERSE_DATABASE,
    SYSTEM_NAMES,
    TARGET,
    Database,
    check_source_named,
    sandboxed,
)
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import REVERSE_TARGET, REVERSES


@framework.command(
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
    help="The other direction, for systems that have one ("
    f"{', '.join(REVERSES)}): rows that people own on the target, into the {REVERSE_TARGET.title}.",
)
@click.option(
    "--full", is_flag=True, help="Read everything; also finds what is missing from the source."
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
    callback=arguments.day,
    metavar="D",
    help="Records modified from this ISO date or time on, included.",
)
@click.option(
    "--to",
    "until",
    callback=arguments.day,
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
    database = _database(system, reverse=reverse)
    found = REVERSES[system] if reverse else database.system(system)
    named = arguments.entities_of(found, entities)
    mode = "full" if full else "range" if since else "delta" if keys is None else "keys"
    scope = run.scope_of(
        mode=mode,
        ids=arguments.keys_of(found, named, keys),
        since=since or "",
        until=until or "",
        force=force,
        dry_run=dry_run,
        approve=list(approve),
    )
    request = run.job_request(found, named, scope)
    check_source_named(system)
    with sandboxed(sources=[system]) as settings:
        _check(settings, database)
        report = run.run(request, "command line")
    if as_json:
        output.print_json(report)
    else:
        output.run_report(output.to_stdout(), report, system=database.title(system))
        output.approval(output.to_stdout(), report, sys.argv[1:])
    return report.exit_code


def _database(system: str, *, reverse: bool) -> Database:
    if reverse and system not in REVERSES:
        raise click.UsageError(
            f"{system} has no reverse direction; --reverse is for: {', '.join(REVERSES)}"
        )
    return REVERSE_DATABASE if reverse else TARGET


def _check(settings: Settings, database: Database) -> None:
    """Fail before the run, and in one line, where it would fail in the middle."""
    if database.reverse:
        REVERSE_TARGET.check(settings)
        with database.connected(settings):
            pass
    with TARGET.connected(settings):
        pass
