"""Rows as JSON that lead back to the very same rows.

`to_jsonb` spells a JSON null like an SQL null, an array without its lower bounds, and a value of type `json`
without its repeated members. The text of such values is added under the empty name, which no column has.
"""

from __future__ import annotations

from psycopg import sql

from sync_pipeline.doctor.repair.table_layout import Layout

_EXACT = sql.SQL(
    "(to_jsonb({alias}) || case when num_nonnulls({texts}) = 0 then '{{}}' else"
    " jsonb_build_object('', jsonb_strip_nulls(jsonb_build_object({pairs}))) end)"
)


def exact(layout: Layout, alias: str) -> sql.Composable:
    """A row as JSON, with the text of the values that JSON does not carry."""
    texts = {name: _text(kind, sql.Identifier(alias, name)) for name, kind in layout.types.items()}
    odd = {name: text for name, text in texts.items() if text is not None}
    if not odd:
        return sql.SQL("to_jsonb({})").format(sql.Identifier(alias))
    pairs = (sql.SQL("{}::text, {}").format(name, text) for name, text in odd.items())
    return _EXACT.format(
        alias=sql.Identifier(alias),
        texts=sql.SQL(", ").join(odd.values()),
        pairs=sql.SQL(", ").join(pairs),
    )


def read_back(layout: Layout, name: str, row: sql.Composable, record: str) -> sql.Composable:
    """The value of a column in a row of `exact`.

    Args:
        layout: of the table.
        name: of the column.
        row: the row as JSON.
        record: alias of the record that Postgres makes of it.
    """
    value = sql.Identifier(record, name)
    kind = layout.types[name]
    if _text(kind, value) is None:
        return value
    # As the catalog spells it, quoted where it must be.
    type_ = sql.SQL(kind)  # pyright: ignore[reportArgumentType]
    return sql.SQL("coalesce(({} -> '' ->> {})::{}, {})").format(row, name, type_, value)


def _text(kind: str, value: sql.Composable) -> sql.Composable | None:
    """The text of a value that JSON does not carry, else null; None where JSON carries all of the type."""
    if kind == "jsonb":
        return sql.SQL("case when {} = 'null' then 'null' end").format(value)
    if kind == "json":
        return sql.SQL("{}::text").format(value)
    if kind.endswith("[]"):
        return sql.SQL("case when starts_with({0}::text, '[') then {0}::text end").format(value)
    return None
