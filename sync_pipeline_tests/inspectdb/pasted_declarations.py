"""What a person does with the printed declarations: paste them, lint them, and migrate a target to them."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.inspectdb import Inspected, inspect
from sync_pipeline.merge.schema.adopt import MigrationNote, adopt
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.merge.schema.migrate import target_engine
from sync_pipeline.model.entity import Entity, Link
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import connect
from sync_pipeline.settings import PROJECT

RUFF = Path(sys.executable).with_name("ruff")


@contextmanager
def database_of(server: EmbeddedServer) -> Iterator[str]:
    """A new database, for the length of a block."""
    name = f"inspected_{uuid4().hex[:12]}"
    yield server.create_database(name)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@dataclass(frozen=True)
class Pasted:
    """Printed declarations that have been imported."""

    inspected: Inspected
    system: System

    def __getitem__(self, name: str) -> Entity:
        return self.system[name]

    @property
    def names(self) -> list[str]:
        return [e.name for e in self.system.entities]

    @property
    def undecided(self) -> list[str]:
        return self.inspected.undecided

    def types(self, name: str) -> dict[str, str]:
        """Type and length by column."""
        args = {f.column: ", ".join(map(str, f.type.args)) for f in self[name].fields}
        return {
            f.column: f"{f.type.name}({args[f.column]})" if args[f.column] else f.type.name
            for f in self[name].fields
        }

    def links(self, name: str) -> dict[str, Link]:
        return {f.column: link for f, link in self[name].links}


Paste = Callable[..., Pasted]


def pasted(dsn: str, *statements: str, schema: str = "public", system: str = "shop") -> Pasted:
    """Make the tables, inspect them, and import what is printed if it is tidy."""
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        inspected = inspect(connection, schema=schema, system=system)
    assert json.loads(json.dumps(inspected.as_dict()))["system"] == inspected.system
    assert_tidy(inspected.source)
    assert inspected.source.count("# ? ") == len(inspected.undecided), inspected.undecided
    found = [value for value in imported(inspected.source).values() if isinstance(value, System)]
    assert [s.name for s in found] == [inspected.system]
    return Pasted(inspected, found[0])


def imported(source: str) -> dict[str, object]:
    """Names that a printed module defines."""
    ast.parse(source)
    names: dict[str, object] = {}
    exec(compile(source, "pasted.py", "exec"), names)
    return names


def assert_tidy(source: str) -> None:
    """It is formatted and linted as this project's own modules are."""
    config = f"--config={PROJECT / 'pyproject.toml'}"
    for command in (["format", "--diff"], ["check", "--output-format=concise"]):
        result = subprocess.run(
            [RUFF, *command, config, "--no-cache", "--stdin-filename=pasted.py", "-"],
            input=source,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{result.stdout}{result.stderr}\n{source}"


def migrated(dsn: str, system: System) -> list[MigrationNote]:
    """Empty the database, and bring it to what the declarations need."""
    with connect(dsn) as connection:
        for (statement,) in connection.execute(
            "select format('drop schema %I cascade', nspname) from pg_namespace"
            " where nspname !~ '^pg_' and nspname <> 'information_schema'"
        ).fetchall():
            connection.execute(statement)
        connection.execute("create schema public")
        schemas = {e.schema for e in system.entities} - {"public"}
        for schema in sorted(schemas | {"sync", "sync_base"}):
            connection.execute(f'create schema "{schema}"'.encode())
    with target_engine(dsn).begin() as connection:
        return adopt(connection, metadata([system]))
