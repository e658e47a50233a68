"""Rows of the item tables, as earlier releases of the product left them.

Every item has a row of an earlier release: with `source_id`, and `wand_source_id` null. Some have another
one with `wand_source_id`, because nulls never conflict and the next release inserted instead of updating.
One item in four is still on the menu; the others are from past menus.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from sync_pipeline.simulators.integrations.credentials import ESTABLISHMENTS
from sync_pipeline.simulators.integrations.node import GROUP, ITEM
from sync_pipeline.simulators.integrations.product.schema import State
from sync_pipeline.simulators.integrations.product.source_rows import CONFIG_IDS, NOW, QU, named_id
from sync_pipeline.simulators.integrations.sample_menus import SEED, sample_menu
from sync_pipeline.simulators.seeded_random import seeded_random

Row = dict[str, Any]

SIZES = {"integration_products": 425, "integration_modifiers": 685, "integration_discounts": 10}
COPIES = {"integration_products": 25, "integration_modifiers": 40, "integration_discounts": 2}
FREE = {"integration_products": 15, "integration_modifiers": 591, "integration_discounts": 1}
"""Items at a price of 0, which is a price."""

_FLAVOURS = ("Smoky", "Maple", "Chili", "Lemon", "Herb", "Toasted", "Double", "Garden")
_KINDS = ("Burger", "Fries", "Shake", "Wrap", "Salad", "Melt", "Bowl", "Soda")
_CATEGORIES = ((43252, "Burgers"), (43260, "Sides"), (43271, "Drinks"), (43284, "Extras"))
_STILL_SERVED = 4
_WITHOUT_CONFIG = 20
"""One row in so many has no configuration."""


def item_rows(state: State, scale: float, configs: int) -> dict[str, list[Row]]:
    """Rows by table.

    Args:
        state: of the tables.
        scale: against 425 products, 685 modifiers and 10 discounts.
        configs: how many configurations the source has.
    """
    tables = {}
    menu = _menu(scale)
    for table, size in SIZES.items():
        number = max(2, round(size * scale))
        rows = [_item(table, place, number, configs, menu[table]) for place in range(number)]
        if state == "landed":
            rows = [row | {"wand_source_id": QU} for row in rows]
        else:
            copies = max(1, round(COPIES[table] * scale))
            rows += [_copy(table, rows[place], place, state) for place in range(copies)]
            # A few have a third row, the oldest, and the only one with a group's name.
            rows += [_third(row) for row in rows[number : number + copies : 5]]
        tables[table] = [_fitted(row, table, state) for row in rows]
    return tables


def _menu(scale: float) -> dict[str, list[tuple[str, str]]]:
    """The current menu, by table: paths, or numbers, with names."""
    menu = sample_menu(SEED, scale, ESTABLISHMENTS[0])
    nodes = [(path, node) for path, node in menu.root.walk() if node.type == ITEM]
    groups = [f"{path}-" for path, node in menu.root.walk() if node.type == GROUP]
    below = {path for path, _ in nodes if path.startswith(tuple(groups))}
    return {
        "integration_products": [(path, node.title) for path, node in nodes if path not in below],
        "integration_modifiers": [(path, node.title) for path, node in nodes if path in below],
        "integration_discounts": [(id_, d["checkTitle"]) for id_, d in menu.discounts.items()],
    }


def _item(table: str, place: int, number: int, configs: int, menu: list[tuple[str, str]]) -> Row:
    rng = seeded_random("signage", table, place)
    category, title = _CATEGORIES[place % len(_CATEGORIES)]
    external = str(70100 + place) if "discount" in table else f"{category}-{57590 + place}"
    name = f"{rng.choice(_FLAVOURS)} {rng.choice(_KINDS)} {place + 1}"
    if place % _STILL_SERVED == 1 and place < len(menu):
        external, name = menu[place]
    free = place < round(FREE[table] * number / SIZES[table])
    price = 0 if free else rng.randrange(100, 1500) / 100
    saved = NOW - timedelta(days=30, minutes=place)
    config = None if configs > 1 and place % _WITHOUT_CONFIG == 3 else CONFIG_IDS[place % configs]
    return {
        "id": named_id(table, place),
        "source_id": QU,
        "wand_source_id": None,
        "source_config_id": config,
        "external_id": external,
        "path_id": external,
        "name": name,
        "modifier_group_name": title,
        "discount_amount": price,
        "data": _data(external, name, price, title, rng),
        "site_id": int(ESTABLISHMENTS[place % configs]),
        **_moments(saved),
    }


def _data(external: str, name: str, price: float, category: str, rng: Random) -> Row:
    return {
        "mappingId": external,
        "pathId": external,
        "name": name,
        "description": f"{name}, as on the board",
        "price": price,
        "calories": rng.randrange(0, 900, 10),
        "isOutOfStock": False,
        "category": category,
    }


def _copy(table: str, row: Row, place: int, state: State) -> Row:
    """The row that the next release inserted, because it did not find the first."""
    price = row["data"]["price"] + 0.25
    return row | {
        "id": named_id(table, "again", place),
        "source_id": row["source_id"] if state == "bare" else None,
        "wand_source_id": QU,
        "modifier_group_name": None,
        "data": row["data"] | {"price": price},
        "discount_amount": price,
        **_moments(NOW - timedelta(days=2, minutes=place)),
    }


def _third(row: Row) -> Row:
    return row | {
        "id": named_id(row["id"], "third"),
        "modifier_group_name": "Renamed group",
        **_moments(NOW - timedelta(days=60)),
    }


def _moments(saved: datetime) -> Row:
    return dict.fromkeys(("last_synced_at", "created_at", "updated_at"), saved.isoformat())


def _fitted(row: Row, table: str, state: State) -> Row:
    """The row without columns that its table lacks."""
    absent = {"wand_source_id"} if state == "bare" else set()
    absent |= {"path_id"} if "discount" in table or (state == "bare" and "mod" in table) else set()
    absent |= {"modifier_group_name"} if "modifier" not in table else set()
    absent |= {"discount_amount"} if "discount" not in table else set()
    return {name: value for name, value in row.items() if name not in absent}
