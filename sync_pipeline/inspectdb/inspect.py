"""Any Postgres database as declarations of entities, ready to paste."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sync_pipeline.inspectdb import schema_catalog
from sync_pipeline.inspectdb.declarations import TableDeclaration
from sync_pipeline.inspectdb.declare import decide
from sync_pipeline.inspectdb.names import SYSTEM_LENGTH, safe
from sync_pipeline.inspectdb.render import source
from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True)
class Inspected:
    """What the tables of a schema come to.

    Attributes:
        system: the system's name.
        database: the database's name.
        schema: the schema's.
        source: a Python module that declares the system; what is not decided stands in comments.
        undecided: what people decide, a line each, beginning with the table and its column.
        tables: what `source` says, as data, parents before children.
    """

    system: str
    database: str
    schema: str
    source: str
    undecided: list[str]
    tables: tuple[TableDeclaration, ...]

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)


def inspect(
    connection: Connection, *, schema: str = "public", system: str | None = None
) -> Inspected:
    """Read the catalog of a database and declare the tables of one schema.

    Tables are not read, and nothing is written.

    Args:
        connection: in autocommit, outside of any transaction.
        schema: its name, unquoted.
        system: the system's name; by default the database's. Either is made one that Dagster takes.

    Raises:
        SourceRefused: the schema has no tables, or does not exist.
    """
    database = connection.info.dbname
    tables = schema_catalog.read(connection, schema)
    name = safe(system or database, longest=SYSTEM_LENGTH, kind="database")
    decided = decide(tables, name)
    return Inspected(
        system=name,
        database=database,
        schema=schema,
        source=source(decided, system=name, database=database, schema=schema),
        undecided=[line for table in decided for line in table.undecided],
        tables=decided,
    )
