"""The tables of the menus, and the key of each.

A row belongs to one configuration of a source: two sites sell the same item at prices of their own. The
key therefore has `source_config_id`, and nulls are equal in it, because rows of earlier syncs lack parts.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync_pipeline.doctor.repair.unique_key import TableName, UniqueKey

SOURCES = TableName("public", "wand_integration_sources")
CONFIGS = TableName("public", "integration_source_configs")
LEVELS = ("concept_id", "company_id", "site_id")
"""What a menu is for: a configuration says one of them."""
NEWEST = ("updated_at", "last_synced_at", "created_at")


@dataclass(frozen=True)
class MenuTable:
    """One of the three tables.

    Attributes:
        table: its name.
        item: columns that identify an item within a source and configuration.
        key_name: of the unique index.
        backward: name of the set with `source_id`.
        fast: further indexes, by name.
    """

    table: str
    item: tuple[str, ...]
    key_name: str
    backward: str
    fast: dict[str, str]

    @property
    def place(self) -> TableName:
        """The table."""
        return TableName("public", self.table)

    @property
    def key(self) -> UniqueKey:
        """What identifies a row; one of another source or site is another item, whatever it lacks."""
        return UniqueKey(
            "public",
            self.table,
            ("wand_source_id", "source_config_id", *self.item),
            nulls_not_distinct=True,
            name=self.key_name,
            newest=NEWEST,
            apart=("source_id", *LEVELS),
        )


TABLES = (
    MenuTable(
        "integration_products",
        ("external_id",),
        "integration_products_wand_source_id_source_config_id_external_i",
        "integration_products_source_external_unique",
        {
            "idx_integration_products_wand_source": "wand_source_id",
            "idx_integration_products_external_id": "external_id",
            "idx_integration_products_last_synced": "last_synced_at",
        },
    ),
    MenuTable(
        "integration_modifiers",
        ("external_id", "path_id"),
        "integration_modifiers_wand_source_id_source_config_id_external_",
        "integration_modifiers_source_external_path_unique",
        {
            "idx_integration_modifiers_wand_source": "wand_source_id",
            "idx_integration_modifiers_external_id": "external_id",
        },
    ),
    MenuTable(
        "integration_discounts",
        ("external_id",),
        "integration_discounts_wand_source_id_source_config_id_external_",
        "integration_discounts_source_external_unique",
        {
            "idx_integration_discounts_wand_source": "wand_source_id",
            "idx_integration_discounts_external_id": "external_id",
        },
    ),
)
