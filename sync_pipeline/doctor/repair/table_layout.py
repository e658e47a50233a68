"""What the database's catalog says of a table: its columns, its primary key, who refers to it."""

from __future__ import annotations

from dataclasses import dataclass

from sync_pipeline.doctor.repair.session import fetch
from sync_pipeline.doctor.repair.unique_key import TableName
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True)
class Layout:
    """The columns of a table.

    Attributes:
        place: the table.
        types: SQL type of each column, in the order of the table.
        generated: columns that the database computes.
        primary_key: columns of the primary key; empty if there is none.
    """

    place: TableName
    types: dict[str, str]
    generated: frozenset[str]
    primary_key: tuple[str, ...]

    @property
    def writable(self) -> list[str]:
        """Columns that a statement may set."""
        return [name for name in self.types if name not in self.generated]

    @property
    def identity(self) -> tuple[str, ...]:
        """Columns by which a row is found again; all of them where there is no primary key."""
        return self.primary_key or tuple(self.types)


@dataclass(frozen=True)
class Reference:
    """A foreign key of a table to the one that is repaired.

    Attributes:
        name: of the constraint.
        child: the table that refers.
        columns: its columns.
        parent_columns: what they refer to.
    """

    name: str
    child: TableName
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]


def exists(connection: Connection, place: TableName) -> bool:
    """Whether there is a relation of this name."""
    text = place.relation.as_string(connection)
    return fetch(connection, "select to_regclass(%s) is not null", [text]) == [(True,)]


def column_names(connection: Connection, place: TableName) -> set[str]:
    """The columns of a relation; none where there is no such relation."""
    rows = fetch(
        connection,
        "select attname::text from pg_attribute where attrelid = to_regclass(%s) and attnum > 0"
        " and not attisdropped",
        [place.relation.as_string(connection)],
    )
    return {name for (name,) in rows}


def parent_of(
    connection: Connection, place: TableName, column: str
) -> tuple[TableName, str] | None:
    """The table and column that a foreign key on one column refers to; None where there is none."""
    rows = fetch(
        connection,
        "select n.nspname::text, p.relname::text, b.attname::text from pg_constraint k"
        " join pg_class p on p.oid = k.confrelid join pg_namespace n on n.oid = p.relnamespace"
        " join pg_attribute a on a.attrelid = k.conrelid and k.conkey = array[a.attnum]"
        " join pg_attribute b on b.attrelid = k.confrelid and k.confkey = array[b.attnum]"
        " where k.contype = 'f' and k.conrelid = to_regclass(%s) and a.attname = %s order by 1, 2",
        [place.relation.as_string(connection), column],
    )
    return (TableName(*rows[0][:2]), rows[0][2]) if rows else None


def layout(connection: Connection, place: TableName) -> Layout:
    """Read the columns of a table.

    Raises:
        TargetNotPrepared: it does not exist, or its rows are spread over several tables.
    """
    text = place.relation.as_string(connection)
    kinds = fetch(
        connection,
        "select relkind = 'r' and not relhassubclass from pg_class where oid = to_regclass(%s)",
        [text],
    )
    if not kinds:
        raise TargetNotPrepared(f"table {place} does not exist: run sync-pipeline migrate")
    if not kinds[0][0]:
        raise TargetNotPrepared(
            f"{place} is no plain table (a view, partitioned, or inherited from): repair the tables"
            " that hold its rows"
        )
    columns = fetch(
        connection,
        "select attname::text, format_type(atttypid, atttypmod), attgenerated <> '' from pg_attribute"
        " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        [text],
    )
    primary = fetch(
        connection,
        "select a.attname::text from pg_index i cross join unnest(i.indkey) with ordinality k (n, o)"
        " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.n"
        " where i.indrelid = to_regclass(%s) and i.indisprimary and k.o <= i.indnkeyatts order by k.o",
        [text],
    )
    return Layout(
        place,
        {name: kind for name, kind, _ in columns},
        frozenset(name for name, _, generated in columns if generated),
        tuple(name for (name,) in primary),
    )


def references(connection: Connection, place: TableName) -> list[Reference]:
    """Foreign keys that refer to a table, its own included."""
    rows = fetch(
        connection,
        """
        select k.conname::text, n.nspname::text, c.relname::text, names.of_child, names.of_parent
        from pg_constraint k
        join pg_class c on c.oid = k.conrelid
        join pg_namespace n on n.oid = c.relnamespace
        cross join lateral (
            select array_agg(a.attname::text order by o) as of_child,
                array_agg(b.attname::text order by o) as of_parent
            from unnest(k.conkey, k.confkey) with ordinality u (child, parent, o)
            join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.child
            join pg_attribute b on b.attrelid = k.confrelid and b.attnum = u.parent
        ) names
        where k.contype = 'f' and k.confrelid = to_regclass(%s) and k.conparentid = 0
        order by 2, 3, 1
        """,
        [place.relation.as_string(connection)],
    )
    return [
        Reference(name, TableName(schema, table), tuple(columns), tuple(parents))
        for name, schema, table, columns, parents in rows
    ]
