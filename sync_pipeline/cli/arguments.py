"""Parsing of what people type: names of entities, keys, runs, days."""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click

from sync_pipeline.cli.databases import REVERSE_DATABASE, TARGET, Database, count_reverse_runs
from sync_pipeline.errors import SyncError
from sync_pipeline.merge.bookkeeping import listings
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection

LATEST = "latest"


def names_of(system: System) -> set[str]:
    """What people may call a system: its name, or for a reverse the name of the system that it reverses."""
    return {system.name, system.key_prefix[0]}


def find_entity(database: Database, name: str) -> tuple[System, Entity]:
    """The entity of a name such as invoice or bubble/invoice; raises `UsageError` unless one has it."""
    system_name, _, entity_name = name.rpartition("/")
    declared = [(s, e) for s in database.systems for e in s.entities]
    found = [
        (s, e)
        for s, e in declared
        if e.name == entity_name and (not system_name or system_name in names_of(s))
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{s.key_prefix[0]}/{e.name}" for s, e in found or declared)
    problem = f"several systems have {name!r}" if found else f"there is no entity {name!r}"
    raise click.UsageError(f"{problem}; there are: {known}")


def filters(database: Database, name: str | None) -> dict[str, str]:
    """What lists are filtered by when an entity is named; by its system too, when that is."""
    if not name:
        return {}
    system, entity = find_entity(database, name)
    return {"entity": entity.name} | ({"system": system.name} if "/" in name else {})


def entities_of(system: System, names: Sequence[str]) -> list[str]:
    """The names of a system's entities, without the system's own; raises `UsageError` if it has none."""
    known = {e.name for e in system.entities}
    found = []
    for name in names:
        system_name, _, entity_name = name.rpartition("/")
        if entity_name not in known or (system_name and system_name not in names_of(system)):
            raise click.UsageError(
                f"{system.key_prefix[0]} has no entity {name!r}; it has: {', '.join(sorted(known))}"
            )
        found.append(entity_name)
    return found


def keys_of(system: System, entities: Sequence[str], text: str | None) -> list[str]:
    """The keys that somebody command_line, each once.

    Keys of one column are separated by commas or blanks. Of keys of several columns commas separate the
    columns, the last of which may hold some itself, and semicolons the keys. A key of a partitioned system
    names a partition, or a record in a notation of the system's own.

    Raises:
        UsageError: nothing is named, or a key has too few values.
    """
    if text is None:
        return []
    columns = len(system[entities[0]].key) if len(entities) == 1 else 1
    if system.is_partitioned:  # whose names may hold blanks
        keys = [key.strip() for key in text.split(",") if key.strip()]
    elif columns == 1:
        keys = text.replace(",", " ").split()
    else:
        whole = system[entities[0]]
        keys = [",".join(key_values(whole, key)) for key in text.split(";") if key.strip()]
    if not keys:
        # Without keys the run would be another one than was asked for.
        raise click.BadParameter(
            "names no record; give one id or several, separated by commas", param_hint="'--keys'"
        )
    return list(dict.fromkeys(keys))


def key_values(entity: Entity, key: str) -> list[str]:
    """The values of a key, an empty one as null; raises `UsageError` if there are fewer than columns."""
    columns = len(entity.key)
    values = key.split(",", columns - 1)
    if len(values) != columns:
        raise click.UsageError(
            f"{key!r} is no key of {entity.name}, whose key has {columns} parts, separated by commas:"
            f" {', '.join(entity.key)}"
        )
    return [value.strip() for value in values] if columns > 1 else values


def day(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Callback of options that take a date or time."""
    try:
        dt.datetime.fromisoformat(value or "2026-01-31")
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no date; write 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    return value


def run_beginning(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Callback of arguments that take `latest`, or the beginning of a run's id."""
    begins = re.compile(r"[0-9a-f][0-9a-f-]{3,35}", re.IGNORECASE)
    if value not in {None, LATEST} and not begins.fullmatch(value or ""):
        raise click.UsageError(
            f"{value!r} is no run: give its id, or at least four characters of its beginning, as"
            " `sync-pipeline history` shows it"
        )
    return value and value.lower()


def run_named(database: Database, connection: Connection, beginning: str) -> UUID:
    """The latest run, or the one whose id begins so; raises `SyncError` unless there is exactly one."""
    from sync_pipeline.merge.bookkeeping import runs

    if beginning == LATEST:
        ids = [row["run_id"] for row in listings.runs(connection, 1)]
    else:
        ids = runs.find(connection, beginning)
    if len(ids) == 1:
        return ids[0]
    found = "several runs begin" if ids else "no run begins"
    elsewhere = ""
    if not ids and database is TARGET and count_reverse_runs():
        elsewhere = f", and for runs into the {REVERSE_DATABASE.name} add --reverse"
    raise SyncError(f"{found} with {beginning!r}; see: {database.command('history')}{elsewhere}")


def limit(default: int) -> Any:
    """`--limit`."""
    kind = click.IntRange(min=1)
    return click.option(
        "--limit", type=kind, default=default, show_default=True, help="Show at most so many."
    )
