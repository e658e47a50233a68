"""The menus' tables, from each of the states that they were found in: what a migration makes of them.

The first tests are what the document on the sync error promises; those it cannot keep are tests of what
happens here instead.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.doctor.repair.restore import restore
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.adopt import MigrationNote
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.integrations.product.database import make_signage
from sync_pipeline.simulators.integrations.product.schema import ITEM_TABLES, LevelType, State
from sync_pipeline.simulators.integrations.product.source_rows import CONFIG_IDS, QU
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.integrations.keys.repair import TABLES, colliding, drop_colliding
from sync_pipeline.systems.registry import SYSTEMS
from sync_pipeline.systems.repairs import AFTER_MIGRATION
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

SHORT: LiteralString = """
    insert into integration_products (wand_source_id, source_config_id, external_id, name, data)
    values (%s, %s, %s, 'New', %s) on conflict (wand_source_id, external_id)
    do update set data = excluded.data, updated_at = now()
"""
LONG: LiteralString = """
    insert into integration_products (wand_source_id, source_config_id, external_id, name, data)
    values (%s, %s, %s, 'New', %s) on conflict (wand_source_id, source_config_id, external_id)
    do update set data = excluded.data, updated_at = now() returning xmax = 0
"""
PRODUCTS, MODIFIERS, DISCOUNTS = ITEM_TABLES


def signage(dsn: str, state: State, *, configs: int = 3, level: LevelType = "bigint") -> None:
    with connect(dsn) as connection:
        make_signage(connection, state=state, scale=0.1, configs=configs, level=level)
    at(dsn)


def saved(dsn: str, statement: LiteralString, external: str, price: str, config: int = 0) -> Any:
    with connect(dsn) as connection:
        cursor = connection.execute(
            statement, [QU, CONFIG_IDS[config], external, f'{{"price": {price}}}']
        )
        return cursor.fetchone() if cursor.description else None


REPEATED: dict[str, LiteralString] = {
    PRODUCTS: "select from integration_products"
    " group by wand_source_id, source_config_id, external_id having count(*) > 1",
    MODIFIERS: "select from integration_modifiers"
    " group by wand_source_id, source_config_id, external_id, path_id having count(*) > 1",
    DISCOUNTS: "select from integration_discounts"
    " group by wand_source_id, source_config_id, external_id having count(*) > 1",
}


def test_the_error_is_gone_and_the_first_sync_creates_and_the_second_updates(
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
    # Rows that an earlier release saved are found again, instead of getting a twin.
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


def test_two_sites_keep_prices_of_their_own_and_the_shorter_key_is_refused(database: str) -> None:
    signage(database, "landed")
    saved(database, SHORT, "1-1", "1", config=0)
    saved(database, SHORT, "1-1", "2", config=1)  # this is the fix that was meant to do
    prices: LiteralString = (
        "select data ->> 'price' from integration_products where external_id = '1-1' order by 1"
    )
    assert column(database, prices) == ["2"]

    notes = up(database)

    saved(database, LONG, "1-1", "1", config=0)
    saved(database, LONG, "1-1", "2", config=1)
    assert column(database, prices) == ["1", "2"]
    with pytest.raises(psycopg.errors.InvalidColumnReference):
        saved(database, SHORT, "1-1", "3")
    said = texts(notes, "kept", PRODUCTS)[0]
    assert "must name (wand_source_id, source_config_id, external_id) instead" in said


def test_with_one_site_the_old_function_goes_on_working_until_a_second_is_added(
    database: str,
) -> None:
    signage(database, "landed", configs=1)
    run(database, "update integration_products set source_config_id = null")

    notes = up(database)

    saved(database, SHORT, "1-1", "1")
    saved(database, SHORT, "1-1", "2")
    count: LiteralString = "select count(*) from integration_products where external_id = '1-1'"
    assert column(database, count) == [1]
    configs: LiteralString = "select distinct source_config_id::text from integration_products"
    assert column(database, configs) == [CONFIG_IDS[0]]
    filled = " ".join(texts(notes, "repaired", PRODUCTS))
    assert "source_config_id filled in 42 rows: the configuration for the same site" in filled
    assert any("stays while each source has one" in t for t in texts(notes, "kept", PRODUCTS))
    with connect(database) as connection:
        assert colliding(connection) == []
        connection.execute(
            "insert into integration_source_configs (id, wand_source_id, config_name, application_level,"
            " site_id) values (%s, %s, 'Second', 'site', 99)",
            [CONFIG_IDS[1], QU],
        )
        shorter = [
            "integration_products_wand_source_external_unique",
            "integration_modifiers_wand_source_external_path_unique",
            "integration_discounts_wand_source_external_unique",
        ]
        assert colliding(connection) == shorter
        planned = drop_colliding(connection, dry_run=True)
        assert colliding(connection) == shorter

        dropped = drop_colliding(connection)

        assert [r.lines for r in dropped] == [r.lines for r in planned]
        assert colliding(connection) == []
        saved(database, LONG, "1-1", "1", config=1)
        assert column(database, count) == [2]
        with pytest.raises(psycopg.errors.InvalidColumnReference):
            saved(database, SHORT, "1-1", "3")
        connection.execute("delete from integration_products where name = 'New'")
        for report in dropped:
            assert report.repair_id
            assert restore(connection, report.repair_id).left == 0
        assert colliding(connection) == shorter


def test_the_shorter_key_is_never_made_anew(database: str) -> None:
    signage(database, "bare", configs=1)

    up(database)

    for items in TABLES:
        short = f"(wand_source_id, {', '.join(items.item)})"
        assert not [d for d in indexes(database, items.table).values() if short in d]


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


def test_items_of_sources_that_no_registry_knows_stay_apart(database: str) -> None:
    signage(database, "swallowed")
    legacy(database, ("null", "null"), "2")

    up(database)

    found = rows(
        database,
        "select name, source_id = wand_source_id as known from integration_products"
        " where external_id = '100' order by 1",
    )
    assert found == [{"name": "Burger", "known": True}, {"name": "Salad", "known": True}]


@pytest.mark.parametrize("guarded", [False, True], ids=["two_sites", "two_strangers"])
def test_items_that_nothing_in_the_key_tells_apart_are_named_and_not_merged(
    database: str, *, guarded: bool
) -> None:
    signage(database, "swallowed")
    if guarded:  # a foreign key keeps the sources, which no registry knows, from being filled in
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

    said = str(caught.value)
    assert f"differ in ({'source_id' if guarded else 'site_id'})" in said
    ids = column(database, "select id::text from integration_products where external_id = '100'")
    assert len(ids) == 2
    assert all(id_ in said for id_ in ids)
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

    for items in TABLES:
        found = indexes(database, items.table)
        for name, name_of_column in items.fast.items():
            assert found[name].endswith(f"USING btree ({name_of_column})")
        # The backward-compatible sets are there, as they were.
        assert found[items.backward].startswith("CREATE UNIQUE INDEX")
        assert "NULLS NOT DISTINCT" in found[items.key_name]
    assert "idx_integration_products_wand_source_old" in indexes(database, PRODUCTS)


def test_the_names_are_those_that_adopting_gives() -> None:
    tables = metadata([INTEGRATIONS]).tables
    for items in TABLES:
        assert items.key_name in {index.name for index in tables[items.table].indexes}


@pytest.mark.parametrize(("state", "level"), [("bare", "uuid"), ("swallowed", "integer")])
def test_down_brings_back_what_was_and_up_again_repairs_it_again(
    database: str, state: State, level: LevelType
) -> None:
    signage(database, state, level=level)
    before = content(database, *ITEM_TABLES)
    shapes = [set(indexes(database, table)) for table in ITEM_TABLES]
    notes = up(database)

    told = down(database)

    after = content(database, *ITEM_TABLES)
    for table, was in before.items():
        names = was[0][0].keys()  # columns that were added stay, empty
        assert [{n: row[n] for n in names} for (row,) in after[table]] == [row for (row,) in was]
        assert all(row["wand_source_id"] is None for (row,) in after[table] if state == "bare")
    assert [set(indexes(database, table)) for table in ITEM_TABLES] == shapes
    assert not [n for n in told if "not put back" in n.text]
    assert column(database, "select to_regclass('sync.removed_row')") == [None]

    again = up(database)
    assert _without_columns(again) == _without_columns(notes)


def _without_columns(notes: list[MigrationNote]) -> list[MigrationNote]:
    return [n for n in notes if not n.text.startswith("column ")]


def test_the_shorter_key_that_was_dropped_comes_back_when_rows_allow_it(database: str) -> None:
    signage(database, "landed")
    up(database)
    saved(database, LONG, "1-1", "1", config=0)
    saved(database, LONG, "1-1", "2", config=1)

    told = down(database)

    assert any("is duplicated" in text for text in texts(told, "kept", PRODUCTS))
    assert "integration_products_wand_source_external_unique" not in indexes(database, PRODUCTS)
    assert "integration_modifiers_wand_source_external_path_unique" in indexes(database, MODIFIERS)
    run(database, "delete from integration_products where external_id = '1-1'")
    up(database)
    down(database)
    assert "integration_products_wand_source_external_unique" in indexes(database, PRODUCTS)


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


def test_earlier_sets_without_the_source_are_dropped_because_a_configuration_may_move(
    database: str,
) -> None:
    signage(database, "landed", configs=1)
    made: dict[str, LiteralString] = {
        "p_config": "create unique index p_config on integration_products"
        " (source_config_id, external_id)",
        "m_config": "create unique index m_config on integration_modifiers"
        " (source_config_id, external_id)",
        "m_path": "create unique index m_path on integration_modifiers"
        " (source_config_id, path_id) where path_id is not null",
        "by_expression": "create unique index by_expression on integration_products"
        " (coalesce(wand_source_id::text, ''), coalesce(source_config_id::text, ''), external_id)",
    }
    run(database, *made.values())

    notes = up(database)

    present = {**indexes(database, PRODUCTS), **indexes(database, MODIFIERS)}
    assert made.keys() & present.keys() == {"by_expression"}
    [said] = [t for t in texts(notes, "repaired", PRODUCTS) if "p_config" in t]
    assert "may be moved to another source" in said
    down(database)
    present = {**indexes(database, PRODUCTS), **indexes(database, MODIFIERS)}
    assert made.keys() <= present.keys()

    with connect(database) as connection:
        assert colliding(connection) == []
        connection.execute(
            "update integration_source_configs set wand_source_id ="
            " (select id from wand_integration_sources where id <> %s limit 1)",
            [QU],
        )
        assert colliding(connection) == ["p_config", "m_config"]


def test_a_source_that_no_registry_knows_is_not_filled_in(database: str) -> None:
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


def test_migrate_tells_what_it_repaired_and_has_nothing_to_repair_again(database: str) -> None:
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
