"""`doctor`: what keeps a target or a source from being synced, and its fix."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from sync_pipeline.cli import framework, output
from sync_pipeline.cli.databases import SYSTEM_NAMES, TARGET, sandboxed
from sync_pipeline.cli.migration import REVERSE_BOOKKEEPING, migrate_all
from sync_pipeline.settings import Settings

if TYPE_CHECKING:
    from sync_pipeline.doctor.findings import Finding
    from sync_pipeline.doctor.fix import FixReport


@framework.command(
    examples=(
        "doctor",
        "doctor --fix --dry-run",
        "doctor --fix",
        "doctor --restore public.invoice",
    ),
    short_help="Find what keeps runs from succeeding, and fix it.",
    help="Check connections, tables, unique indexes, foreign keys, permissions and source fields; print what"
    " each finding costs and how to fix it.\n\n"
    "Exit code 1 if anything keeps a run from succeeding. Writes nothing, unless with --fix.",
)
@click.option(
    "--fix",
    is_flag=True,
    help="Migrate what is missing and repair keys, in one transaction per table. Rows that repeat a key are"
    " merged into the newest; what is removed is kept.",
)
@click.option(
    "--dry-run", is_flag=True, help="With --fix: print what it would do, and write nothing."
)
@click.option(
    "--restore",
    metavar="REPAIR",
    help="Undo repairs: one by its id, or all of a table by schema.table. What people have changed since"
    " stays as it is, and is named.",
)
def doctor(*, fix: bool, dry_run: bool, restore: str | None, as_json: bool) -> int:
    """What keeps a target or a source from being synced."""
    from sync_pipeline.cli.health_check import examine

    if restore is not None:
        if fix:
            raise click.UsageError("--restore takes back what --fix has done; give one of them")
        return _restored(restore, as_json=as_json)
    if dry_run and not fix:
        raise click.UsageError("--dry-run goes with --fix; doctor by itself writes nothing")
    migrates = fix and not dry_run
    with sandboxed(sources=SYSTEM_NAMES, dagster=False, migrates=migrates) as settings:
        findings = examine(settings)
        reports = _fix(settings, findings, dry_run=dry_run) if fix else []
        if reports and not dry_run:
            findings = examine(settings)
    broken = any(f.severity == "error" for f in findings)
    if as_json:
        done = {"reports": reports} if fix else {}
        status = "failed" if broken else "completed"
        shown = [_as_json(finding) for finding in findings]
        output.print_json({"status": status, "findings": shown} | done)
    else:
        output.fixes(output.to_stdout(), reports)
        output.findings(output.to_stdout(), findings)
    return 1 if broken else 0


def _as_json(finding: Finding) -> dict[str, str]:
    # Programs read this key since before it was called a fix.
    values = dataclasses.asdict(finding)
    return values | {"mended_by": values.pop("fixed_by")}


def _restored(which: str, *, as_json: bool) -> int:
    from sync_pipeline.doctor.repair.restore import restore

    with TARGET.session() as connection:
        report = restore(connection, which)
    if as_json:
        output.print_json({"status": "completed", "lines": report.lines})
    for line in () if as_json else report.lines:
        output.to_stdout().print(line, soft_wrap=True)
    return 0


def _fix(settings: Settings, found: list[Finding], *, dry_run: bool) -> list[FixReport]:
    """Fix what can be fixed: first by a migration, then by repairs of what it left."""
    from sync_pipeline.cli.health_check import examine, planned_migrations, repairs

    reports: list[FixReport] = []
    if any(f.fixed_by == "migrate" for f in found):
        reports += planned_migrations(settings) if dry_run else _migrated(settings)
        found = found if dry_run else examine(settings)
    return [*reports, *repairs(settings, found, dry_run=dry_run)]


def _migrated(settings: Settings) -> list[FixReport]:
    from sync_pipeline.doctor.fix import migrated

    report = migrate_all(settings)
    created = report.reverse.notes if report.reverse else []
    reverse = [migrated(created, where=REVERSE_BOOKKEEPING)] if created else []
    return [migrated(report.notes), *reverse]
