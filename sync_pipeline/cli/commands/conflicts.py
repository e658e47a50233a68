"""`conflicts`: list conflicts, or resolve one."""

from typing import Any
from uuid import uuid4

import click

from sync_pipeline.cli import arguments, framework, output
from sync_pipeline.cli.databases import Database, reverse_option
from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import listings, resolutions
from sync_pipeline.postgres.connect import Connection


@framework.command(
    examples=(
        "conflicts",
        "conflicts --take source 17",
        "conflicts --take local 17",
        "conflicts --reverse --entity desktop/jobshead",
    ),
    short_help="List what both sides changed; resolve one with --take.",
    help="List fields that both sides changed, and rows that a sync withheld, such as those of another owner."
    " With --take, resolve one.\n\n"
    "CONFLICT_ID is the number that the list shows. A resolution is a run of its own, which undo reverses.",
)
@click.argument("conflict_id", type=int, required=False)
@click.option(
    "--take", type=click.Choice(["source", "local"]), help="Resolve the conflict for this side."
)
@click.option("--entity", help="Only of this entity, such as invoice or bubble/invoice.")
@arguments.limit(50)
@reverse_option("Those of runs into the desktop database.")
def conflicts(
    *,
    conflict_id: int | None,
    take: Any,
    entity: str | None,
    limit: int,
    database: Database,
    as_json: bool,
) -> int:
    """List conflicts, or resolve one."""
    if (conflict_id is None) != (take is None):
        raise click.UsageError(
            f"name the conflict and the side: {database.command('conflicts --take source 17')}"
        )
    chosen = arguments.filters(database, entity)
    with database.session() as connection:
        if conflict_id is not None:
            return _resolve(database, connection, conflict_id, take, as_json=as_json)
        rows = listings.waiting(connection, "conflicts", limit, **chosen)
    if as_json:
        output.print_json({"conflicts": rows})
    else:
        output.conflicts(output.to_stdout(), rows, reverse=database.reverse)
        output.cut_short(output.to_stdout(), len(rows), limit)
    return 0


def _resolve(
    database: Database, connection: Connection, conflict_id: int, take: Any, *, as_json: bool
) -> int:
    from sync_pipeline.merge.review import resolve

    run_id = uuid4()
    conflict = resolutions.unresolved(connection, conflict_id)
    if conflict is None:
        raise SyncError(
            f"conflict {conflict_id} does not exist or is resolved; see: {database.command('conflicts')}"
        )
    try:
        system = database.system(conflict["system"])
        did = resolve.resolve(connection, system, conflict_id, take, run_id=run_id)
    except LookupError as error:
        raise SyncError(str(error)) from error
    if as_json:
        output.print_json({"status": "completed", "run_id": run_id, "did": did})
    else:
        again = database.command(f"undo {run_id}")
        output.to_stdout().print(f"{did}. To take it back: {again}", soft_wrap=True)
    return 0
