"""Adopt a target: create the tables, columns and indexes that the entities need and it lacks.

Production tables are older than this project. Unique indexes are created where the data allows them; other
differences are reported and left. Running it again changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn, CreateIndex
from sqlalchemy.sql.elements import quoted_name

from sync_pipeline.merge.schema.metadata import BASE_SCHEMA, unique_name
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.connect import Connection


def driver_connection(connection: sa.Connection) -> Connection:
    """The psycopg connection beneath one of SQLAlchemy."""
    return cast("Connection", connection.connection.driver_connection)


@dataclass(frozen=True)
class MigrationNote:
    """One thing that a migration did to a table, or left to people.

    Attributes:
        kind: `created` something, `differs` from the model and was left, `refused` by the data; and of
            repairs: `repaired` something, or `kept` it as it was.
    """

    kind: Literal["created", "differs", "refused", "repaired", "kept"]
    table: str
    text: str


def adopt(connection: sa.Connection, meta: sa.MetaData) -> list[MigrationNote]:
    """Create what the metadata names and the database lacks, in a transaction that the caller commits.

    Returns:
        What was created, what differs, and what the data does not allow.
    """
    notes: list[MigrationNote] = []
    for schema in sorted({t.schema for t in meta.sorted_tables if t.schema}):
        # IF NOT EXISTS requires the permission to create even where the schema exists.
        if not sa.inspect(connection).has_schema(schema):
            connection.execute(sa.schema.CreateSchema(schema))
    for table in meta.sorted_tables:
        inspector = sa.inspect(connection)
        if not inspector.has_table(table.name, schema=table.schema):
            table.create(connection)
            notes.append(MigrationNote("created", table.fullname, "table"))
        else:
            notes += _complete(connection, inspector, table)
    return notes


def differences(connection: sa.Connection, meta: sa.MetaData) -> list[MigrationNote]:
    """What differs from the metadata in tables that are there; nothing is changed."""
    notes: list[MigrationNote] = []
    inspector = sa.inspect(connection)
    for table in meta.sorted_tables:
        if not inspector.has_table(table.name, schema=table.schema):
            continue
        present = {c["name"]: c for c in inspector.get_columns(table.name, schema=table.schema)}
        for column in (c for c in table.columns if c.name in present):
            notes += _differences(connection, table, column, present[column.name])
    return notes


def _complete(
    connection: sa.Connection, inspector: sa.Inspector, table: sa.Table
) -> Iterator[MigrationNote]:
    present = {c["name"]: c for c in inspector.get_columns(table.name, schema=table.schema)}
    for column in table.columns:
        if column.name not in present:
            yield _add_column(connection, table, column)
        elif table.schema == BASE_SCHEMA:
            yield from _retype(connection, table, column, present[column.name])
        else:
            yield from _differences(connection, table, column, present[column.name])
    for index in (*table.indexes, *_key_index(table)):
        yield from _add_index(connection, table, index)
    for name in present.keys() - {c.name for c in table.columns}:
        if table.schema != BASE_SCHEMA:
            yield MigrationNote(
                "differs", table.fullname, f"column {name} is not declared; it is left alone"
            )


def _quoted(connection: sa.Connection, table: sa.Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)


def _add_column(connection: sa.Connection, table: sa.Table, column: sa.Column) -> MigrationNote:
    # An existing table may hold rows: a column is added as nullable, and a key that is missing altogether
    # is for a migration of its own.
    nullable = sa.Column(column.name, column.type, server_default=column.server_default)
    nullable._set_parent(sa.Table(table.name, sa.MetaData()), all_names={}, allow_replacements=True)  # noqa: SLF001
    ddl = CreateColumn(nullable).compile(dialect=connection.dialect)
    alter = f"alter table {_quoted(connection, table)} add column {ddl}"
    # A colon in a name is not a parameter.
    connection.execute(sa.text(alter.replace(":", r"\:")))
    if table.schema == BASE_SCHEMA:
        # What the source delivered for it before is unknown; a null would read as "was empty".
        unknown = sa.func.array_append(table.c["_unknown"], column.name)
        connection.execute(table.update().values(_unknown=unknown))
    return MigrationNote("created", table.fullname, f"column {column.name}")


def _differences(
    connection: sa.Connection, table: sa.Table, column: sa.Column, present: ReflectedColumn
) -> Iterator[MigrationNote]:
    found = _spelled(connection, present["type"])
    declared = _spelled(connection, column.type)
    if found != declared:
        yield MigrationNote(
            "differs", table.fullname, f"column {column.name} is {found}, declared as {declared}"
        )
    if not column.nullable and present["nullable"]:
        yield MigrationNote(
            "differs", table.fullname, f"column {column.name} allows null, declared not null"
        )


def _spelled(connection: sa.Connection, kind: sa.types.TypeEngine) -> str:
    """A type as SQL spells it; numeric(3) and numeric(3, 0) are the same."""
    return kind.compile(connection.dialect).replace(", 0)", ")")


def _retype(
    connection: sa.Connection, table: sa.Table, column: sa.Column, present: ReflectedColumn
) -> Iterator[MigrationNote]:
    """Change a base column to its field's type; values that do not convert are dropped and unknown."""
    declared = column.type.compile(connection.dialect)
    if present["type"].compile(connection.dialect) == declared:
        return
    name = connection.dialect.identifier_preparer.quote(column.name)
    alter = f"alter table {_quoted(connection, table)}"
    try:
        with connection.begin_nested():
            change = f"{alter} alter column {name} type {declared} using {name}::{declared}"
            connection.execute(sa.text(change))
        yield MigrationNote("created", table.fullname, f"column {column.name} as {declared}")
    except DBAPIError:
        if column.name in table.primary_key.columns:
            raise
        connection.execute(sa.text(f"{alter} drop column {name}"))
        yield _add_column(connection, table, column)


def _key_index(table: sa.Table) -> Iterator[sa.Index]:
    """The unique index that stands for a primary key, which an existing table may lack."""
    columns = list(table.primary_key.columns)
    if columns and table.autoincrement_column is None:
        names = [c.name for c in columns]
        copy = table.to_metadata(sa.MetaData())
        yield sa.Index(unique_name(table.name, names), *(copy.c[n] for n in names), unique=True)


def _add_index(
    connection: sa.Connection, table: sa.Table, index: sa.Index
) -> Iterator[MigrationNote]:
    names = [c.name for c in index.columns]
    if index.dialect_options["postgresql"]["where"] is not None:
        # Only bookkeeping tables declare partial indexes; their migration creates them.
        return
    if _has_index(connection, table, set(names), unique=bool(index.unique)):
        return
    if index.unique:
        nulls = bool(index.dialect_options["postgresql"]["nulls_not_distinct"])
        repeated = _repeated(connection, table, names, nulls=nulls)
        if repeated:
            yield MigrationNote(
                "refused",
                table.fullname,
                f"unique index on ({', '.join(names)}): {repeated}; `doctor --fix` merges them and keeps"
                " what it removes",
            )
            return
    if catalog.exists(driver_connection(connection), (table.schema or "public", f"{index.name}")):
        # Another index has the name.
        index.name = quoted_name(f"{index.name}"[:58] + "_sync", quote=None)
    connection.execute(CreateIndex(index))
    yield MigrationNote("created", table.fullname, f"index {index.name}")


def _has_index(
    connection: sa.Connection, table: sa.Table, names: set[str], *, unique: bool
) -> bool:
    """Whether a valid, total index on exactly these columns exists, under whatever name."""
    return any(
        set(index.columns) == names and not index.includes and (index.unique or not unique)
        for index in catalog.plain_indexes(
            driver_connection(connection), _quoted(connection, table)
        )
    )


def _repeated(
    connection: sa.Connection, table: sa.Table, names: list[str], *, nulls: bool
) -> str | None:
    """Repeated keys that prevent a unique index, with examples; None when there are none."""
    columns = [table.c[name] for name in names]
    filled = [] if nulls else [c.is_not(None) for c in columns]
    query = (
        sa.select(*columns, sa.func.count())
        .where(*filled)
        .group_by(*columns)
        .having(sa.func.count() > 1)
    )
    rows = connection.execute(query.limit(3)).all()
    if not rows:
        return None
    total = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery()))
    examples = "; ".join(f"{', '.join(map(str, row[:-1]))} ({row[-1]} times)" for row in rows)
    keys = "1 key is" if total == 1 else f"{total} keys are"
    return f"{keys} repeated, such as {examples}"
