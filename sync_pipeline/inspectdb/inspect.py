"""Any Postgres database as declarations of entities, ready to paste."""

from dataclasses import asdict, dataclass
from typing import Any

from sync_pipeline.errors import SourceRefused
from sync_pipeline.inspectdb.declarations import TableDeclaration
from sync_pipeline.inspectdb.declare import declare
from sync_pipeline.inspectdb.formatting import visible
from sync_pipeline.inspectdb.names import SYSTEM_LENGTH, safe
from sync_pipeline.inspectdb.render import source
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.catalog import Table
from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True)
class Inspected:
    """The tables of a schema as declarations.

    Attributes:
        source: a Python module that declares the system; open questions stand in comments.
        undecided: questions that people decide, a line each, beginning with the table and its column.
        tables: the same as data, parents before children.
    """

    system: str
    database: str
    schema: str
    source: str
    undecided: list[str]
    tables: tuple[TableDeclaration, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON, under the keys that programs read."""
        tables = [asdict(table) for table in self.tables]
        for field in (field for table in tables for field in table["fields"]):
            field["null_counts"] = field.pop("nulls_not_distinct")
        return asdict(self) | {"tables": tables}


def inspect(
    connection: Connection, *, schema: str = "public", system: str | None = None
) -> Inspected:
    """Read the catalog of a database and declare the tables of one schema; nothing is written.

    The connection is in autocommit. The system's name is by default the database's, made one for Dagster.

    Raises:
        SourceRefused: the schema has no tables, or does not exist.
    """
    database = connection.info.dbname
    tables = _tables(connection, schema)
    name = safe(system or database, longest=SYSTEM_LENGTH, kind="database")
    declared = declare(tables, name)
    return Inspected(
        system=name,
        database=database,
        schema=schema,
        source=source(declared, system=name, database=database, schema=schema),
        undecided=[line for table in declared for line in table.undecided],
        tables=declared,
    )


def _tables(connection: Connection, schema: str) -> tuple[Table, ...]:
    """The tables of a schema, by name, all as they are at one moment."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        # The spelling of names and types depends on these.
        connection.execute("set local search_path = public")
        connection.execute("set local quote_all_identifiers = off")
        names = catalog.tables_in(connection, schema)
        if not names:
            raise SourceRefused(_no_tables(connection, schema))
        return tuple(catalog.read(connection, names).values())


def _no_tables(connection: Connection, schema: str) -> str:
    others = ", ".join(catalog.schemas_with_tables(connection))
    database = connection.info.dbname
    choice = f"Schemas with tables: {visible(others)}" if others else "Nor has any other schema"
    return f"Schema {schema!r} of database {database!r} has no tables. {choice}."
