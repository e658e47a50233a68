"""Commands that look after databases: prepare them, examine them, and clear old bookkeeping away."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import psycopg

from sync_pipeline import printing
from sync_pipeline.cli import commanding
from sync_pipeline.cli.accounts import TARGET, Account, reverse_option, standing_in
from sync_pipeline.cli.group import cli
from sync_pipeline.cli.preparing import prepare
from sync_pipeline.errors import SyncError
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import REVERSES, SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.doctoring.findings import Finding
    from sync_pipeline.doctoring.mending import Mended


@commanding.command(
    cli,
    examples=("migrate",),
    short_help="Bring the target's tables to what the entities need.",
    help="Bring the target to what the entities need; adopts tables that are there already.\n\n"
    "Creates what is missing as far as the data allows, and says what differs. Once, it repairs the keys of"
    " the menus' tables and of the phone cache: it fills them, merges rows that repeat them and keeps what"
    " it removes; `doctor --fix --dry-run` shows it before. In a desktop database it creates the schemas"
    " sync and sync_base, which reverse runs need, and nothing else.",
)
def migrate(*, as_json: bool) -> int:
    """Alembic to head, then what the entities declare."""
    # Of what is simulated, those systems whose tables somebody has used before.
    used = [s.name for s in SYSTEMS if s.name in REVERSES or s.in_parts]
    options = {"sources": used, "dagster": False, "migrates": True}
    with standing_in(**options) as settings:
        found = prepare(settings)
    refused = any(n.kind == "refused" for n in found.notes)
    if as_json:
        status = "partial_success" if refused else "completed"
        desktop = {"desktop": found.desktop} if found.desktop else {}
        printing.print_json({"status": status, "notes": found.notes} | desktop)
    else:
        printing.migration(printing.to_stdout(), found.notes)
        if found.desktop:
            opened = found.desktop
            printing.account(printing.to_stdout(), len(opened.notes), opened.problem)
    return 4 if refused else 0


@commanding.command(
    cli,
    examples=(
        "doctor",
        "doctor --fix --dry-run",
        "doctor --fix",
        "doctor --restore public.invoice",
    ),
    short_help="Say what keeps runs from succeeding, and mend it.",
    help="Check connections, tables, unique indexes, foreign keys, permissions and source fields; says what"
    " each finding costs and how to mend it.\n\n"
    "Exit code 1 if anything keeps a run from succeeding. Writes nothing, unless with --fix.",
)
@click.option(
    "--fix",
    is_flag=True,
    help="Migrate what is missing and repair keys, in one transaction per table. Rows that repeat a key are"
    " merged into the newest; what is removed is kept.",
)
@click.option(
    "--dry-run", is_flag=True, help="With --fix: say what it would do, and write nothing."
)
@click.option(
    "--restore",
    metavar="REPAIR",
    help="Take repairs back: one by its id, or all of a table by schema.table. What people have changed since"
    " stays as it is, and is named.",
)
def doctor(*, fix: bool, dry_run: bool, restore: str | None, as_json: bool) -> int:
    """What keeps a target or a source from being synced."""
    from sync_pipeline.checkup import examine

    if restore is not None:
        if fix:
            raise click.UsageError("--restore takes back what --fix has done; give one of them")
        return _restored(restore, as_json=as_json)
    if dry_run and not fix:
        raise click.UsageError("--dry-run goes with --fix; doctor by itself writes nothing")
    options = {"sources": [s.name for s in SYSTEMS], "dagster": False}
    with standing_in(**options, migrates=fix and not dry_run) as settings:
        findings = examine(settings)
        reports = _mended(settings, findings, dry_run=dry_run) if fix else []
        if reports and not dry_run:
            findings = examine(settings)
    broken = any(f.severity == "error" for f in findings)
    if as_json:
        done = {"reports": reports} if fix else {}
        status = "failed" if broken else "completed"
        printing.print_json({"status": status, "findings": findings} | done)
    else:
        printing.mended(printing.to_stdout(), reports)
        printing.findings(printing.to_stdout(), findings)
    return 1 if broken else 0


def _restored(which: str, *, as_json: bool) -> int:
    from sync_pipeline.repairing.restore import restore

    with TARGET.opened() as connection:
        report = restore(connection, which)
    if as_json:
        printing.print_json({"status": "completed", "lines": report.lines})
    for line in () if as_json else report.lines:
        printing.to_stdout().print(line, soft_wrap=True)
    return 0


def _mended(settings: Settings, found: list[Finding], *, dry_run: bool) -> list[Mended]:
    """Mend what can be mended: first by a migration, then by repairs of what it left."""
    from sync_pipeline.checkup import examine, rehearsal, repairs

    reports: list[Mended] = []
    if any(f.mended_by == "migrate" for f in found):
        reports += rehearsal(settings) if dry_run else _migrated(settings)
        found = found if dry_run else examine(settings)
    return [*reports, *repairs(settings, found, dry_run=dry_run)]


def _migrated(settings: Settings) -> list[Mended]:
    from sync_pipeline.doctoring.mending import GUEST, migrated

    prepared = prepare(settings)
    opened = prepared.desktop
    guest = [migrated(opened.notes, where=GUEST)] if opened and opened.notes else []
    return [migrated(prepared.notes), *guest]


@commanding.command(
    cli,
    name="inspect",
    examples=(
        "inspect postgresql://me:secret@host/shop > entities.py",
        "inspect host=db.internal dbname=shop user=me --schema sales",
        "inspect postgresql://me@host/shop --system shop --json",
    ),
    short_help="Declare the tables of any Postgres database as entities.",
    help="Read the catalog of a database, and print its tables as declarations of entities in Python.\n\n"
    "DSN is a libpq URI or key=value string. No table is read and nothing is written. What the catalog does"
    " not tell is said on stderr, and stands in the text as comments that begin with ?.\n\n"
    "Save the text as entities.py of a package of its own in sync_pipeline/systems, decide what its comments"
    " ask, and take out what is not to be synced. Then wire the system as “Bring your own Postgres” in the"
    " README says, and go on with doctor, migrate and sync --dry-run.",
)
@click.argument("dsn", nargs=-1, required=True, metavar="DSN")
@click.option("--schema", default="public", show_default=True, help="The schema of the tables.")
@click.option("--system", help="What the system is called; the database's name unless given.")
def inspect_database(
    *, dsn: tuple[str, ...], schema: str, system: str | None, as_json: bool
) -> int:
    """A database as declarations."""
    from sync_pipeline.inspecting import inspect
    from sync_pipeline.postgres.connect import connect

    # Unquoted, the parts of a key=value string arrive one by one.
    try:
        with connect(" ".join(dsn), variable="DSN") as connection:
            found = inspect(connection, schema=schema, system=system)
    except psycopg.Error as error:
        raise SyncError(f"The database failed: {' '.join(str(error).split())}") from error
    if as_json:
        printing.print_json({"status": "completed"} | found.as_dict())
        return 0
    sys.stdout.write(found.source)
    for line in found.undecided:
        printing.to_stderr().print(f"? {line}", style="yellow", soft_wrap=True)
    return 0


@commanding.command(
    cli,
    examples=("purge", "purge --reverse"),
    short_help="Remove old bookkeeping.",
    help="Remove bookkeeping older than SYNC_RETENTION_DAYS; what is unresolved stays.\n\n"
    "With the daemon running this happens every night.",
)
@reverse_option("That of the desktop database.")
def purge(*, account: Account, as_json: bool) -> int:
    """Retention."""
    from sync_pipeline.merge import history as bookkeeping

    with account.opened() as connection:
        removed = bookkeeping.purge(connection, keep=Settings.read().retention)
    if as_json:
        printing.print_json({"status": "completed", "removed": removed})
        return 0
    days = Settings.read().retention.days
    rows = [{"table": name, "rows removed": n} for name, n in removed.items() if n]
    printing.listing(
        printing.to_stdout(),
        rows,
        ("table", "rows removed"),
        empty=f"Nothing is older than {days} days.",
    )
    return 0
