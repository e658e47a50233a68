"""The menu tables, and the key of each.

A row belongs to one configuration of a source: two sites sell the same item at prices of their own. The
key therefore has `source_config_id`, and nulls are equal in it, because rows of earlier syncs lack values.
"""

from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.postgres.catalog import TableName

CONFIGS = TableName("public", "integration_source_configs")
LEVELS = ("concept_id", "company_id", "site_id")
"""What a menu is for: a configuration has one of them."""


def _menu_key(table: str, *item: str, name: str) -> UniqueKey:
    """The key of a table whose items have these columns within a source and configuration."""
    return UniqueKey(
        "public",
        table,
        ("wand_source_id", "source_config_id", *item),
        nulls_not_distinct=True,
        name=name,
        newest=("updated_at", "last_synced_at", "created_at"),
        # A row of another source or site is another item, whatever it lacks.
        must_match=("source_id", *LEVELS),
    )


MENU_KEYS = (
    _menu_key(
        "integration_products",
        "external_id",
        name="integration_products_wand_source_id_source_config_id_external_i",
    ),
    _menu_key(
        "integration_modifiers",
        "external_id",
        "path_id",
        name="integration_modifiers_wand_source_id_source_config_id_external_",
    ),
    _menu_key(
        "integration_discounts",
        "external_id",
        name="integration_discounts_wand_source_id_source_config_id_external_",
    ),
)
