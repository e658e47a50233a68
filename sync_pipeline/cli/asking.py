"""Commands that only look: the runs so far, one row from all sides, records that wait for something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from sync_pipeline import printing
from sync_pipeline.cli import commanding, naming
from sync_pipeline.cli.accounts import TARGET, Account, reverse_option, reverse_runs
from sync_pipeline.cli.group import cli
from sync_pipeline.errors import SyncError
from sync_pipeline.model.catalog import System
from sync_pipeline.model.entity import Entity
from sync_pipeline.settings import Settings

if TYPE_CHECKING:
    from sync_pipeline.explaining import AtSource
    from sync_pipeline.merge.stage import Connection


@commanding.command(
    cli,
    examples=(
        "history",
        "history --limit 3 --json",
        "history 95241c4d",
        "history --reverse",
    ),
    short_help="Show recent runs with their counts, or one in full.",
    help="Show recent runs with their counts, newest first; with RUN, one run as `sync` shows it.\n\n"
    "RUN is a run's id or its beginning.",
)
@click.argument("run", required=False, callback=naming.run_beginning)
@naming.limit(20)
@reverse_option("The runs into the desktop database.")
def history(*, run: str | None, limit: int, account: Account, as_json: bool) -> int:
    """Recent runs, or one of them."""
    from sync_pipeline.merge import overview

    if run:
        return _show_run(account, run, as_json=as_json)
    with account.opened() as connection:
        rows = overview.runs(connection, limit)
        others = reverse_runs() if account is TARGET and not as_json else None
    if as_json:
        printing.print_json({"runs": rows})
    else:
        printing.runs(printing.to_stdout(), rows, reverse=account.reverse, others=others or 0)
    return 0


def _show_run(account: Account, beginning: str, *, as_json: bool) -> int:
    from sync_pipeline.orchestration import runs

    with account.opened() as connection:
        run_id = naming.run_named(account, connection, beginning)
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
        printing.run_report(printing.to_stdout(), report, system=account.title(system or "run"))
    return 0


@commanding.command(
    cli,
    examples=(
        "explain invoice 1672398191097x872601726695236800",
        "explain bubble/payment ID --no-source",
        "explain desktop/jobshead 100017,3",
        "explain desktop/jobshead 8000000001,3 --reverse",
    ),
    short_help="Show one row from all sides: local, base and source.",
    help="One row: each field's local, base and source value, which run wrote it, open conflicts.\n\n"
    "ENTITY is a name such as invoice or bubble/invoice; KEY the source id, its parts separated by commas;"
    " a part that is empty means null.",
)
@click.argument("entity")
@click.argument("key")
@click.option("--no-source", is_flag=True, help="Do not ask the source.")
@reverse_option("The row of the desktop database; its source is the target.")
def explain(*, entity: str, key: str, no_source: bool, account: Account, as_json: bool) -> int:
    """One row from all sides."""
    system, declared = naming.find_entity(account, entity)
    parts = naming.key_parts(declared, key)
    from sync_pipeline.merge import overview

    with account.opened(sources=() if no_source else system.place[:1]) as connection:
        found = overview.explain(connection, declared, tuple(part or None for part in parts))
        at_source = None if no_source else _ask(connection, system, declared, ",".join(parts))
    problem = at_source.problem if at_source else None
    for row in found.fields:
        row["source"] = at_source.values.get(row["column"]) if at_source else None
    known = found.on_target or found.in_base or found.rejected
    if not known and not (at_source and at_source.values):
        raise SyncError(
            f"{declared.name} {key} is not {account.within} and was never delivered."
            f" The source says: {problem or 'it was not asked'}."
        )
    if as_json:
        about = {"entity": entity, "key": key, "source_problem": problem}
        printing.print_json({"status": "completed"} | about | {"explanation": found})
    else:
        printing.explanation(printing.to_stdout(), f"{declared.name} {key}", found, at_source)
    return 0


def _ask(connection: Connection, system: System, entity: Entity, key: str) -> AtSource:
    from sync_pipeline import explaining

    variable = Settings.read().missing(system.place[0])
    if variable:
        return explaining.AtSource(problem=f"{variable} is not set")
    return explaining.ask(connection, system, entity, key)


def _waiting(
    kind: str, names: Sequence[str], *, heading: int, empty: str, short: str, more: str
) -> None:
    """A command that lists what waits to be settled."""

    @commanding.command(
        cli,
        name=kind,
        examples=(kind, f"{kind} --entity bubble/invoice --limit 10", f"{kind} --reverse"),
        short_help=short,
        help=f"{short}\n\n{more}",
    )
    @click.option("--entity", help="Only of this entity, such as invoice or bubble/invoice.")
    @naming.limit(50)
    @reverse_option("Those of runs into the desktop database.")
    def show(*, entity: str | None, limit: int, account: Account, as_json: bool) -> int:
        from sync_pipeline.merge import overview

        chosen = naming.filters(account, entity)
        with account.opened() as connection:
            rows = getattr(overview, kind)(connection, limit, **chosen)
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
