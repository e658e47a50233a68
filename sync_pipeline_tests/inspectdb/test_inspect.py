"""Any Postgres database becomes declarations to paste, whatever its names and its people's words."""

import pytest
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import SyncError
from sync_pipeline.inspectdb import inspect
from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.inspectdb.pasted_declarations import Paste, database_of, pasted

PRINTED = '''\
"""Tables of a Postgres database as entities, as `sync-pipeline inspect` found them.

Database: DATABASE
Schema: public

Comments that begin with "?" are for people to decide.
"""

# ruff: noqa: ERA001  code that waits for a decision stands in comments

from __future__ import annotations

from sync_pipeline.model.entity import Entity, Field, Link
from sync_pipeline.model.system import System
from sync_pipeline.model.types import bigint, integer, numeric, text, timestamptz, varchar

DEPARTMENT = Entity(
    name="department",
    source="department",
    key=("id",),
    absent="cleared",
    columns=(
        Field("id", integer, "id"),
        Field("name", varchar(40), "name"),
        Field("manager_id", bigint, "manager_id", link=Link("employee", deferred=True)),
    ),
)

# LOG = Entity(
#     name="log",
#     source="log",
#     key=(),
#     # ? nothing tells its rows apart; name the columns that do, if any
#     absent="cleared",
#     columns=(Field("message", text, "message"),),
# )

EMPLOYEE = Entity(
    name="employee",
    source="employee",
    description="Who works here.",
    key=("id",),
    # key=("email",),  # ? unique too, where id is only a number that the source counts up
    # modified="updated_at",  # ? if every writer of the table maintains it
    absent="cleared",
    columns=(
        Field("id", bigint, "id"),
        Field("email", text, "email", note="At work."),
        Field("department_id", integer, "department_id", link=Link("department", required=True)),
        Field("boss", text, "boss", link=Link("employee", deferred=True, match=("email",))),
        Field("mood", text, "mood"),  # ? Postgres type mood
        # ? photo: left out: no field type holds Postgres type bytea
        Field("pay", numeric(10, 2), "pay"),
        Field("updated_at", timestamptz, "updated_at"),
    ),
)

SHOP = System("shop", (DEPARTMENT, EMPLOYEE))
'''


def test_a_schema_is_printed_as_a_module_that_can_be_pasted(paste: Paste) -> None:
    found = paste(
        "create type mood as enum ('fine', 'tired')",
        "create table department (id serial primary key, name varchar(40), manager_id bigint)",
        """create table employee (
            id bigint generated always as identity primary key,
            email text not null unique,
            department_id integer not null references department,
            boss text references employee (email),
            mood mood,
            photo bytea,
            pay numeric(10, 2),
            updated_at timestamptz
        )""",
        "alter table department add foreign key (manager_id) references employee",
        "create table log (message text)",
        "comment on table employee is 'Who works here.'",
        "comment on column employee.email is 'At work.'",
    )

    assert found.inspected.source == PRINTED.replace("DATABASE", found.inspected.database)
    assert found.undecided == [
        "log: nothing tells its rows apart; name the columns that do, if any",
        'employee: key=("email",), unique too, where id is only a number that the source counts up',
        'employee: modified="updated_at", if every writer of the table maintains it',
        "employee.mood: Postgres type mood",
        "employee.photo: left out: no field type holds Postgres type bytea",
    ]
    department, log, employee = found.inspected.tables
    assert (department.links[0].to, department.links[0].deferred) == ("employee", True)
    assert (log.key, log.is_entity) == ((), False)
    assert [f.type for f in employee.fields[:6]] == [
        "bigint",
        "text",
        "integer",
        "text",
        "text",
        "",
    ]


def test_names_that_sql_python_or_dagster_find_hard_become_safe_ones_and_the_table_keeps_its_own(
    paste: Paste,
) -> None:
    names = (
        "Order Lines", "order lines", "order_lines", 'quo"te', "a.b", "Größe", "漢字", "select", "class",
        "type", "2024", "shop", "back\\slash", "it's", "new\nline", "\u202etfel", "x" * 63, "x" * 62 + "y",
    )  # fmt: skip
    columns = (*names, "a:b", "{brace}", "ctid_", "Id", "id")

    def ident(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    listed = ", ".join(f"{ident(c)} int" for c in columns)
    found = paste(
        'create schema "Sales Dept"',
        *(
            f'create table "Sales Dept".{ident(name)} ({listed}, primary key ({ident(name)}, "Id", "id"),'
            f' foreign key ("shop", "Id", "id") references "Sales Dept".{ident(name)})'
            for name in names
        ),
        schema="Sales Dept",
    )

    assert {e.table: e.name for e in found.system.entities} == {
        "Order Lines": "order_lines_2",
        "order lines": "order_lines_3",
        "order_lines": "order_lines",
        'quo"te': "quo_te",
        "a.b": "a_b",
        "Größe": "grosse",
        "漢字": "table",
        "select": "select",
        "class": "class_",
        "type": "type_",
        "2024": "table_2024",
        "shop": "shop",
        "back\\slash": "back_slash",
        "it's": "it_s",
        "new\nline": "new_line",
        "\u202etfel": "tfel",
        "x" * 63: "x" * 54,
        "x" * 62 + "y": "x" * 52 + "_2",
    }
    for entity in found.system.entities:
        assert entity.schema == "Sales Dept"
        assert entity.key == (entity.table, "Id", "id")
        assert tuple(c.column for c in entity.columns) == columns
    assert found["order_lines_2"].source == '"Sales Dept"."Order Lines"'
    assert found["order_lines"].source == '"Sales Dept".order_lines'


def test_a_source_is_named_as_sql_would_write_it(paste: Paste) -> None:
    found = paste(
        "create table orders (id int primary key)",
        'create table "Order" (id int primary key)',
        'create table "user" (id int primary key)',
    )

    assert [(e.name, e.source) for e in found.system.entities] == [
        ("order", '"Order"'),
        ("orders", "orders"),
        ("user", '"user"'),
    ]


def test_a_name_that_no_declaration_can_hold_is_left_out_and_said(paste: Paste) -> None:
    found = paste(
        'create table "50%" (id int primary key)',
        "create table sync_history (id int primary key, percent int)",
        'create table price (id int primary key, "discount%" int, _digest text, _seq int, "_Seq" int)',
        'create table rate ("key%" int primary key, code text not null unique)',
        'create table fee (id int primary key, rate int references rate ("key%"), day int references "50%")',
    )

    assert found.names == ["fee", "price", "rate"]
    assert found["rate"].key == ("code",)
    assert found.types("price") == {"id": "integer", "_Seq": "integer"}
    assert found.links("fee") == {}
    assert found.undecided == [
        "50%: left out: its name contains %, which no declaration can hold; rename it",
        "fee.rate: references rate (key%), which is left out",
        "fee.day: references 50% (id), which is left out",
        "price.discount%: left out: its name contains %, which no declaration can hold; rename it",
        "price._digest: left out: the sync itself uses its name; rename it",
        "price._seq: left out: the sync itself uses its name; rename it",
        "rate.key%: left out: its name contains %, which no declaration can hold; rename it",
        "sync_history: left out: a bookkeeping table of the sync has this name; rename it",
    ]


def test_a_time_of_the_last_change_is_offered_and_never_assumed(paste: Paste) -> None:
    found = paste(
        "create table a (id int primary key, updated_at timestamptz, modified timestamptz)",
        'create table b (id int primary key, "Last_Modified" timestamp not null)',
        "create table c (id int primary key, updated_at timestamp, modified_at text, created_at timestamptz)",
    )

    assert [e.modified for e in found.system.entities] == [None] * 3
    assert found.undecided == [
        'a: modified="updated_at", if every writer of the table maintains it',
        'b: modified="Last_Modified", if every writer of the table maintains it, in UTC',
    ]


def test_a_partitioned_table_is_one_table_and_what_is_no_table_is_none(paste: Paste) -> None:
    found = paste(
        "create table sale (id int, year int, primary key (id, year)) partition by list (year)",
        "create table sale_2025 partition of sale for values in (2025)",
        "create table sale_2026 partition of sale for values in (2026)",
        "create table item (id int primary key, sale int, year int,"
        " foreign key (sale, year) references sale)",
        "create view big as select * from sale",
        "create materialized view bigger as select * from sale",
        "create sequence counter",
        "create table city (id int primary key)",
        "create table capital () inherits (city)",
    )

    assert found.names == ["city", "sale", "item"]
    assert found["item"].after == ("sale",)
    assert found.undecided == [
        "capital: nothing tells its rows apart; name the columns that do, if any",
        "city: tables that inherit from it are read with it, and may repeat its keys",
        "item: (sale, year) references sale (id, year); a link has one column",
    ]


def test_what_people_wrote_in_the_database_arrives_unharmed(paste: Paste) -> None:
    said = [
        'He said "no" and \'yes\', \\ and """ # noqa',
        "first line\nsecond\ttabbed \u202e and \x7f",
        "漢字" * 60,
        "word " * 60,
        "unbroken" * 40,
        "'" * 120 + " " + '"' * 100,
        "e\u0301 ❤️ " * 30,
        "endless " * 2000 + "x" * 2000,
    ]
    found = paste(
        "create table t (id int primary key, "
        + ", ".join(f"{'c' * (7 * i + 1)} int" for i in range(len(said)))
        + ")",
        *(
            f"comment on column t.{'c' * (7 * i + 1)} is {sql.quote(text)}"
            for i, text in enumerate(said)
        ),
        f"comment on table t is {sql.quote(' '.join(said))}",
    )

    assert [f.note for f in found["t"].fields[1:]] == said
    assert found["t"].description == " ".join(said)


def test_a_database_whose_tables_have_no_key_still_prints_a_module(paste: Paste) -> None:
    found = paste("create table log (message text)", "create table nothing ()", system="My Shop")

    assert (found.system.name, found.names) == ("my_shop", [])


def test_a_schema_without_tables_is_refused_in_a_line_that_names_the_others(database: str) -> None:
    with connect(database) as connection:
        with pytest.raises(SyncError, match=r"has no tables. Nor has any other schema\.$"):
            inspect(connection)
        connection.execute(
            "create schema empty; create schema sales; create table sales.t (id int)"
        )
        for schema in ("public", "empty", "Sales", "no'where"):
            with pytest.raises(SyncError) as refused:
                inspect(connection, schema=schema)
            said = str(refused.value)
            assert said.startswith(f"Schema {schema!r} of database ")
            assert said.endswith(" has no tables. Schemas with tables: sales.")


def test_the_catalog_of_every_release_is_understood(every_server: EmbeddedServer) -> None:
    with database_of(every_server) as source:
        found = pasted(
            source,
            "create table a (id int generated by default as identity primary key, code text not null unique)",
            "create table b (x int not null, y int, a int references a, unique nulls not distinct (x, y))",
        )
        with connect(source) as connection:
            state = connection.execute("select current_setting('transaction_read_only')").fetchone()
            again = inspect(connection, system="shop")
            unnamed = inspect(connection)

    assert (found["a"].key, found["b"].key) == (("id",), ("x", "y"))
    assert again == found.inspected
    assert unnamed.system == unnamed.database
    assert state == ("off",)
