"""The menus' tables, as tests look at them."""

from sync_pipeline_tests.fixtures.integrations_system import Menus

TABLES = ("integration_products", "integration_modifiers", "integration_discounts")


def counts(menus: Menus) -> dict[str, int]:
    return {t: menus.value(f"select count(*) from {t}") for t in TABLES}


def sellable(menus: Menus, establishment: str) -> str:
    """The path of a product that is on the menu."""
    config = menus.config(establishment)
    return menus.value(
        "select min(external_id) from integration_products where source_config_id = %s"
        " and (data ->> 'price')::numeric > 0",
        config.config_id,
    )
