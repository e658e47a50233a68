"""`demo-edit`: edit one field of a row in the sandbox, as a person would; for the demo's guided steps."""

import click
from psycopg import sql

from sync_pipeline.cli import arguments, framework, output
from sync_pipeline.cli.databases import TARGET, sandboxed
from sync_pipeline.errors import SyncError
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection, connect
from sync_pipeline.settings import Settings
from sync_pipeline.systems.registry import SYSTEMS


@framework.command(
    name="demo-edit",
    examples=(
        'demo-edit desktop/conmaster 101 "conname=Edited here"',
        'demo-edit desktop/conmaster 101 "conname=Edited there" --at source',
    ),
    short_help="Edit a row of the demo, here or at its source.",
    help="Edit one field of a demo row, on the target or at the simulated source, as a person would.\n\n"
    "Only the embedded target and simulated databases are edited, never a database that the environment"
    " names. The edit stays there for later commands.",
)
@click.argument("entity")
@click.argument("key")
@click.argument("edit", metavar="COLUMN=VALUE")
@click.option(
    "--at",
    "place",
    type=click.Choice(["target", "source"]),
    default="target",
    show_default=True,
    help="Which side's row.",
)
def demo_edit(*, entity: str, key: str, edit: str, place: str, as_json: bool) -> None:
    """Edit one field."""
    system, declared = arguments.find_entity(TARGET, entity)
    column, equals, value = edit.partition("=")
    if not equals or column not in {f.column for f in declared.fields if f.sources}:
        columns = ", ".join(f.column for f in declared.fields if f.sources)
        raise click.UsageError(
            f"{edit!r} names no field of {declared.name}; write COLUMN=VALUE with one of: {columns}"
        )
    with sandboxed(sources=[system.name], dagster=False) as settings:
        dsn = _database(settings, system, place)
        values = arguments.key_values(declared, key)
        before = _update(dsn, declared, values, place=place, column=column, value=value)
    if as_json:
        output.print_json({"status": "completed", "before": before, "after": value})
    else:
        where = "on the target" if place == "target" else "at the simulated source"
        text = f"{system.name}/{declared.name} {key}, {column} {where}: {before!r} → {value!r}"
        output.to_stdout().print(text, soft_wrap=True)


def _database(settings: Settings, system: System, place: str) -> str:
    """The DSN of the embedded target or simulated source; raises `SyncError` if it is named, or an API."""
    if place == "target":
        if "target" in settings.sandboxed:
            return settings.target()
        raise SyncError("SYNC_TARGET_DSN names the target, and demo-edit edits only the demo's own")
    if not system.source.database:
        databases = [s.name for s in SYSTEMS if s.source.database]
        raise SyncError(
            f"the source of {system.name} is an API, whose edits a simulation forgets when it stops; edit"
            f" a system whose source is a database: {', '.join(databases)}"
        )
    if system.name not in settings.sandboxed:
        variable = system.source.variable
        raise SyncError(f"{variable} names the source, and demo-edit edits only the demo's own")
    return settings.database(system.source.variable)


def unedited_row(connection: Connection, entity: Entity, column: str) -> str | None:
    """The key of the first row of ours that the sync has delivered and nobody has edited since."""
    from sync_pipeline.merge.relations import Relations, columns

    relation = Relations(entity)
    query = sql.SQL("""
        select concat_ws(',', {keys})
        from {base} base join {target} target using ({names})
        where base.{column} = target.{column}
        order by {keys}
        limit 1
    """).format(
        keys=columns(entity.key, "base"),
        names=columns(entity.key),
        base=relation.base,
        target=relation.target,
        column=sql.Identifier(column),
    )
    found = connection.execute(query).fetchone()
    return found[0] if found else None


def _update(
    dsn: str, entity: Entity, key: list[str], *, place: str, column: str, value: str
) -> str | None:
    """Set a field, and return what it held; raises `SyncError` if there is no such row."""
    names = {f.column: f.column if place == "target" else f.sources[0] for f in entity.fields}
    table = sql.Identifier(entity.table if place == "target" else entity.source)
    same = sql.SQL("{} is not distinct from {}")
    row = sql.SQL(" and ").join(
        same.format(sql.Identifier(names[c]), sql.Literal(v or None))
        for c, v in zip(entity.key, key, strict=True)
    )
    field = sql.Identifier(names[column])
    with connect(dsn) as connection, connection.transaction():
        found = connection.execute(
            sql.SQL("select {}::text from {} where {} for update").format(field, table, row)
        ).fetchone()
        if found is None:
            raise SyncError(
                f"{entity.name} {','.join(key)} is not there; name a row that the table holds"
            )
        connection.execute(
            sql.SQL("update {} set {} = {} where {}").format(table, field, sql.Literal(value), row)
        )
    return found[0]
