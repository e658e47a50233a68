"""Alembic's environment: the target from our settings, the metadata from the entities.

`sync-pipeline migrate` passes its own connection; plain `alembic` commands open one.
"""

import sys
from typing import Any

import sqlalchemy as sa
from alembic import context

from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.merge.schema.migrate import collected_notes, target_engine
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import SYSTEMS


def ours(_object: Any, _name: str | None, kind: str, reflected: bool, counterpart: Any) -> bool:  # noqa: FBT001
    """Skip what is not declared: a target also holds tables and columns of other programs."""
    return not (reflected and counterpart is None and kind != "schema")


def run(connection: sa.Connection) -> None:
    """Migrate on a connection whose transaction the caller owns: a failure leaves all as it was."""
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes["metadata"],
        include_schemas=True,
        include_object=ours,
        version_table="alembic_version_sync",
    )
    with context.begin_transaction():
        context.run_migrations()


if "metadata" not in context.config.attributes:
    context.config.attributes["metadata"] = metadata(SYSTEMS)
given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with target_engine(Settings.read().target()).begin() as own:
        run(own)
    for note in collected_notes(context.config):
        sys.stdout.write(f"{note.kind}  {note.table}: {note.text}\n")
