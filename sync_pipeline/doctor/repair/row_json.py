"""Rows as JSON that can be converted back without loss.

`to_jsonb` writes a JSON null like an SQL null, an array without its lower bounds, and a value of type `json`
without its repeated members. The text of such values is added under the empty name, which no column has.
"""

from collections.abc import Iterable

from psycopg import sql

from sync_pipeline.merge.relations import ident, listed
from sync_pipeline.postgres.catalog import Column, Table

_EXACT = sql.SQL("""(
    to_jsonb({alias}) || case
        when num_nonnulls({texts}) = 0 then '{{}}'
        else jsonb_build_object('', jsonb_strip_nulls({object}))
    end
)""")


def exact(table: Table, alias: str) -> sql.Composable:
    """A row as JSON, with the text of the values that JSON does not carry."""
    texts = {c.name: _text(c, sql.Identifier(alias, c.name)) for c in table.columns.values()}
    inexact = {name: text for name, text in texts.items() if text is not None}
    if not inexact:
        return sql.SQL("to_jsonb({})").format(sql.Identifier(alias))
    return _EXACT.format(
        alias=ident(alias), texts=listed(inexact.values()), object=json_object(inexact.items())
    )


def json_object(members: Iterable[tuple[str, sql.Composable]]) -> sql.Composed:
    """A JSON object of expressions by name."""
    pairs = (sql.SQL("{}::text, {}").format(name, value) for name, value in members)
    return sql.SQL("jsonb_build_object({})").format(listed(pairs))


def read_back(column: Column, row: sql.Composable, record: str) -> sql.Composable:
    """The value of a column in a row of `exact`; `record` is the alias of the record made of that row."""
    value = sql.Identifier(record, column.name)
    if _text(column, value) is None:
        return value
    return sql.SQL("coalesce(({} -> '' ->> {})::{}, {})").format(
        row, column.name, type_of(column), value
    )


def type_of(column: Column) -> sql.SQL:
    """The column's type in SQL, as the catalog spells it, quoted where it must be."""
    return sql.SQL(column.type)  # pyright: ignore[reportArgumentType]


def _text(column: Column, value: sql.Composable) -> sql.Composable | None:
    """The text of a value that JSON does not carry, else null; None where JSON carries all of the type."""
    if column.type == "jsonb":
        return sql.SQL("case when {} = 'null' then 'null' end").format(value)
    if column.type == "json":
        return sql.SQL("{}::text").format(value)
    if column.type.endswith("[]"):
        return sql.SQL("case when starts_with({0}::text, '[') then {0}::text end").format(value)
    return None
