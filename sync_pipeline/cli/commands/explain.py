"""`explain`: one row, with its local, base and source values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sync_pipeline.cli import arguments, framework, output
from sync_pipeline.cli.databases import Database, missing_variable, read_settings, reverse_option
from sync_pipeline.errors import SyncError
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection

if TYPE_CHECKING:
    from sync_pipeline.cli.source_record import AtSource


@framework.command(
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
@click.option("--no-source", is_flag=True, help="Do not read the source.")
@reverse_option("The row of the desktop database; its source is the target.")
def explain(*, entity: str, key: str, no_source: bool, database: Database, as_json: bool) -> None:
    """One row from all sides."""
    system, declared = arguments.find_entity(database, entity)
    values = arguments.key_values(declared, key)
    from sync_pipeline.merge.review import explain

    with database.session(sources=() if no_source else system.key_prefix[:1]) as connection:
        found = explain.explain(connection, declared, tuple(value or None for value in values))
        whole = ",".join(values)
        at_source = None if no_source else _at_source(connection, system, declared, whole)
    problem = at_source.problem if at_source else None
    for row in found.fields:
        row["source"] = at_source.values.get(row["column"]) if at_source else None
    known = found.on_target or found.in_base or found.rejected
    if not known and not (at_source and at_source.values):
        raise SyncError(
            f"{declared.name} {key} is not {database.location} and was never delivered."
            f" The source: {problem or 'it was not read'}."
        )
    if as_json:
        about = {"entity": entity, "key": key, "source_problem": problem}
        output.print_json({"status": "completed"} | about | {"explanation": found})
    else:
        output.explanation(output.to_stdout(), f"{declared.name} {key}", found, at_source)


def _at_source(connection: Connection, system: System, entity: Entity, key: str) -> AtSource:
    from sync_pipeline.cli import source_record

    variable = missing_variable(system.key_prefix[0], read_settings())
    if variable:
        return source_record.AtSource(problem=f"{variable} is not set")
    return source_record.read_record(connection, system, entity, key)
