"""The one reader of pg_catalog: tables, columns, indexes, foreign keys and triggers as plain data.

Works whatever the connection's row factory is. No query reads a row of a table. Judgement (what a merge
needs, what a repair changes) belongs to the callers.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, LiteralString, TypeVar

from sync_pipeline.postgres.catalog import queries
from sync_pipeline.postgres.catalog.tables import (
    Column,
    ColumnType,
    ForeignKey,
    Index,
    PlainIndex,
    Table,
    TableName,
    Trigger,
)
from sync_pipeline.postgres.connect import Connection, dicts

T = TypeVar("T")


def read(connection: Connection, names: Collection[tuple[str, str]]) -> dict[TableName, Table]:
    """The relations of these schemas and names that exist; five queries, however many there are."""
    found = _rows(
        connection,
        queries.TABLES,
        {"schemas": [schema for schema, _ in names], "tables": [table for _, table in names]},
    )
    oids = [row["oid"] for row in found]
    columns = _by_table(connection, queries.COLUMNS, oids, Column)
    indexes_ = _by_table(connection, queries.INDEXES, oids, Index)
    triggers = _by_table(connection, queries.TRIGGERS, oids, Trigger)
    outgoing, incoming = _foreign_keys(connection, oids)
    return {
        TableName(row["schema"], row["name"]): Table(
            **row,
            columns={column.name: column for column in columns[row["oid"]]},
            indexes=tuple(indexes_[row["oid"]]),
            foreign_keys=tuple(outgoing[row["oid"]]),
            referrers=tuple(incoming[row["oid"]]),
            triggers=tuple(triggers[row["oid"]]),
        )
        for row in found
    }


def read_table(connection: Connection, name: tuple[str, str]) -> Table | None:
    """One relation; None where it does not exist."""
    return next(iter(read(connection, [name]).values()), None)


def indexes(connection: Connection, relation: str) -> list[Index]:
    """The indexes of one table, as SQL names it, by name; none where it does not exist."""
    oids = [row["oid"] for row in _rows(connection, _OID, {"relation": relation})]
    return _by_table(connection, queries.INDEXES, oids, Index)[oids[0]]


def plain_indexes(connection: Connection, relation: str) -> list[PlainIndex]:
    """The valid indexes over all rows of one table; cheap and without locks, as `column_types`."""
    rows = _rows(connection, queries.PLAIN_INDEXES, {"relation": relation})
    return [PlainIndex(**row) for row in rows]


def column_types(connection: Connection, relation: str) -> dict[str, ColumnType]:
    """The columns of one relation and their types, in its order; empty where it does not exist.

    One cheap query without locks, for what every run asks; `relation` is as SQL names it.
    """
    rows = _rows(connection, queries.COLUMN_TYPES, {"relation": relation})
    return {row["name"]: ColumnType(row["full"], row["bare"]) for row in rows}


def exists(connection: Connection, name: tuple[str, str]) -> bool:
    """Whether there is a relation of this schema and name, an index or a sequence included."""
    relation = TableName(*name).relation.as_string(connection)
    return _rows(connection, _OID, {"relation": relation})[0]["oid"] is not None


def tables_in(connection: Connection, schema: str) -> list[TableName]:
    """The tables of a schema, by name; partitions and tables of extensions are left out."""
    rows = _rows(connection, queries.TABLES_OF_SCHEMA, {"schema": schema})
    return [TableName(**row) for row in rows]


def schemas_with_tables(connection: Connection) -> list[str]:
    """Schemas of which `tables_in` lists anything, the server's own aside."""
    return _names(connection, queries.SCHEMAS, {})


def relation_names(connection: Connection, schema: str) -> set[str]:
    """Names that relations of a schema have, indexes and sequences included."""
    return set(_names(connection, queries.RELATION_NAMES, {"schema": schema}))


def missing_privileges(connection: Connection, schemas: Collection[str]) -> list[str]:
    """What a role that owns these schemas needs and this one lacks: `INSERT on sync.run`."""
    return _names(connection, queries.MISSING_PRIVILEGES, {"schemas": list(schemas)})


_OID = "select to_regclass(%(relation)s)::oid as oid"


def _rows(
    connection: Connection, query: LiteralString, parameters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    return [
        {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in dicts(connection, query, parameters)
    ]


def _names(
    connection: Connection, query: LiteralString, parameters: Mapping[str, Any]
) -> list[str]:
    return [row["name"] for row in _rows(connection, query, parameters)]


def _by_table(
    connection: Connection, query: LiteralString, oids: list[int], make: Callable[..., T]
) -> defaultdict[int, list[T]]:
    grouped: defaultdict[int, list[T]] = defaultdict(list)
    for row in _rows(connection, query, {"oids": oids}):
        grouped[row.pop("table_oid")].append(make(**row))
    return grouped


def _foreign_keys(
    connection: Connection, oids: list[int]
) -> tuple[defaultdict[int, list[ForeignKey]], defaultdict[int, list[ForeignKey]]]:
    """Foreign keys by the table that they are from, and by the one that they are to."""
    outgoing: defaultdict[int, list[ForeignKey]] = defaultdict(list)
    incoming: defaultdict[int, list[ForeignKey]] = defaultdict(list)
    for row in _rows(connection, queries.FOREIGN_KEYS, {"oids": oids}):
        child, parent = row.pop("child_oid"), row.pop("parent_oid")
        key = ForeignKey(
            child=TableName(*row.pop("child")), parent=TableName(*row.pop("parent")), **row
        )
        outgoing[child].append(key)
        incoming[parent].append(key)
    return outgoing, incoming
