"""The menu tables as they were before migration 0006, and the statements of programs that save items."""

from typing import Any, LiteralString

from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.integrations.product.database import make_signage
from sync_pipeline.simulators.integrations.product.schema import ITEM_TABLES, LevelType, State
from sync_pipeline.simulators.integrations.product.source_rows import CONFIG_IDS, QU
from sync_pipeline_tests.migrations.revisions import at

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
