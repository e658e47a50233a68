"""The three tables of the menus, as data.

A row is one item on one path of the menu of one source configuration, which may be a company, a concept or
a site. Two sites of one source sell the same item at different prices, so the configuration belongs to the
key. Nulls are not distinct in the key, because rows of earlier syncs lack some of its columns.

The three are merged in one transaction: a menu is written as a whole or not at all.
"""

from typing import Any

from sync_pipeline.model.entity import Budget, Column, Entity, Field, Limit, Local, Serial, Stamp
from sync_pipeline.model.system import System
from sync_pipeline.model.types import bigint, boolean, jsonb, numeric, text, timestamptz, uuid
from sync_pipeline.systems.integrations.settings import SOURCE

KEY = ("wand_source_id", "source_config_id", "external_id")
PARTITION_COLUMN = "source_config_id"
FLAG = "is_missing"

# The first and last columns of every table.
IDENTITY = (
    Serial("id", uuid),
    Local("source_id", uuid, note="the source in a registry that is no longer used; never written"),
    Field("wand_source_id", uuid, "wand_source_id", nulls_not_distinct=True),
    Field("source_config_id", uuid, "source_config_id", nulls_not_distinct=True),
    Field("external_id", text, "mappingId", note="the item's path in the menu, else its number"),
)
SITE = (
    Field("concept_id", bigint, "concept_id"),
    Field("company_id", bigint, "company_id"),
    Field("site_id", bigint, "site_id"),
)
TAIL = (
    Local(FLAG, boolean, default="false", note="no longer on the menu of its configuration"),
    Stamp("last_synced_at", timestamptz, default="now()"),
    Stamp("created_at", timestamptz, insert_only=True, default="now()"),
    Stamp("updated_at", timestamptz, default="now()"),
)

# A chain may reprice much of a menu in a day; a menu in which everything differs is probably another one.
BUDGET = Budget(updates=Limit(percent=60, floor=200))


def _menu_table(*, columns: tuple[Column, ...], **declared: Any) -> Entity:
    """A table of menus, with the columns and rules that all of them share."""
    return Entity(
        absent="cleared",
        missing="flag",
        missing_flag=FLAG,
        partition_by=PARTITION_COLUMN,
        budget=BUDGET,
        columns=(*IDENTITY, *columns, *SITE, *TAIL),
        **declared,
    )


PRODUCT = _menu_table(
    name="integration_product",
    table="integration_products",
    source="products",
    key=KEY,
    description="Items that are sold by themselves.",
    indexes=(("wand_source_id",), ("external_id",), ("last_synced_at",)),
    columns=(
        Field("path_id", text, "pathId"),
        Field("name", text, "name"),
        Field("item_type", text, "item_type"),
        Field("data", jsonb, "data", note="the whole item as it was formatted; 0 is a price"),
    ),
)

MODIFIER = _menu_table(
    name="integration_modifier",
    table="integration_modifiers",
    source="modifiers",
    key=(*KEY, "path_id"),
    description="What an item can be ordered with, on every path that leads there.",
    indexes=(("wand_source_id",), ("external_id",)),
    columns=(
        Field("path_id", text, "pathId", nulls_not_distinct=True),
        Field("name", text, "name"),
        Field("modifier_group_id", text, "categoryId"),
        Field("modifier_group_name", text, "category"),
        Field("data", jsonb, "data", note="the whole item as it was formatted; 0 is a price"),
    ),
)

DISCOUNT = _menu_table(
    name="integration_discount",
    table="integration_discounts",
    source="discounts",
    key=KEY,
    description="Reductions of the point of sale.",
    indexes=(("wand_source_id",), ("external_id",)),
    columns=(
        Field("name", text, "name"),
        Field("discount_amount", numeric, "discount_amount"),
        Field("discount_type", text, "discount_type"),
        Field("data", jsonb, "data", note="the whole item as it was formatted"),
    ),
)

INTEGRATIONS = System(
    "integrations",
    (PRODUCT, MODIFIER, DISCOUNT),
    groups=(("integration_product", "integration_modifier", "integration_discount"),),
    source=SOURCE,
)
