"""The command line.

Every command takes `--json` and then prints one JSON object on stdout; progress and errors go to stderr.
Exit codes: 0 success, 1 failed, 2 usage, 3 stopped by the guard, 4 partial success.
"""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, NoReturn
from uuid import UUID, uuid4

import click
from rich.logging import RichHandler

from sync_pipeline import printing
from sync_pipeline.errors import StoppedByGuard, SyncError
from sync_pipeline.merge import overview, undo
from sync_pipeline.merge.stage import Connection
from sync_pipeline.model.catalog import System
from sync_pipeline.model.scope import Scope
from sync_pipeline.settings import Settings
from sync_pipeline.standins import stand_ins
from sync_pipeline.systems.registry import SYSTEMS

Command = Callable[..., Any]
SYSTEM_NAMES = [s.name for s in SYSTEMS]


def main() -> None:
    """Entry point of the installed script."""
    # SIGTERM must run the exits of our context managers, or the embedded server would be left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell that starts us in the background makes us deaf to SIGINT; we want to hear it all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli(prog_name="sync-pipeline")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sync-pipeline")
def cli() -> None:
    r"""Keep Postgres tables that people also edit in step with the systems around them.

    Where no environment variable names a target or a source, an embedded Postgres and simulated sources
    stand in, so every command works on a fresh machine:

    \b
      sync-pipeline demo                         sync everything once, from simulated sources
      sync-pipeline sync bubble                  what changed since the last run
      sync-pipeline sync bubble --keys ID        one invoice with all that belongs to it
      sync-pipeline sync bubble --full --dry-run what a full sync would do
      sync-pipeline doctor                       what keeps a target or source from being synced
    """


def command(*, takes_json: bool = True, **attributes: Any) -> Callable[[Command], click.Command]:
    """A command whose errors are one line each, whatever prints them."""

    def decorate(function: Command) -> click.Command:
        @wraps(function)
        def guarded(**options: Any) -> None:
            as_json = options.get("as_json", False)
            _quiet(as_json=as_json)
            try:
                code = function(**options)
            except StoppedByGuard as error:
                _fail(str(error), as_json=as_json, code=3)
            except (SyncError, LookupError) as error:
                _fail(str(error), as_json=as_json, code=1)
            sys.exit(code or 0)

        if takes_json:
            guarded = click.option(
                "--json", "as_json", is_flag=True, help="Print one JSON object on stdout."
            )(guarded)
        return cli.command(**attributes)(guarded)

    return decorate


def _fail(message: str, *, as_json: bool, code: int) -> NoReturn:
    if as_json:
        printing.print_json({"status": "failed", "errors": [message]})
    printing.to_stderr().print(message, style="red", markup=False)
    sys.exit(code)


def _quiet(*, as_json: bool) -> None:
    """Our own progress on stderr; of the libraries only what is worth a warning."""
    warnings.filterwarnings("ignore", module="dagster")
    handler = RichHandler(
        console=printing.to_stderr(),
        show_path=False,
        show_level=False,
        markup=False,
        log_time_format="[%X]",
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s")
    logging.getLogger("sync_pipeline").setLevel(logging.WARNING if as_json else logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _say(message: str) -> None:
    logging.getLogger(__name__).info(message)


@contextmanager
def _target(*, dagster: bool = False) -> Iterator[Connection]:
    """A connection to the target, which may be the embedded server."""
    from sync_pipeline.orchestration.resources import TargetDatabase

    with (
        stand_ins(Settings.read(), say=_say, sources=False, dagster=dagster),
        TargetDatabase().connect() as connection,
    ):
        _require_migrated(connection)
        yield connection


def _require_migrated(connection: Connection) -> None:
    row = connection.execute("select to_regclass('sync.step')").fetchone()
    if not row or row[0] is None:
        raise SyncError("the target has no bookkeeping tables yet; run: sync-pipeline migrate")


def _system(name: str) -> System:
    return next(s for s in SYSTEMS if s.name == name)


@command(
    help="Sync every system from simulated sources into an embedded Postgres, and print a summary."
)
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    help="Size of the simulated company; 1 is 33,000 records.",
)
def demo(*, scale: float, as_json: bool) -> int:
    """What `make demo` runs."""
    del scale
    reports = {}
    with stand_ins(Settings.read(), say=_say) as settings:
        _migrate(settings)
        for system in SYSTEMS:
            reports[system.name] = _run(system.name, (), Scope(mode="full"), "demo")
    for name, report in reports.items():
        if not as_json:
            printing.run_report(printing.to_stdout(), report, system=name)
    if as_json:
        printing.print_json(reports)
    # The simulated company has records that nobody could sync; that they are named is the point.
    return max((r.exit_code for r in reports.values() if r.exit_code != 4), default=0)


def _run(system: str, entities: tuple[str, ...], scope: Scope, trigger: str) -> Any:
    from sync_pipeline.definitions import defs
    from sync_pipeline.orchestration import runs
    from sync_pipeline.systems.runs import RUNS

    return runs.execute(defs, runs.wish(RUNS[system], entities, scope), trigger=trigger)


def _split(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> tuple[str, ...]:
    return tuple(dict.fromkeys(k for k in (value or "").replace(",", " ").split() if k))


@command(help="Sync a system, or some of its entities, as one run that the Dagster UI shows.")
@click.argument("system", type=click.Choice(SYSTEM_NAMES))
@click.argument("entities", nargs=-1, metavar="[ENTITY]...")
@click.option(
    "--full", is_flag=True, help="Read everything; also finds what vanished from the source."
)
@click.option(
    "--keys",
    callback=_split,
    help="Only these records, by source id, comma-separated. For bubble"
    " these are invoices, each with its package, unless another entity is named.",
)
@click.option(
    "--from", "since", metavar="D", help="Records modified from this ISO date or time on, included."
)
@click.option("--to", "until", metavar="D", help="… until this one, included; now when left out.")
@click.option(
    "--force", is_flag=True, help="Re-assert the source over local edits of mapped fields."
)
@click.option(
    "--dry-run", is_flag=True, help="Stop after the plan; nothing of the tables is written."
)
@click.option(
    "--approve", multiple=True, metavar="DIGEST", help="Let exactly this plan pass the guard."
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
    from sync_pipeline.orchestration.resources import SyncScope

    mode = "full" if full else "keys" if keys else "range" if since else "delta"
    scope = SyncScope(
        mode=mode,
        ids=list(keys),
        since=since or "",
        until=until or "",
        force=force,
        dry_run=dry_run,
        approve=list(approve),
    ).resolve()
    with stand_ins(Settings.read(), say=_say) as settings:
        with_target = _connect_once(settings)
        _require_migrated(with_target)
        with_target.close()
        report = _run(system, entities, scope, "command line")
    if as_json:
        printing.print_json(report)
    else:
        printing.run_report(printing.to_stdout(), report, system=system)
    return report.exit_code


def _connect_once(settings: Settings) -> Connection:
    from sync_pipeline.postgres.connect import connect

    return connect(settings.target())


@command(help="Keep everything running with the Dagster UI and its daemon, until Ctrl-C.")
@click.option(
    "--port", default=3000, show_default=True, help="Of the UI; the next free one if it is taken."
)
def up(*, port: int, as_json: bool) -> int:
    """What `make up` runs."""
    from sync_pipeline.serving import serve

    with stand_ins(Settings.read(), say=_say) as settings:
        _migrate(settings)
        return serve(port, say=_say, as_json=as_json)


def _migrate(settings: Settings) -> list[Any]:
    from sync_pipeline.merge.migrate import migrate as bring_to_head
    from sync_pipeline.merge.tables import metadata

    return bring_to_head(settings.target(), metadata(SYSTEMS))


@command(help="Bring the target to what the entities need; adopts tables that are there already.")
def migrate(*, as_json: bool) -> int:
    """Alembic to head, then what the entities declare."""
    with stand_ins(Settings.read(), say=_say, sources=False, dagster=False) as settings:
        notes = _migrate(settings)
    if as_json:
        printing.print_json({"status": "completed", "notes": notes})
        return 0
    rows = [{"kind": n.kind, "table": n.table, "what": n.text} for n in notes]
    console = printing.to_stdout()
    printing.listing(
        console, rows, ("kind", "table", "what"), empty="The target is at head; nothing to do."
    )
    return 4 if any(n.kind == "refused" for n in notes) else 0


@command(
    help="Check connections, unique indexes, schema drift and unmapped source fields; says how to mend."
)
def doctor(*, as_json: bool) -> int:
    """What keeps a target or a source from being synced."""
    from sync_pipeline.checkup import examine

    with stand_ins(Settings.read(), say=_say, dagster=False) as settings:
        findings = examine(settings)
    broken = any(f.severity == "error" for f in findings)
    if as_json:
        printing.print_json({"status": "failed" if broken else "completed", "findings": findings})
        return 1 if broken else 0
    rows = [vars(f) for f in findings]
    printing.listing(
        printing.to_stdout(), rows, ("severity", "where", "problem", "remedy"), empty="All is well."
    )
    return 1 if broken else 0


@command(help="Recent runs with their counts.")
@click.option("--limit", default=20, show_default=True)
def history(*, limit: int, as_json: bool) -> int:
    """Recent runs."""
    with _target() as connection:
        rows = overview.runs(connection, limit)
    if as_json:
        printing.print_json({"runs": rows})
        return 0
    names = (
        "created_at",
        "sync_type",
        "status",
        "items_processed",
        "items_created",
        "items_updated",
        "items_failed",
        "duration_ms",
        "run_id",
    )
    printing.listing(
        printing.to_stdout(), rows, names, empty="Nothing was synced yet: sync-pipeline sync bubble"
    )
    return 0


def _find_entity(name: str) -> tuple[System, Any]:
    system_name, _, entity_name = name.rpartition("/")
    for system in SYSTEMS:
        for entity in system.entities:
            if entity.name == entity_name and system_name in {"", system.name}:
                return system, entity
    known = ", ".join(f"{s.name}/{e.name}" for s in SYSTEMS for e in s.entities)
    raise click.UsageError(f"there is no entity {name!r}; there are: {known}")


@command(
    help="One row: each field's local, base and source value, which run wrote it, open conflicts.\n\n"
    "ENTITY is a name such as invoice or bubble/invoice; KEY the source id, its parts separated by commas."
)
@click.argument("entity")
@click.argument("key")
@click.option("--no-source", is_flag=True, help="Do not ask the source.")
def explain(*, entity: str, key: str, no_source: bool, as_json: bool) -> int:
    """One row from all sides."""
    from sync_pipeline.explaining import source_values

    system, declared = _find_entity(entity)
    parts = tuple(key.split(",", len(declared.key) - 1))
    if len(parts) != len(declared.key):
        raise click.UsageError(
            f"the key of {entity} has {len(declared.key)} parts: {', '.join(declared.key)}"
        )
    with stand_ins(Settings.read(), say=_say, sources=not no_source, dagster=False) as settings:
        with _connect_once(settings) as connection:
            _require_migrated(connection)
            explanation = overview.explain(connection, declared, parts)
        at_source, problem = ({}, None) if no_source else source_values(system, declared, key)
    for row in explanation.fields:
        row["source"] = at_source.get(row["column"])
    found = explanation.on_target or explanation.in_base or bool(at_source)
    if as_json:
        printing.print_json(
            {"entity": entity, "key": key, "source_problem": problem, "explanation": explanation}
        )
        return 0 if found else 1
    console = printing.to_stdout()
    if not found:
        console.print(
            f"{entity} {key} is neither on the target nor known to have been. {problem or ''}"
        )
        return 1
    printing.explanation(console, explanation, problem)
    return 0


def _kept(kind: str, names: tuple[str, ...], empty: str, help_text: str) -> None:
    """A command that lists what waits to be settled."""

    @command(name=kind, help=help_text)
    @click.option("--entity", help="Only of this entity.")
    @click.option("--limit", default=50, show_default=True)
    def show(*, entity: str | None, limit: int, as_json: bool) -> int:
        with _target() as connection:
            rows = getattr(overview, kind)(connection, limit, entity)
        if as_json:
            printing.print_json({kind: rows})
        else:
            printing.listing(printing.to_stdout(), rows, names, empty=empty)
        return 0


_kept(
    "rejected",
    ("id", "entity", "reason", "constraint", "last_seen"),
    "Nothing is rejected.",
    "Records that could not be merged, with their reasons. A later good record clears them by itself; to try"
    " one again now: sync-pipeline sync SYSTEM ENTITY --keys ID",
)
_kept(
    "parked",
    ("id", "entity", "key", "parent", "parent_column", "parent_key", "parked_at"),
    "Nothing waits for a parent.",
    "Records that wait for a required parent. They are released by the first run that finds it; to try now:"
    " sync-pipeline sync SYSTEM ENTITY",
)


@command(
    help="What both sides changed, or the source wanted and did not get. With --take, settle one:\n\n"
    "  sync-pipeline conflicts --take source 17"
)
@click.argument("conflict_id", type=int, required=False)
@click.option(
    "--take", type=click.Choice(["source", "local"]), help="Settle the conflict for this side."
)
@click.option("--entity", help="Only of this entity.")
@click.option("--limit", default=50, show_default=True)
def conflicts(
    *, conflict_id: int | None, take: Any, entity: str | None, limit: int, as_json: bool
) -> int:
    """List conflicts, or settle one."""
    if (conflict_id is None) != (take is None):
        raise click.UsageError(
            "name the conflict and the side: sync-pipeline conflicts --take source 17"
        )
    with _target() as connection:
        if conflict_id is not None:
            run_id = uuid4()
            said = _settle(connection, conflict_id, take, run_id)
            if as_json:
                printing.print_json({"status": "completed", "run_id": run_id, "did": said})
            else:
                printing.to_stdout().print(said)
            return 0
        rows = overview.conflicts(connection, limit, entity)
    if as_json:
        printing.print_json({"conflicts": rows})
        return 0
    names = (
        "id",
        "entity",
        "key",
        "kind",
        "field",
        "base",
        "local",
        "source",
        "kept",
        "created_at",
    )
    printing.listing(printing.to_stdout(), rows, names, empty="There are no conflicts.")
    return 0


def _settle(connection: Connection, conflict_id: int, take: Any, run_id: UUID) -> str:
    row = connection.execute(
        "select system from sync.conflict where id = %s", [conflict_id]
    ).fetchone()
    if row is None:
        raise LookupError(f"conflict {conflict_id} does not exist; see: sync-pipeline conflicts")
    said = overview.resolve(connection, _system(row[0]), conflict_id, take, run_id=run_id)
    return f"{said}; to take it back: sync-pipeline undo {run_id}"


@command(
    name="undo",
    help="Take a run back: only fields that still hold what that run wrote; reports the rest.\n\n"
    "RUN is a run's id or its beginning, as `history` shows it. An undo is a run too and can be undone.",
)
@click.argument("run")
def undo_run(*, run: str, as_json: bool) -> int:
    """Take a run back."""
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
        printing.print_json({"run_id": undo_id, "undid": run_id, "entities": results})
    else:
        rows = [{"entity": name, **vars(r)} for name, r in results.items()]
        names = ("entity", "restored", "deleted", "reinserted", "kept", "examples")
        printing.listing(
            printing.to_stdout(), rows, names, empty="That run wrote nothing; nothing to undo."
        )
    return 4 if kept else 0


def _run_named(connection: Connection, text: str) -> UUID:
    rows = connection.execute(
        "select id from sync_history where id::text like %s limit 2", [text.replace("%", "") + "%"]
    ).fetchall()
    if len(rows) != 1:
        raise LookupError(
            f"{'several runs begin' if rows else 'no run begins'} with {text!r}; see: sync-pipeline history"
        )
    return rows[0][0]


@command(help="Remove bookkeeping older than SYNC_RETENTION_DAYS; what is unresolved stays.")
def purge(*, as_json: bool) -> int:
    """Retention."""
    from sync_pipeline.merge import history as bookkeeping

    with _target() as connection:
        removed = bookkeeping.purge(connection, keep=Settings.read().retention)
    if as_json:
        printing.print_json({"status": "completed", "removed": removed})
    else:
        rows = [{"table": name, "rows": n} for name, n in removed.items()]
        printing.listing(printing.to_stdout(), rows, ("table", "rows"), empty="")
    return 0
