"""The command line: which commands there are, and what each does.

Every command takes `--json` and then prints one JSON object on stdout; progress and errors go to stderr.
What commands share is in `commanding`, what they show in `printing`. Imports stand where they are needed,
because Dagster takes a second to import, and help and usage errors need not wait for it.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import click

from sync_pipeline import commanding, printing
from sync_pipeline.commanding import ExampledGroup, say
from sync_pipeline.errors import SettingsError, SyncError
from sync_pipeline.model.catalog import System
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import SYSTEMS

if TYPE_CHECKING:
    from sync_pipeline.merge.stage import Connection
    from sync_pipeline.orchestration.runs import RunReport, Wish

SYSTEM_NAMES = [s.name for s in SYSTEMS]


def main() -> None:
    """Entry point of the installed script."""
    commanding.main(cli)


@click.group(
    cls=ExampledGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=(
        "demo                          # sync everything once, from simulated sources",
        "sync bubble                   # what changed since the last run",
        "sync bubble --keys ID         # one invoice with all that belongs to it",
        "sync bubble --full --dry-run  # what a full sync would do",
        "doctor                        # what keeps a target or source from being synced",
    ),
)
@click.version_option(package_name="sync-pipeline")
def cli() -> None:
    """Keep Postgres tables that people also edit in step with the systems around them.

    Where no environment variable names a target or a source, an embedded Postgres and simulated sources
    stand in, so every command works on a fresh machine.

    Exit codes: 0 success, 1 failed, 2 usage, 3 stopped by the guard, 4 partial success.
    """


# -- what the commands need


def _stand_ins(**options: Any) -> AbstractContextManager[Settings]:
    from sync_pipeline.standins import stand_ins

    return stand_ins(Settings.read(), say=say, **options)


@contextmanager
def _target(*, sources: bool = False) -> Iterator[Connection]:
    """A connection to the target, which may be the embedded server."""
    with _stand_ins(sources=sources, dagster=False) as settings, _connected(settings) as connection:
        yield connection


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    """A connection to a target that is known to be migrated."""
    from sync_pipeline.postgres.connect import connect

    with connect(settings.target()) as connection:
        row = connection.execute("select to_regclass('sync.step')").fetchone()
        if not row or row[0] is None:
            raise SyncError("the target has no bookkeeping tables yet; run: sync-pipeline migrate")
        yield connection


def _migrate(settings: Settings) -> list[Any]:
    from sync_pipeline.merge.migrate import migrate as bring_to_head
    from sync_pipeline.merge.tables import metadata
    from sync_pipeline.postgres.connect import connect

    connect(settings.target()).close()  # SQLAlchemy would say at length what is wrong
    return bring_to_head(settings.target(), metadata(SYSTEMS))


def _find_system(name: str) -> System:
    return next(s for s in SYSTEMS if s.name == name)


def _find_entity(name: str) -> tuple[System, Entity]:
    """The entity of a name such as invoice or bubble/invoice."""
    system_name, _, entity_name = name.rpartition("/")
    for system in SYSTEMS:
        for entity in system.entities:
            if entity.name == entity_name and system_name in {"", system.name}:
                return system, entity
    known = ", ".join(f"{s.name}/{e.name}" for s in SYSTEMS for e in s.entities)
    raise click.UsageError(f"there is no entity {name!r}; there are: {known}")


def _keys(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys((value or "").replace(",", " ").split()))
    if value is not None and not keys:
        # Without keys the run would be another one than was asked for.
        raise click.BadParameter("names no record; give one id or several, separated by commas")
    return keys


def _day(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        dt.datetime.fromisoformat(value or "2026-01-31")
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no date; write 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    return value


def _entity_option(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return _find_entity(value)[1].name if value else None


def _run_beginning(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-f][0-9a-f-]{3,35}", value.lower()):
        raise click.UsageError(
            f"{value!r} is no run: give its id, or at least four characters of its beginning, as"
            " `sync-pipeline history` shows it"
        )
    return value and value.lower()


def _limit(default: int) -> Any:
    kind = click.IntRange(min=1)
    return click.option(
        "--limit", type=kind, default=default, show_default=True, help="Show at most so many."
    )


# -- running


@commanding.command(
    cli,
    examples=("demo", "demo --scale 0.05"),
    short_help="Sync everything once, from simulated sources.",
    help="Sync every system from simulated sources into an embedded Postgres, and print a summary.\n\n"
    "A second demo finds everything unchanged. What the environment names (SYNC_TARGET_DSN,"
    " BUBBLE_API_URL) is used in place of a stand-in.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="Size of the simulated company; 1 is 33,000 records.",
)
def demo(*, scale: float, as_json: bool) -> int:
    """What `make demo` runs."""
    reports: dict[str, RunReport] = {}
    with _stand_ins(scale=scale) as settings:
        say("bringing the target's tables up to date")
        _migrate(settings)
        for system in SYSTEMS:
            wished = _wished(system, (), Scope(mode="full"))
            reports[system.name] = _run(wished, "demo")
    if as_json:
        printing.print_json(reports)
    else:
        for name, report in reports.items():
            printing.run_report(printing.to_stdout(), report, system=name)
        printing.hints(printing.to_stdout(), list(reports.values()))
    # The simulated company has records that nobody could sync; that they are named is the point.
    return max((r.exit_code for r in reports.values() if r.exit_code != 4), default=0)


def _wished(system: System, entities: Sequence[str], scope: Scope) -> Wish:
    from sync_pipeline.orchestration.runs import wish
    from sync_pipeline.systems.runs import RUNS

    try:
        return wish(RUNS[system.name], entities, scope)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _run(wished: Wish, trigger: str) -> RunReport:
    from sync_pipeline.definitions import defs
    from sync_pipeline.orchestration import runs

    say(f"running {wished.job}: {_described(wished.scope)}")
    return runs.execute(defs, wished, trigger=trigger)


def _described(scope: Scope) -> str:
    records = "1 record" if len(scope.keys) == 1 else f"{len(scope.keys):,} records"
    what = {
        "delta": "what changed since the last run",
        "full": "everything",
        "keys": f"{records} by key",
        "range": f"what was modified from {scope.since} to {scope.until or 'now'}",
    }[scope.mode]
    wishes = [what, *["forcing the source"] * scope.force, *["only planning"] * scope.dry_run]
    return ", ".join(wishes)


@commanding.command(
    cli,
    examples=(
        "sync bubble",
        "sync bubble --full --dry-run",
        "sync bubble --keys 1672398191097x872601726695236800",
        "sync bubble payment --keys ID,ID --force",
        "sync bubble --from 2026-01-01 --to 2026-01-31",
    ),
    short_help="Run a sync: what changed, everything, or some records.",
    help="Sync a system, or some of its entities, as one run that the Dagster UI shows.\n\n"
    "Without options: what changed since the last run; the first run reads everything.",
)
@click.argument("system", type=click.Choice(SYSTEM_NAMES))
@click.argument("entities", nargs=-1, metavar="[ENTITY]...")
@click.option(
    "--full", is_flag=True, help="Read everything; also finds what vanished from the source."
)
@click.option(
    "--keys",
    callback=_keys,
    metavar="ID,ID",
    help="Only these records, by source id. For bubble these are invoices, each with its package,"
    " unless another entity is named.",
)
@click.option(
    "--from",
    "since",
    callback=_day,
    metavar="D",
    help="Records modified from this ISO date or time on, included.",
)
@click.option(
    "--to",
    "until",
    callback=_day,
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
    full: bool,
    keys: tuple[str, ...],
    since: str | None,
    until: str | None,
    force: bool,
    dry_run: bool,
    approve: tuple[str, ...],
    as_json: bool,
) -> int:
    """One run."""
    if sum((full, bool(keys), bool(since))) > 1:
        raise click.UsageError("--full, --keys and --from exclude each other; give one of them")
    if until and not since:
        raise click.UsageError("--to needs --from, such as: --from 2026-01-01 --to 2026-01-31")
    found = _find_system(system)
    named = _entities_of(found, entities)
    mode = "full" if full else "keys" if keys else "range" if since else "delta"
    scope = _scope(
        mode=mode,
        ids=list(keys),
        since=since or "",
        until=until or "",
        force=force,
        dry_run=dry_run,
        approve=list(approve),
    )
    wished = _wished(found, named, scope)
    with _stand_ins() as settings:
        with _connected(settings):
            pass  # now, and in one line, rather than in the middle of a run
        report = _run(wished, "command line")
    if as_json:
        printing.print_json(report)
    else:
        printing.run_report(printing.to_stdout(), report, system=system)
        printing.approval(printing.to_stdout(), report, sys.argv[1:])
    return report.exit_code


def _entities_of(system: System, names: Sequence[str]) -> list[str]:
    known = {e.name for e in system.entities}
    found = [name.removeprefix(f"{system.name}/") for name in names]
    for name in found:
        if name not in known:
            raise click.UsageError(
                f"{system.name} has no entity {name!r}; it has: {', '.join(sorted(known))}"
            )
    return found


def _scope(**config: Any) -> Scope:
    from sync_pipeline.orchestration.resources import SyncScope

    try:
        scope = SyncScope(**config).resolve()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    if scope.since and scope.until and scope.since > scope.until:
        raise click.UsageError(f"--from {config['since']} is later than --to {config['until']}")
    return scope


@commanding.command(
    cli,
    examples=("up", "up --port 3100"),
    short_help="Keep everything running, with the Dagster UI.",
    help="Keep everything running with the Dagster UI and its daemon, until Ctrl-C.",
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
    with serving.alone(home, say=say), _stand_ins(executes=False) as settings:
        _migrate(settings)
        return serving.serve(home, port, say=say, as_json=as_json)


# -- looking after the target


@commanding.command(
    cli,
    examples=("migrate",),
    short_help="Bring the target's tables to what the entities need.",
    help="Bring the target to what the entities need; adopts tables that are there already.\n\n"
    "Creates what is missing as far as the data allows, changes nothing else, and says what differs.",
)
def migrate(*, as_json: bool) -> int:
    """Alembic to head, then what the entities declare."""
    with _stand_ins(sources=False, dagster=False) as settings:
        notes = _migrate(settings)
    refused = any(n.kind == "refused" for n in notes)
    if as_json:
        status = "partial_success" if refused else "completed"
        printing.print_json({"status": status, "notes": notes})
    else:
        printing.migration(printing.to_stdout(), notes)
    return 4 if refused else 0


@commanding.command(
    cli,
    examples=("doctor",),
    short_help="Say what keeps runs from succeeding, and how to mend it.",
    help="Check connections, unique indexes, schema drift and unmapped source fields; says how to mend.\n\n"
    "Exit code 1 if anything keeps a run from succeeding. Writes nothing.",
)
def doctor(*, as_json: bool) -> int:
    """What keeps a target or a source from being synced."""
    from sync_pipeline.checkup import examine

    with _stand_ins(dagster=False) as settings:
        findings = examine(settings)
    broken = any(f.severity == "error" for f in findings)
    if as_json:
        printing.print_json({"status": "failed" if broken else "completed", "findings": findings})
    else:
        printing.findings(printing.to_stdout(), findings)
    return 1 if broken else 0


@commanding.command(
    cli,
    examples=("purge",),
    short_help="Remove old bookkeeping.",
    help="Remove bookkeeping older than SYNC_RETENTION_DAYS; what is unresolved stays.\n\n"
    "With the daemon running this happens every night.",
)
def purge(*, as_json: bool) -> int:
    """Retention."""
    from sync_pipeline.merge import history as bookkeeping

    with _target() as connection:
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


# -- looking at what was done


@commanding.command(
    cli,
    examples=("history", "history --limit 3 --json", "history 95241c4d"),
    short_help="Show recent runs with their counts, or one in full.",
    help="Show recent runs with their counts, newest first; with RUN, one run as `sync` shows it.\n\n"
    "RUN is a run's id or its beginning.",
)
@click.argument("run", required=False, callback=_run_beginning)
@_limit(20)
def history(*, run: str | None, limit: int, as_json: bool) -> int:
    """Recent runs, or one of them."""
    from sync_pipeline.merge import overview

    if run:
        return _show_run(run, as_json=as_json)
    with _target() as connection:
        rows = overview.runs(connection, limit)
    if as_json:
        printing.print_json({"runs": rows})
    else:
        printing.runs(printing.to_stdout(), rows)
    return 0


def _show_run(beginning: str, *, as_json: bool) -> int:
    from sync_pipeline.orchestration import runs

    with _target() as connection:
        run_id = _run_named(connection, beginning)
        row = connection.execute(
            "select status, metadata ->> 'system', metadata ->> 'error' from sync_history where id = %s",
            [run_id],
        ).fetchone()
        assert row
        status, system, error = row
        report = runs.report(connection, run_id, status, [error] if error else [])
    if as_json:
        printing.print_json(report)
    else:
        printing.run_report(printing.to_stdout(), report, system=system or "run")
    return 0


@commanding.command(
    cli,
    examples=(
        "explain invoice 1672398191097x872601726695236800",
        "explain bubble/payment ID --no-source",
    ),
    short_help="Show one row from all sides: local, base and source.",
    help="One row: each field's local, base and source value, which run wrote it, open conflicts.\n\n"
    "ENTITY is a name such as invoice or bubble/invoice; KEY the source id, its parts separated by commas.",
)
@click.argument("entity")
@click.argument("key")
@click.option("--no-source", is_flag=True, help="Do not ask the source.")
def explain(*, entity: str, key: str, no_source: bool, as_json: bool) -> int:
    """One row from all sides."""
    system, declared = _find_entity(entity)
    parts = tuple(key.split(",", len(declared.key) - 1))
    if len(parts) != len(declared.key):
        raise click.UsageError(
            f"the key of {entity} has {len(declared.key)} parts: {', '.join(declared.key)}"
        )
    from sync_pipeline.merge import overview

    with _target(sources=not no_source) as connection:
        found = overview.explain(connection, declared, parts)
        at_source = None
        if not no_source:
            from sync_pipeline import explaining

            at_source = explaining.ask(connection, system, declared, key)
    problem = at_source.problem if at_source else None
    for row in found.fields:
        row["source"] = at_source.values.get(row["column"]) if at_source else None
    known = found.on_target or found.in_base or found.rejected
    if not known and not (at_source and at_source.values):
        raise SyncError(
            f"{declared.name} {key} is not on the target and was never delivered."
            f" The source says: {problem or 'it was not asked'}."
        )
    if as_json:
        about = {"entity": entity, "key": key, "source_problem": problem}
        printing.print_json({"status": "completed"} | about | {"explanation": found})
    else:
        printing.explanation(printing.to_stdout(), f"{declared.name} {key}", found, at_source)
    return 0


def _waiting(
    kind: str, names: Sequence[str], *, heading: int, empty: str, short: str, more: str
) -> None:
    """A command that lists what waits to be settled."""

    @commanding.command(
        cli,
        name=kind,
        examples=(kind, f"{kind} --entity invoice --limit 10"),
        short_help=short,
        help=f"{short}\n\n{more}",
    )
    @click.option("--entity", callback=_entity_option, help="Only of this entity.")
    @_limit(50)
    def show(*, entity: str | None, limit: int, as_json: bool) -> int:
        from sync_pipeline.merge import overview

        with _target() as connection:
            rows = getattr(overview, kind)(connection, limit, entity)
        if as_json:
            printing.print_json({kind: rows})
        else:
            printing.listing(printing.to_stdout(), rows, names, empty=empty, heading=heading)
            printing.cut_short(printing.to_stdout(), len(rows), limit)
        return 0


_waiting(
    "rejected",
    ("id", "entity", "last_seen", "reason", "constraint"),
    heading=3,
    empty="Nothing is rejected.",
    short="List records that could not be merged, and why.",
    more="A later good record clears them by itself; to try one again now: sync-pipeline sync SYSTEM"
    " ENTITY --keys ID",
)
_waiting(
    "parked",
    ("id", "entity", "key", "parent", "parent_column", "parent_key", "parked_at"),
    heading=3,
    empty="Nothing waits for a parent.",
    short="List records that wait for a required parent.",
    more="They are released by the first run that finds it; to try now: sync-pipeline sync SYSTEM ENTITY",
)


@commanding.command(
    cli,
    examples=("conflicts", "conflicts --take source 17", "conflicts --take local 17"),
    short_help="List what both sides changed; settle one with --take.",
    help="What both sides changed, or the source wanted and did not get. With --take, settle one.\n\n"
    "CONFLICT_ID is the number that the list shows. Settling is a run of its own, which undo takes back.",
)
@click.argument("conflict_id", type=int, required=False)
@click.option(
    "--take", type=click.Choice(["source", "local"]), help="Settle the conflict for this side."
)
@click.option("--entity", callback=_entity_option, help="Only of this entity.")
@_limit(50)
def conflicts(
    *, conflict_id: int | None, take: Any, entity: str | None, limit: int, as_json: bool
) -> int:
    """List conflicts, or settle one."""
    if (conflict_id is None) != (take is None):
        raise click.UsageError(
            "name the conflict and the side: sync-pipeline conflicts --take source 17"
        )
    from sync_pipeline.merge import overview

    with _target() as connection:
        if conflict_id is not None:
            return _settle(connection, conflict_id, take, as_json=as_json)
        rows = overview.conflicts(connection, limit, entity)
    if as_json:
        printing.print_json({"conflicts": rows})
    else:
        printing.conflicts(printing.to_stdout(), rows)
        printing.cut_short(printing.to_stdout(), len(rows), limit)
    return 0


def _settle(connection: Connection, conflict_id: int, take: Any, *, as_json: bool) -> int:
    from sync_pipeline.merge import overview

    run_id = uuid4()
    row = connection.execute(
        "select system from sync.conflict where id = %s", [conflict_id]
    ).fetchone()
    if row is None:
        raise SyncError(f"conflict {conflict_id} does not exist; see: sync-pipeline conflicts")
    try:
        did = overview.resolve(connection, _find_system(row[0]), conflict_id, take, run_id=run_id)
    except LookupError as error:
        raise SyncError(str(error)) from error
    if as_json:
        printing.print_json({"status": "completed", "run_id": run_id, "did": did})
    else:
        printing.to_stdout().print(f"{did}. To take it back: sync-pipeline undo {run_id}")
    return 0


@commanding.command(
    cli,
    name="undo",
    examples=("undo 95241c4d", "undo 95241c4d-1d9c-4dcb-87df-99b49bcc637f"),
    short_help="Take a run back.",
    help="Take a run back: only fields that still hold what that run wrote; reports the rest.\n\n"
    "RUN is a run's id or its beginning, as `history` shows it. An undo is a run too and can be undone.",
)
@click.argument("run", callback=_run_beginning)
def undo_run(*, run: str, as_json: bool) -> int:
    """Take a run back."""
    from sync_pipeline.merge import undo

    undo_id = uuid4()
    with _target() as connection:
        run_id = _run_named(connection, run)
        results = {
            f"{system.name}/{name}": result
            for system in SYSTEMS
            for name, result in undo.undo(connection, system, run_id, undo_id=undo_id).items()
        }
    kept = any(r.kept for r in results.values())
    if as_json:
        status = "partial_success" if kept else "completed"
        printing.print_json(
            {"status": status, "run_id": undo_id, "undid": run_id, "entities": results}
        )
    else:
        printing.undone(printing.to_stdout(), results, run_id, undo_id)
    return 4 if kept else 0


def _run_named(connection: Connection, beginning: str) -> UUID:
    rows = connection.execute(
        "select id from sync_history where starts_with(id::text, %s) limit 2", [beginning]
    ).fetchall()
    if len(rows) != 1:
        found = "several runs begin" if rows else "no run begins"
        raise SyncError(f"{found} with {beginning!r}; see: sync-pipeline history")
    return rows[0][0]
