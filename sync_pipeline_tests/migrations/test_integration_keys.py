"""Migration 0006 on the menu tables, from each of the states that they were found in.

The first tests are what the document on the sync error promises; those it cannot keep are tests of what
happens here instead.
"""

from threading import Event, Thread
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.adopt import MigrationNote
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.integrations.product.database import make_signage
from sync_pipeline.simulators.integrations.product.schema import ITEM_TABLES, LevelType, State
from sync_pipeline.simulators.integrations.product.source_rows import CONFIG_IDS, QU
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.integrations.keys.tables import MENU_KEYS
from sync_pipeline.systems.migration_hooks import AFTER_MIGRATION
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline_tests.migrations.menu_tables import (
    DISCOUNTS,
    LONG,
    MODIFIERS,
    PRODUCTS,
    SHORT,
    saved,
    signage,
)
from sync_pipeline_tests.migrations.revisions import (
    at,
    column,
    content,
    down,
    indexes,
    rows,
    run,
    texts,
    up,
)

REPEATED: dict[str, LiteralString] = {
    PRODUCTS: "select from integration_products"
    " group by wand_source_id, source_config_id, external_id having count(*) > 1",
    MODIFIERS: "select from integration_modifiers"
    " group by wand_source_id, source_config_id, external_id, path_id having count(*) > 1",
    DISCOUNTS: "select from integration_discounts"
    " group by wand_source_id, source_config_id, external_id having count(*) > 1",
}
SOURCE_INDEXES = {
    PRODUCTS: "integration_products_source_external_unique",
    MODIFIERS: "integration_modifiers_source_external_path_unique",
    DISCOUNTS: "integration_discounts_source_external_unique",
}
SECONDARY = {
    PRODUCTS: {
        "idx_integration_products_wand_source": "wand_source_id",
        "idx_integration_products_external_id": "external_id",
        "idx_integration_products_last_synced": "last_synced_at",
    },
    MODIFIERS: {
        "idx_integration_modifiers_wand_source": "wand_source_id",
        "idx_integration_modifiers_external_id": "external_id",
    },
    DISCOUNTS: {
        "idx_integration_discounts_wand_source": "wand_source_id",
        "idx_integration_discounts_external_id": "external_id",
    },
}


def test_the_error_is_fixed_and_the_first_sync_creates_and_the_second_updates(
    every_server: EmbeddedServer,
) -> None:
    dsn = every_server.create_database("swallowed")
    signage(dsn, "swallowed")
    with pytest.raises(psycopg.errors.InvalidColumnReference, match="no unique or exclusion"):
        saved(dsn, SHORT, "1-1", "1")
    before = content(dsn, *ITEM_TABLES)

    notes = up(dsn)

    for table in ITEM_TABLES:
        assert not rows(dsn, REPEATED[table])
    assert [saved(dsn, LONG, "1-1", price) for price in ("1", "2")] == [(True,), (False,)]
    assert column(
        dsn, "select data ->> 'price' from integration_products where external_id = '1-1'"
    ) == ["2"]
    # Rows that an earlier release saved are found again, instead of being inserted again.
    assert saved(dsn, LONG, "43252-57590", "9") == (False,)
    removed = rows(dsn, "select table_name, count(*) from sync.removed_row group by 1 order by 1")
    assert [r["count"] for r in removed] == [2, 5, 3]
    for table in ITEM_TABLES:
        kept = column(
            dsn, 'select "row" from sync.removed_row where table_name = %s', f"public.{table}"
        )
        present = {r[0]["id"] for r in content(dsn, table)[table]} | {r["id"] for r in kept}
        assert {r[0]["id"] for r in before[table]} <= present
    assert "wand_source_id filled in" in " ".join(texts(notes, "repaired", PRODUCTS))


def test_a_merged_item_has_the_newest_price_and_what_only_older_rows_knew(database: str) -> None:
    signage(database, "swallowed")
    item: LiteralString = """
        select source_id, modifier_group_name, data from integration_modifiers
        where external_id = '43252-57590' order by updated_at desc
    """
    newest, older, oldest = rows(database, item)
    assert (newest["source_id"], newest["modifier_group_name"]) == (None, None)
    assert oldest["modifier_group_name"] == "Renamed group"

    up(database)

    (merged,) = rows(database, item)
    assert merged == {**older, "data": newest["data"]}
    assert merged["data"]["price"] == 0.25


LEGACY: LiteralString = """
    insert into integration_products (source_id, external_id, name, site_id) values
        ('11111111-0000-4000-8000-000000000000', '100', 'Burger', {0}),
        ('{2}1111111-0000-4000-8000-000000000000', '100', 'Salad', {1})
"""


def legacy(dsn: str, sites: tuple[str, str], other: str) -> None:
    statement = LEGACY.format(*sites, other)
    with connect(dsn) as connection:
        connection.execute(
            "alter table integration_products drop constraint if exists"
            " integration_products_source_external_unique"
        )
        connection.execute(statement.encode())


def test_items_of_unregistered_sources_are_not_merged(database: str) -> None:
    signage(database, "swallowed")
    legacy(database, ("null", "null"), "2")

    up(database)

    found = rows(
        database,
        "select name, source_id = wand_source_id as known from integration_products"
        " where external_id = '100' order by 1",
    )
    assert found == [{"name": "Burger", "known": True}, {"name": "Salad", "known": True}]


@pytest.mark.parametrize("guarded", [False, True], ids=["two_sites", "two_sources"])
def test_different_items_with_the_same_key_are_named_and_not_merged(
    database: str, *, guarded: bool
) -> None:
    signage(database, "swallowed")
    if guarded:  # a foreign key keeps the sources, which are not registered, from being filled in
        run(
            database,
            "update integration_products set wand_source_id = null",
            "alter table integration_products add foreign key (wand_source_id)"
            " references wand_integration_sources on delete cascade",
        )
    legacy(database, ("null", "null") if guarded else ("1", "2"), "2" if guarded else "1")
    before = content(database, *ITEM_TABLES)

    with pytest.raises(TargetNotPrepared) as caught:
        up(database)

    message = str(caught.value)
    assert f"differ in ({'source_id' if guarded else 'site_id'})" in message
    ids = column(database, "select id::text from integration_products where external_id = '100'")
    assert len(ids) == 2
    assert all(id_ in message for id_ in ids)
    assert content(database, *ITEM_TABLES) == before


def test_an_item_without_a_configuration_gets_that_of_its_site(database: str) -> None:
    signage(database, "swallowed")
    site: LiteralString = "select site_id::text from integration_source_configs where id = %s"
    first, second = (column(database, site, CONFIG_IDS[n])[0] for n in (0, 1))
    legacy(database, (first, second), "1")
    run(database, "update integration_products set source_id = null where external_id = '100'")
    with connect(database) as connection:
        connection.execute(
            "update integration_products set wand_source_id = %s where external_id = '100'", [QU]
        )

    up(database)

    configs: LiteralString = (
        "select source_config_id::text from integration_products where external_id = '100'"
        " order by name"
    )
    assert column(database, configs) == [*CONFIG_IDS[:2]]


def test_the_indexes_that_the_document_names_are_what_they_are_called(database: str) -> None:
    signage(database, "swallowed")  # with one of these names on another column
    assert "(source_id)" in indexes(database, PRODUCTS)["idx_integration_products_wand_source"]

    up(database)

    for key in MENU_KEYS:
        found = indexes(database, key.table)
        for name, name_of_column in SECONDARY[key.table].items():
            assert found[name].endswith(f"USING btree ({name_of_column})")
        # The indexes on source_id that older programs use are there, as they were.
        assert found[SOURCE_INDEXES[key.table]].startswith("CREATE UNIQUE INDEX")
        assert "NULLS NOT DISTINCT" in found[key.name]
    assert "idx_integration_products_wand_source_old" in indexes(database, PRODUCTS)


def test_the_names_are_those_that_adopting_gives() -> None:
    tables = metadata([INTEGRATIONS]).tables
    for key in MENU_KEYS:
        assert key.name in {index.name for index in tables[key.table].indexes}


@pytest.mark.parametrize(("state", "level"), [("bare", "uuid"), ("swallowed", "integer")])
def test_down_brings_back_what_was_and_up_again_repairs_it_again(
    database: str, state: State, level: LevelType
) -> None:
    signage(database, state, level=level)
    before = content(database, *ITEM_TABLES)
    shapes = [set(indexes(database, table)) for table in ITEM_TABLES]
    notes = up(database)

    restored = down(database)

    after = content(database, *ITEM_TABLES)
    for table, was in before.items():
        names = was[0][0].keys()  # columns that were added stay, empty
        assert [{n: row[n] for n in names} for (row,) in after[table]] == [row for (row,) in was]
        assert all(row["wand_source_id"] is None for (row,) in after[table] if state == "bare")
    assert [set(indexes(database, table)) for table in ITEM_TABLES] == shapes
    assert not [n for n in restored if "not put back" in n.text]
    assert column(database, "select to_regclass('sync.removed_row')") == [None]

    again = up(database)
    assert _without_columns(again) == _without_columns(notes)


def _without_columns(notes: list[MigrationNote]) -> list[MigrationNote]:
    return [n for n in notes if not n.text.startswith("column ")]


def test_a_migration_that_fails_leaves_all_as_it_was_and_names_the_rows(database: str) -> None:
    signage(database, "swallowed")
    run(
        database,
        "create table board (item uuid unique references integration_discounts on delete cascade)",
        "insert into board select id from integration_discounts where external_id = '70100'",
    )
    before = content(database, *ITEM_TABLES)

    with pytest.raises(TargetNotPrepared) as caught:
        up(database)

    assert "board: rows that refer by board_item_fkey to duplicates" in str(caught.value)
    assert "already exists" in str(caught.value)
    assert content(database, *ITEM_TABLES) == before
    assert column(database, "select version_num from alembic_version_sync") == ["0005"]
    assert column(database, "select to_regclass('sync.removed_row')") == [None]


def test_an_unregistered_source_is_not_filled_in(database: str) -> None:
    signage(database, "swallowed")
    stray = uuid4()
    with connect(database) as connection:
        connection.execute(
            "insert into integration_discounts (source_id, external_id, name) values (%s, 'x', 'x')",
            [stray],
        )
        connection.execute(
            "alter table integration_discounts add foreign key (wand_source_id)"
            " references wand_integration_sources on delete cascade"
        )

    up(database)

    stray_row: LiteralString = (
        "select wand_source_id from integration_discounts where source_id = %s"
    )
    assert column(database, stray_row, stray) == [None]


def test_a_target_without_the_tables_gets_the_history_and_no_more(database: str) -> None:
    at(database)

    assert up(database) == []

    assert column(database, "select count(*) from integration_sync_history") == [0]
    assert column(database, "select to_regclass('integration_products')") == [None]


def test_migrate_reports_what_it_repaired_and_has_nothing_to_repair_again(database: str) -> None:
    with connect(database) as connection:
        make_signage(connection, scale=0.02)

    notes = migrate.migrate(database, metadata(SYSTEMS), AFTER_MIGRATION)
    again = migrate.migrate(database, metadata(SYSTEMS), AFTER_MIGRATION)

    for table in ITEM_TABLES:
        assert any("merged into the newest" in t for t in texts(notes, "repaired", table))
    assert not [n for n in again if n.kind in {"repaired", "kept", "created", "refused"}]
    assert not [n for n in notes if n.kind == "refused"]


def test_a_sync_that_runs_meanwhile_loses_nothing_and_gets_no_duplicate_in(database: str) -> None:
    signage(database, "swallowed")
    accepted: list[str] = []
    ready, stop = Event(), Event()

    def go_on() -> None:
        with connect(database) as connection:
            while not stop.is_set():
                id_, item = str(uuid4()), f"9-{len(accepted) // 2}"
                try:
                    connection.execute(
                        "insert into integration_products (id, wand_source_id, source_config_id,"
                        " external_id, name) values (%s, %s, %s, %s, 'Twice')",
                        [id_, QU, CONFIG_IDS[0], item],
                    )
                    accepted.append(id_)
                except psycopg.errors.UniqueViolation:
                    stop.set()
                if len(accepted) == 20:
                    ready.set()

    writer = Thread(target=go_on)
    writer.start()
    assert ready.wait(30)
    up(database)
    writer.join(30)

    assert stop.is_set()
    present = column(database, "select id::text from integration_products where name = 'Twice'")
    removed = column(
        database, "select \"row\" ->> 'id' from sync.removed_row where \"row\" ->> 'name' = 'Twice'"
    )
    assert sorted(present + removed) == sorted(accepted)
    assert not rows(database, REPEATED[PRODUCTS])
