"""The stand-in products are broken in the ways, and the numbers, in which the real ones were found."""

import pytest

from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.integrations.product.database import make_signage
from sync_pipeline.simulators.integrations.product.schema import ITEM_TABLES, State
from sync_pipeline.simulators.meta_assets.credentials import TOKENS
from sync_pipeline.simulators.meta_assets.product.database import make_messaging
from sync_pipeline_tests.migrations.revisions import column, content, rows

SIZES = {"integration_products": 425, "integration_modifiers": 685, "integration_discounts": 10}


def test_the_signage_product_has_the_rows_that_its_backup_had(database: str) -> None:
    with connect(database) as connection:
        assert make_signage(connection)
        assert not make_signage(connection)

    without = {
        table: sum(row["wand_source_id"] is None for (row,) in found)
        for table, found in content(database, *ITEM_TABLES).items()
    }
    assert without == SIZES
    free = """
        select count(*) from integration_modifiers
        where data ->> 'price' = '0' and wand_source_id is null
    """
    assert column(database, free) == [591]
    differing = (
        "select count(*) from integration_modifiers where path_id is distinct from external_id"
    )
    assert column(database, differing) == [0]
    assert column(database, "select count(*) from integration_sources") == [0]
    assert column(database, "select count(*) from wand_integration_sources") == [12]
    minutes = "select sync_frequency_minutes from integration_source_configs order by 1"
    assert column(database, minutes) == [15, 30, 60]


@pytest.mark.parametrize("state", ["bare", "swallowed", "landed"])
def test_the_same_rows_are_made_every_time(database: str, state: State) -> None:
    made = []
    for _ in range(2):
        with connect(database) as connection:
            make_signage(connection, state=state, scale=0.01)
            made.append(content(database, *ITEM_TABLES))
            connection.execute("truncate wand_integration_sources cascade")
            connection.execute(
                "truncate integration_products, integration_modifiers, integration_discounts"
            )
    assert made[0] == made[1]


def test_every_workspace_of_the_messaging_product_is_connected(database: str) -> None:
    with connect(database) as connection:
        assert make_messaging(connection)
        assert not make_messaging(connection)

    query = """
        select c.waba_id, t.token_encrypted from meta_whatsapp_connections c
        join meta_tokens t using (workspace_id)
    """
    found = {row["waba_id"]: row["token_encrypted"] for row in rows(database, query)}
    assert {waba: found[waba] for waba in TOKENS} == TOKENS
    assert len(found.keys() - TOKENS.keys()) == 1  # and one whose token opens nothing
