"""`undo`: reverse a run."""

from uuid import UUID, uuid4

import click

from sync_pipeline.cli import arguments, framework, output
from sync_pipeline.cli.databases import Database, reverse_option
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection


@framework.command(
    name="undo",
    examples=(
        "undo latest",
        "undo 95241c4d",
        "undo 95241c4d-1d9c-4dcb-87df-99b49bcc637f",
        "undo 95241c4d --reverse",
    ),
    short_help="Reverse a run.",
    help="Reverse a run: only fields that still hold what that run wrote; the rest is listed.\n\n"
    "RUN is `latest`, or a run's id or its beginning, as `history` shows it. An undo can be undone.",
)
@click.argument("run", callback=arguments.run_beginning)
@reverse_option("A run into the desktop database.")
def undo_run(*, run: str, database: Database, as_json: bool) -> int:
    """Take a run back."""
    from sync_pipeline.merge.review import undo

    undo_id = uuid4()
    with database.session() as connection:
        run_id = arguments.run_named(database, connection, run)
        results = {
            f"{system.key_prefix[0]}/{name}": result
            for system in _systems_of(database, connection, run_id)
            for name, result in undo.undo(connection, system, run_id, undo_id=undo_id).items()
        }
    kept = any(r.kept for r in results.values())
    if as_json:
        status = "partial_success" if kept else "completed"
        output.print_json(
            {"status": status, "run_id": undo_id, "undid": run_id, "entities": results}
        )
    else:
        again = database.command(f"undo {undo_id}")
        output.undone(output.to_stdout(), results, run_id, again=again)
    return 4 if kept else 0


def _systems_of(database: Database, connection: Connection, run_id: UUID) -> list[System]:
    """The systems of a run; runs of the others need not wait."""
    from sync_pipeline.merge.bookkeeping import runs

    names = runs.systems(connection, run_id)
    return [s for s in database.systems if s.name in names] or list(database.systems)
