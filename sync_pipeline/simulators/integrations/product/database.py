"""Fills a database with the signage product's tables."""

import psycopg

from sync_pipeline.simulators.insert_rows import insert
from sync_pipeline.simulators.integrations.product.item_rows import item_rows
from sync_pipeline.simulators.integrations.product.schema import LevelType, State, create
from sync_pipeline.simulators.integrations.product.source_rows import (
    config_rows,
    history_rows,
    source_rows,
)


def make_signage(
    connection: psycopg.Connection,
    *,
    state: State = "swallowed",
    scale: float = 1.0,
    configs: int = 3,
    level: LevelType = "bigint",
) -> bool:
    """Create the product's tables, and fill them if it knows no point of sale yet.

    Tables that are there already stay as they are, whoever made them.

    Args:
        connection: a session on the database; all happens in one transaction of it.
        state: of the item tables; see `schema`.
        scale: against 425 products, 685 modifiers and 10 discounts.
        configs: how many sites of Qu are configured, 1 to 3.
        level: type of concept_id, company_id and site_id; uuid leaves them empty.

    Returns:
        Whether it was filled.
    """
    with connection.transaction():
        create(connection, state, level)
        found = connection.execute(
            "select exists (select from wand_integration_sources)"
        ).fetchone()
        if found is None or found[0]:
            return False
        insert(connection, "wand_integration_sources", source_rows())
        insert(connection, "integration_source_configs", config_rows(configs))
        insert(connection, "integration_sync_history", history_rows(configs))
        for table, rows in item_rows(state, scale, configs).items():
            fitting = rows if level != "uuid" else [row | {"site_id": None} for row in rows]
            insert(connection, table, fitting)
        connection.execute(
            "analyze integration_products, integration_modifiers, integration_discounts"
        )
    return True
