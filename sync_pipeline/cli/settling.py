"""Commands by which people decide: conflicts are settled, runs are taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import click

from sync_pipeline import printing
from sync_pipeline.cli import commanding, naming
from sync_pipeline.cli.accounts import Account, reverse_option
from sync_pipeline.cli.group import cli
from sync_pipeline.errors import SyncError
from sync_pipeline.model.catalog import System

if TYPE_CHECKING:
    from sync_pipeline.merge.stage import Connection


@commanding.command(
    cli,
    examples=(
        "conflicts",
        "conflicts --take source 17",
        "conflicts --take local 17",
        "conflicts --reverse --entity desktop/jobshead",
    ),
    short_help="List what both sides changed; settle one with --take.",
    help="What both sides changed, or the source wanted and did not get. With --take, settle one.\n\n"
    "CONFLICT_ID is the number that the list shows. Settling is a run of its own, which undo takes back.",
)
@click.argument("conflict_id", type=int, required=False)
@click.option(
    "--take", type=click.Choice(["source", "local"]), help="Settle the conflict for this side."
)
@click.option("--entity", help="Only of this entity, such as invoice or bubble/invoice.")
@naming.limit(50)
@reverse_option("Those of runs into the desktop database.")
def conflicts(
    *,
    conflict_id: int | None,
    take: Any,
    entity: str | None,
    limit: int,
    account: Account,
    as_json: bool,
) -> int:
    """List conflicts, or settle one."""
    if (conflict_id is None) != (take is None):
        raise click.UsageError(
            f"name the conflict and the side: {account.typed('conflicts --take source 17')}"
        )
    from sync_pipeline.merge import overview

    chosen = naming.filters(account, entity)
    with account.opened() as connection:
        if conflict_id is not None:
            return _settle(account, connection, conflict_id, take, as_json=as_json)
        rows = overview.conflicts(connection, limit, **chosen)
    if as_json:
        printing.print_json({"conflicts": rows})
    else:
        printing.conflicts(printing.to_stdout(), rows, reverse=account.reverse)
        printing.cut_short(printing.to_stdout(), len(rows), limit)
    return 0


def _settle(
    account: Account, connection: Connection, conflict_id: int, take: Any, *, as_json: bool
) -> int:
    from sync_pipeline.merge import overview

    run_id = uuid4()
    row = connection.execute(
        "select system from sync.conflict where id = %s and resolved_at is null", [conflict_id]
    ).fetchone()
    if row is None:
        raise SyncError(
            f"conflict {conflict_id} does not exist or is resolved; see: {account.typed('conflicts')}"
        )
    try:
        did = overview.resolve(connection, account.system(row[0]), conflict_id, take, run_id=run_id)
    except LookupError as error:
        raise SyncError(str(error)) from error
    if as_json:
        printing.print_json({"status": "completed", "run_id": run_id, "did": did})
    else:
        again = account.typed(f"undo {run_id}")
        printing.to_stdout().print(f"{did}. To take it back: {again}", soft_wrap=True)
    return 0


@commanding.command(
    cli,
    name="undo",
    examples=(
        "undo 95241c4d",
        "undo 95241c4d-1d9c-4dcb-87df-99b49bcc637f",
        "undo 95241c4d --reverse",
    ),
    short_help="Take a run back.",
    help="Take a run back: only fields that still hold what that run wrote; reports the rest.\n\n"
    "RUN is a run's id or its beginning, as `history` shows it. An undo is a run too and can be undone.",
)
@click.argument("run", callback=naming.run_beginning)
@reverse_option("A run into the desktop database.")
def undo_run(*, run: str, account: Account, as_json: bool) -> int:
    """Take a run back."""
    from sync_pipeline.merge import undo

    undo_id = uuid4()
    with account.opened() as connection:
        run_id = naming.run_named(account, connection, run)
        results = {
            f"{system.place[0]}/{name}": result
            for system in _concerned(account, connection, run_id)
            for name, result in undo.undo(connection, system, run_id, undo_id=undo_id).items()
        }
    kept = any(r.kept for r in results.values())
    if as_json:
        status = "partial_success" if kept else "completed"
        printing.print_json(
            {"status": status, "run_id": undo_id, "undid": run_id, "entities": results}
        )
    else:
        again = account.typed(f"undo {undo_id}")
        printing.undone(printing.to_stdout(), results, run_id, again=again)
    return 4 if kept else 0


def _concerned(account: Account, connection: Connection, run_id: UUID) -> list[System]:
    """The systems that a run has to do with; the others need not be held up."""
    rows = connection.execute(
        "select system from sync.step where run_id = %(run)s"
        " union select system from sync.change where run_id = %(run)s",
        {"run": run_id},
    ).fetchall()
    names = {name for (name,) in rows}
    return [s for s in account.systems if s.name in names] or list(account.systems)
