"""`inspect`: declarations of any Postgres database."""

import sys

import click
import psycopg

from sync_pipeline.cli import framework, output
from sync_pipeline.errors import SyncError
from sync_pipeline.postgres.connect import connect
from sync_pipeline.postgres.errors import one_line


@framework.command(
    name="inspect",
    examples=(
        "inspect postgresql://me:secret@host/shop > entities.py",
        "inspect host=db.internal dbname=shop user=me --schema sales",
        "inspect postgresql://me@host/shop --system shop --json",
    ),
    short_help="Declare the tables of any Postgres database as entities.",
    help="Read the catalog of a database, and print its tables as declarations of entities in Python.\n\n"
    "DSN is a libpq URI or key=value string. No table is read and nothing is written. What the catalog does"
    " not decide is listed on stderr, and marked in the text by comments that begin with ?.\n\n"
    "Save the text as entities.py of a package of its own in sync_pipeline/systems, decide what its comments"
    " ask, and take out what is not to be synced. Register the system as docs/add-a-system.md shows, and go"
    " on with doctor, migrate and sync --dry-run.",
)
@click.argument("dsn", nargs=-1, required=True, metavar="DSN")
@click.option("--schema", default="public", show_default=True, help="The schema of the tables.")
@click.option("--system", help="What the system is called; the database's name unless given.")
def inspect_database(
    *, dsn: tuple[str, ...], schema: str, system: str | None, as_json: bool
) -> None:
    """A database as declarations."""
    from sync_pipeline.inspectdb import inspect

    # Unquoted, the parts of a key=value string arrive one by one.
    try:
        with connect(" ".join(dsn), variable="DSN") as connection:
            found = inspect(connection, schema=schema, system=system)
    except psycopg.Error as error:
        raise SyncError(f"The database failed: {one_line(error)}") from error
    if as_json:
        output.print_json({"status": "completed"} | found.as_dict())
        return
    sys.stdout.write(found.source)
    for line in found.undecided:
        output.to_stderr().print(f"? {line}", style="yellow", soft_wrap=True)
