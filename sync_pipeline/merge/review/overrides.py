"""Local overrides: mapped fields of our rows whose local value differs from the base.

The merge keeps such values; counting and listing them makes kept local edits visible.
"""

from typing import Any

from psycopg import sql

from sync_pipeline.merge.relations import Relations, ident, listed
from sync_pipeline.postgres.connect import Connection


def count(connection: Connection, rel: Relations) -> dict[str, int]:
    """Overridden values per column; columns without any are left out."""
    names = rel.value_columns
    if not names:
        return {}
    counts = listed(sql.SQL("count(*) filter (where {})").format(_differs(c)) for c in names)
    query = rel.bind(counts=counts).compose("""
        select {counts}
        from {target} t
        join {base} b on {same_key(t, b)}
        where {ours(t)}
    """)
    row = connection.execute(query).fetchone() or ()
    return {name: n for name, n in zip(names, row, strict=True) if n}


def listing(connection: Connection, rel: Relations, limit: int = 100) -> list[tuple[Any, ...]]:
    """Overridden values as (key, column, base, local), at most `limit`."""
    values = listed(
        sql.SQL("({}, to_jsonb({}), to_jsonb({}), {})").format(
            sql.Literal(c), ident("b", c), ident("t", c), _differs(c)
        )
        for c in rel.value_columns
    )
    query = rel.bind(values=values, limit=limit).compose("""
        select {key_json(t)}, v.name, v.base, v.local
        from {target} t
        join {base} b on {same_key(t, b)}
        cross join lateral (values {values}) as v(name, base, local, differs)
        where {ours(t)} and v.differs
        limit {limit}
    """)
    return connection.execute(query).fetchall()


def _differs(column: str) -> sql.Composed:
    return sql.SQL("{l} is distinct from {b} and coalesce({name} <> all(b._unknown), true)").format(
        l=ident("t", column), b=ident("b", column), name=sql.Literal(column)
    )
