"""A small table that begins broken, and the log of repairs, for the tests here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import sqlalchemy as sa
from psycopg.rows import dict_row

from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.merge.schema.bookkeeping_tables import add_bookkeeping
from sync_pipeline.merge.schema.migrate import target_engine
from sync_pipeline.postgres.connect import connect

LOG = ("sync.repair", "sync.removed_row", "sync.changed_row")

KEY = UniqueKey(
    "public",
    "book",
    ("shelf", "title"),
    nulls_not_distinct=False,
    name="book_shelf_title_key",
    newest=("edited", "read_at"),
)

BOOKS = """
create table book (
    id integer primary key, shelf text, title text, pages integer, data jsonb not null default '{}',
    tags text[], edited timestamptz, twice integer generated always as (pages * 2) stored
);
insert into book (id, shelf, title, pages, data, tags, edited) values
    (1, 'a', 'one', 10, '{"x": 1}', '{old}', '2026-01-01'),
    (2, 'a', 'one', null, '{}', null, '2026-03-01'),
    (3, 'a', 'one', 30, '{"x": 3}', '{newer,still}', '2026-02-01'),
    (4, 'a', 'two', 40, '{}', null, '2026-01-01'),
    (5, null, 'one', 50, '{}', null, '2026-01-01'),
    (6, null, 'one', 60, '{}', null, '2026-02-01')
"""

LOANS = """
create table loan (
    id integer primary key, book integer references book on delete cascade, who text,
    unique (book, who)
);
insert into loan values (1, 1, 'Ayo'), (2, 2, 'Bee'), (3, 3, 'Cid'), (4, 4, 'Dov')
"""


@contextmanager
def shelf(dsn: str, *statements: LiteralString) -> Iterator[psycopg.Connection[Any]]:
    """A session on a database with the log of repairs and these tables."""
    meta = sa.MetaData()
    add_bookkeeping(meta)
    with target_engine(dsn).begin() as made:
        made.execute(sa.schema.CreateSchema("sync"))
        meta.create_all(made, [meta.tables[name] for name in LOG])
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection


def rows(
    connection: psycopg.Connection[Any], query: LiteralString, *values: Any
) -> list[dict[str, Any]]:
    """A query's rows as dicts."""
    return connection.cursor(row_factory=dict_row).execute(query, values or None).fetchall()


def column(connection: psycopg.Connection[Any], query: LiteralString, *values: Any) -> list[Any]:
    """The first column of a query."""
    return [next(iter(row.values())) for row in rows(connection, query, *values)]


BOOK_ROWS: LiteralString = "select to_jsonb(b) from book b order by id"
INDEX_NAMES: LiteralString = (
    "select indexname from pg_indexes where schemaname = 'public' order by 1"
)
