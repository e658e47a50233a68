"""The reader of pg_catalog, on one table with everything that it describes."""

from collections.abc import Iterator

import psycopg
import pytest

from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.catalog import ColumnType, ForeignKey, Table, TableName, Trigger
from sync_pipeline.postgres.connect import Connection, connect

SCHEMA = """
    create schema "Store";
    create domain price as numeric(8, 2);
    create table shelf (id int primary key);
    create table "Store".item (
        id bigint generated always as identity primary key,
        number serial,
        shelf int references shelf on delete cascade deferrable initially deferred,
        cost price not null,
        code character(3),
        name varchar(20) default 'none',
        doubled numeric generated always as (cost * 2) stored,
        seen timestamp(3) with time zone,
        constraint item_code unique nulls not distinct (code)
    );
    create unique index item_name on "Store".item (name) include (cost) where shelf > 0;
    create index item_lower on "Store".item (lower(name), number);
    comment on table "Store".item is 'What is sold.';
    comment on column "Store".item.cost is 'Without tax.';
    create function stamp() returns trigger language plpgsql as 'begin return new; end';
    create trigger stamped before insert or update on "Store".item for each row execute function stamp();
    create rule unchanging as on update to shelf do also nothing;
    create view cheap as select id, name from "Store".item;
"""
ITEM = TableName("Store", "item")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as session:
        session.execute(SCHEMA)
        yield session


@pytest.fixture
def item(connection: Connection) -> Table:
    return catalog.read(connection, [ITEM])[ITEM]


def test_columns_are_described(item: Table) -> None:
    types = {
        c.name: (c.type, c.base_type, c.length, c.precision, c.scale) for c in item.columns.values()
    }
    assert types == {
        "id": ("bigint", "bigint", None, 64, 0),
        "number": ("integer", "integer", None, 32, 0),
        "shelf": ("integer", "integer", None, 32, 0),
        "cost": ("price", "numeric", None, 8, 2),
        "code": ("character(3)", "character", 3, None, None),
        "name": ("character varying(20)", "character varying", 20, None, None),
        "doubled": ("numeric", "numeric", None, None, None),
        "seen": ("timestamp(3) with time zone", "timestamp with time zone", None, None, 3),
    }
    cost = item.columns["cost"]
    assert (cost.domain_of, cost.not_null, cost.comment) == ("numeric(8,2)", True, "Without tax.")
    assert [c.name for c in item.columns.values() if c.accepts_no_value] == ["id", "doubled"]
    assert [c.name for c in item.columns.values() if c.is_numbered] == ["id", "number"]
    assert [c.name for c in item.columns.values() if c.has_default] == [
        "id", "number", "name", "doubled",
    ]  # fmt: skip
    assert item.columns["number"].sequence == '"Store".item_number_seq'
    assert "doubled" not in item.insertable


def test_indexes_are_described_by_their_definition(connection: Connection, item: Table) -> None:
    code, lower, name, key = item.indexes
    assert [i.name for i in item.indexes] == ["item_code", "item_lower", "item_name", "item_pkey"]
    assert (code.columns, code.nulls_not_distinct, code.constraint) == (("code",), True, True)
    assert code.definition == (
        'alter table "Store".item add constraint item_code UNIQUE NULLS NOT DISTINCT (code)'
    )
    assert (lower.columns, lower.referenced, lower.unique) == (
        ("number",),
        ("number", "name"),
        False,
    )
    assert lower.has_expressions
    assert (name.included, name.condition) == (("cost",), "(shelf > 0)")
    assert name.referenced == ("shelf", "name")
    assert not name.is_plain
    assert (key.primary, key.required, key.columns) == (True, True, item.primary_key)
    assert catalog.indexes(connection, '"Store".item') == list(item.indexes)
    assert catalog.indexes(connection, "nothing") == []


def test_plain_indexes_name_the_columns_in_which_a_null_may_repeat(connection: Connection) -> None:
    connection.execute("""
        create unique index item_place on "Store".item (shelf, id) include (name);
        create index item_shelf on "Store".item (shelf);
        alter table "Store".item add constraint item_seen unique (seen) deferrable
    """)
    found = sorted(catalog.plain_indexes(connection, '"Store".item'))
    assert [(i.name, set(i.columns), i.includes, i.immediate, i.nullable) for i in found] == [
        ('"Store".item_code', {"code"}, False, True, ()),
        ('"Store".item_pkey', {"id"}, False, True, ()),
        ('"Store".item_place', {"shelf", "id"}, True, True, ("shelf",)),
        ('"Store".item_seen', {"seen"}, False, False, ("seen",)),
        ('"Store".item_shelf', {"shelf"}, False, True, ("shelf",)),
    ]
    assert [i.name for i in found if not i.unique] == ['"Store".item_shelf']
    assert catalog.plain_indexes(connection, "nothing") == []


def test_a_foreign_key_is_known_from_both_ends(connection: Connection, item: Table) -> None:
    shelf = catalog.read_table(connection, ("public", "shelf"))
    expected = ForeignKey(
        name="item_shelf_fkey",
        child=ITEM,
        columns=("shelf",),
        parent=TableName("public", "shelf"),
        parent_columns=("id",),
        on_delete="c",
        valid=True,
        deferred=True,
    )
    assert shelf
    assert item.foreign_keys == shelf.referrers == (expected,)
    assert (shelf.foreign_keys, shelf.rules, shelf.sql) == ((), ("unchanging",), "shelf")
    assert item.triggers == (Trigger("stamped", "stamp", "INSERT or UPDATE"),)
    assert (item.sql, item.comment, item.has_children) == ('"Store".item', "What is sold.", False)


def test_names_are_found(connection: Connection) -> None:
    assert catalog.exists(connection, ITEM)
    assert catalog.exists(connection, ("Store", "item_pkey"))
    assert not catalog.exists(connection, ("store", "item"))
    assert catalog.read_table(connection, ("Store", "shelf")) is None
    assert catalog.tables_in(connection, "public") == [("public", "shelf")]
    assert catalog.schemas_with_tables(connection) == ["Store", "public"]
    assert "item_lower" in catalog.relation_names(connection, "Store")
    assert catalog.column_types(connection, "cheap") == {
        "id": ColumnType("bigint", "bigint"),
        "name": ColumnType("character varying(20)", "character varying"),
    }
    assert catalog.column_types(connection, "nothing") == {}


def test_a_locked_table_does_not_delay_the_reader(connection: Connection, database: str) -> None:
    with connection.transaction(), psycopg.connect(database) as other:
        connection.execute("lock table shelf in access exclusive mode")
        other.execute("set statement_timeout = '5s'")
        assert catalog.read_table(other, ("public", "shelf"))


def test_what_every_run_asks_is_not_delayed_by_a_locked_table_with_an_index(
    connection: Connection, database: str
) -> None:
    with connection.transaction(), psycopg.connect(database) as other:
        connection.execute('lock table "Store".item in access exclusive mode')
        other.execute("set statement_timeout = '5s'")
        assert catalog.column_types(other, '"Store".item')
        assert catalog.plain_indexes(other, '"Store".item')


def test_missing_privileges_are_listed(connection: Connection) -> None:
    assert catalog.missing_privileges(connection, ["Store"]) == []
    connection.execute("create role clerk; set role clerk")
    assert catalog.missing_privileges(connection, ["Store"]) == [
        "SELECT on \"Store\".item", "INSERT on \"Store\".item", "UPDATE on \"Store\".item",
        "DELETE on \"Store\".item", "USAGE on schema Store",
    ]  # fmt: skip
    item = catalog.read(connection, [ITEM])[ITEM]
    assert item.missing_privileges == ("USAGE on schema Store", "DELETE")
    assert item.columns["cost"].missing_privileges == ("SELECT", "INSERT", "UPDATE")
    assert not item.columns["number"].sequence_usable
