"""Printed declarations sync as they are: every row arrives, and a second run writes nothing."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg import sql
from psycopg.rows import dict_row

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.schema.adopt import adopt
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.merge.schema.migrate import target_engine
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.postgres.connect import connect
from sync_pipeline.sources.postgres.reader import PostgresReader
from sync_pipeline_tests.fixtures.sample_system import Workbench, copied, counted
from sync_pipeline_tests.inspectdb.pasted_declarations import Pasted, pasted

COMPANY = r"""
create schema "Head Office";
set search_path = "Head Office";
create type mood as enum ('fine', 'tired');
create domain cents as bigint check (value >= 0);
create table department (id serial primary key, "Name" varchar(40) not null, head bigint);
create table employee (
    id bigint generated always as identity primary key,
    email text not null unique,
    department int not null references department,
    boss text references employee (email),
    mood mood,
    pay cents,
    photo bytea,
    updated_at timestamptz not null default now()
);
alter table department add foreign key (head) references employee deferrable initially deferred;
create table "Order Lines" (
    "order" int,
    "line.no" smallint,
    "say ""what"" now" text,
    "größe" real,
    price numeric(10, 2),
    sold char(4),
    paid boolean,
    at timestamp,
    day date,
    hour time,
    code uuid,
    extra json,
    tags text[],
    lasts interval,
    by bigint not null references employee,
    total numeric generated always as (price * 2) stored,
    primary key ("order", "line.no")
);
create table "select" (
    "class" text,
    "order" int,
    line smallint,
    place int,
    unique nulls not distinct ("class", place),
    foreign key ("order", line) references "Order Lines"
) partition by list ("class");
create table select_x partition of "select" for values in ('x');
create table select_rest partition of "select" default;

begin;
insert into department ("Name", head) select 'Department ' || i, i * 10 from generate_series(1, 5) i;
insert into employee (email, department, boss, mood, pay, photo)
    select format('e%s@x.example', i), 1 + i % 5, case when i < 50 then format('e%s@x.example', i + 1) end,
        case when i % 3 = 0 then 'tired'::mood end, i * 100, '\x00'
    from generate_series(1, 50) i;
insert into "Order Lines"
    select i, j, case j when 1 then E'tab\t back\\slash \\n \n "x" it''s 漢字 ' || i when 2 then '' end,
        0.1 * i, i + 0.25, 'ab', i % 2 = 0, '2026-01-01 10:00:00.123456', date '2026-01-01' + i, '23:59:59.5',
        md5(i::text)::uuid, '{"b": [1.50, "x"], "a": null}', array['one', 'it''s, "two"'], '1 day 02:00',
        1 + i % 50
    from generate_series(1, 100) i, generate_series(1, 3) j;
insert into "select"
    select case when i % 2 = 0 then 'x' else 'y' end, i, 1, nullif(i, 7) from generate_series(1, 20) i;
commit;
"""


@pytest.fixture
def company(database: str) -> Pasted:
    return pasted(database, COMPANY, schema="Head Office", system="company")


@pytest.fixture
def target(server: EmbeddedServer, template: str, company: Pasted) -> Iterator[Workbench]:
    """A migrated database with the tables that the declarations need."""
    with copied(server, template) as bench:
        bench.system = company.system
        bench.run('create schema "Head Office"')
        with target_engine(bench.dsn).begin() as connection:
            adopt(connection, metadata([bench.system]))
        yield bench


def sync(bench: Workbench, dsn: str, mode: Any = "full") -> dict[str, dict[str, int]]:
    """One run of every entity, parents first."""
    with closing(PostgresReader(dsn, variable="COMPANY_DSN")) as source:
        return {
            e.name: counted(bench.merge(source.read(e, Scope(mode=mode), since(bench, e, mode)))[0])
            for e in bench.system.in_order()
        }


def since(bench: Workbench, entity: Entity, mode: str) -> Progress:
    return watermarks.progress(bench.connection, entity) if mode == "delta" else Progress()


def rows(dsn: str, entity: Entity) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every row by its key, as Python sees it."""
    names = sql.SQL(", ").join(sql.Identifier(f.column) for f in entity.fields)
    query = sql.SQL("select {} from {}").format(names, sql.Identifier(entity.schema, entity.table))
    with connect(dsn) as connection, connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(query).fetchall()
    return {tuple(row[c] for c in entity.key): row for row in found}


def test_every_row_of_every_table_arrives_and_a_second_run_writes_nothing(
    database: str, company: Pasted, target: Workbench
) -> None:
    sizes = {"department": 5, "employee": 50, "order_lines": 300, "select": 20}
    tables = [f"Head Office.{e.table}" for e in company.system.entities]
    bases = [f"sync_base.company__{e.name}" for e in company.system.entities]

    first = sync(target, database)
    written = target.writes(*tables, *bases)
    again = sync(target, database)
    moved = sync(target, database, "delta")

    assert first == {name: {"read": n, "inserted": n} for name, n in sizes.items()}
    assert again == {name: {"read": n, "unchanged": n} for name, n in sizes.items()}
    assert moved == {name: {} for name in sizes}
    assert target.writes(*tables, *bases) == written == 2 * sum(sizes.values())
    for entity in company.system.entities:
        theirs, ours = rows(database, entity), rows(target.dsn, entity)
        assert len(theirs) == sizes[entity.name]
        assert ours.keys() == theirs.keys()
        for key, row in theirs.items():
            assert ours[key] == as_text(row)


def as_text(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the source as the target holds it, where its column is text for want of a better type."""
    return row | {"lasts": "P1DT2H"} if "lasts" in row else row


def test_what_changes_at_the_source_follows(
    database: str, company: Pasted, target: Workbench
) -> None:
    sync(target, database)
    with connect(database) as connection:
        connection.execute('set search_path = "Head Office"')
        connection.execute(
            'update "Order Lines" set "größe" = null where "order" = 5 and "line.no" = 1'
        )
        connection.execute("""insert into department ("Name") values ('New')""")
        connection.execute('update "select" set "order" = 9 where place is null')

    followed = sync(target, database, "delta")

    changes = {n: {k: c[k] for k in ("inserted", "updated") if k in c} for n, c in followed.items()}
    assert changes == {
        "department": {"inserted": 1},
        "employee": {},
        "order_lines": {"updated": 1},
        "select": {"updated": 1},
    }
    for entity in company.system.entities:
        theirs, ours = rows(database, entity), rows(target.dsn, entity)
        assert ours == {k: as_text(r) for k, r in theirs.items()}
