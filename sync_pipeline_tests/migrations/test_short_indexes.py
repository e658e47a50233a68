"""Unique indexes of the menu tables that are shorter than the key: when they go, stay, and come back."""

from typing import LiteralString

import psycopg
import pytest

from sync_pipeline.doctor.repair.restore import restore
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.integrations.product.source_rows import CONFIG_IDS, QU
from sync_pipeline.systems.integrations.keys.short_indexes import (
    colliding_indexes,
    drop_colliding_indexes,
)
from sync_pipeline.systems.integrations.keys.tables import MENU_KEYS
from sync_pipeline_tests.migrations.menu_tables import (
    LONG,
    MODIFIERS,
    PRODUCTS,
    SHORT,
    saved,
    signage,
)
from sync_pipeline_tests.migrations.revisions import (
    column,
    down,
    indexes,
    run,
    texts,
    up,
)


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
    kept = texts(notes, "kept", PRODUCTS)[0]
    assert "must name (wand_source_id, source_config_id, external_id) instead" in kept


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
        assert colliding_indexes(connection) == []
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
        assert colliding_indexes(connection) == shorter
        planned = drop_colliding_indexes(connection, dry_run=True)
        assert colliding_indexes(connection) == shorter

        dropped = drop_colliding_indexes(connection)

        assert [r.lines for r in dropped] == [r.lines for r in planned]
        assert colliding_indexes(connection) == []
        saved(database, LONG, "1-1", "1", config=1)
        assert column(database, count) == [2]
        with pytest.raises(psycopg.errors.InvalidColumnReference):
            saved(database, SHORT, "1-1", "3")
        connection.execute("delete from integration_products where name = 'New'")
        for report in dropped:
            assert report.repair_id
            assert restore(connection, report.repair_id).left == 0
        assert colliding_indexes(connection) == shorter


def test_the_shorter_key_is_never_made_anew(database: str) -> None:
    signage(database, "bare", configs=1)

    up(database)

    for key in MENU_KEYS:
        short = f"(wand_source_id, {', '.join(key.columns[2:])})"
        assert not [d for d in indexes(database, key.table).values() if short in d]


def test_the_shorter_key_that_was_dropped_comes_back_when_rows_allow_it(database: str) -> None:
    signage(database, "landed")
    up(database)
    saved(database, LONG, "1-1", "1", config=0)
    saved(database, LONG, "1-1", "2", config=1)

    notes = down(database)

    assert any("is duplicated" in text for text in texts(notes, "kept", PRODUCTS))
    assert "integration_products_wand_source_external_unique" not in indexes(database, PRODUCTS)
    assert "integration_modifiers_wand_source_external_path_unique" in indexes(database, MODIFIERS)
    run(database, "delete from integration_products where external_id = '1-1'")
    up(database)
    down(database)
    assert "integration_products_wand_source_external_unique" in indexes(database, PRODUCTS)


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
    [dropped] = [t for t in texts(notes, "repaired", PRODUCTS) if "p_config" in t]
    assert "may be moved to another source" in dropped
    down(database)
    present = {**indexes(database, PRODUCTS), **indexes(database, MODIFIERS)}
    assert made.keys() <= present.keys()

    with connect(database) as connection:
        assert colliding_indexes(connection) == []
        connection.execute(
            "update integration_source_configs set wand_source_id ="
            " (select id from wand_integration_sources where id <> %s limit 1)",
            [QU],
        )
        assert colliding_indexes(connection) == ["p_config", "m_config"]
