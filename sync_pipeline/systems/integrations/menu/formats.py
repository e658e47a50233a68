"""The menu format of each point of sale, as data.

A response is a JSON object, bare or inside a wrapper, that holds menus as trees of nodes, as flat lists, or
as dicts by id. The rules define where these are, which nodes are items, and where the fields are. A path
such as `prices.prices.0.price` goes through objects by key and through lists by index; `*` is every index.

Another point of sale is another literal here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["products", "modifiers", "discounts"]
KINDS: tuple[Kind, ...] = ("products", "modifiers", "discounts")
"""In the order in which they are read."""

Field = Literal[
    "id", "pathId", "name", "description", "calories", "isOutOfStock",
    "category", "categoryId", "discount_type", "type", "deleted",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MenuRules:
    """How to read the menus of one point of sale.

    Attributes:
        name: for messages.
        wrapper: key of an object that may be around the response.
        lists: keys of lists of items, with their kind; None: a tree, whose nodes have types.
        complete: at least one of these keys is in every menu; a response without one is not a menu.
        nested: key of a node's list of nodes.
        items: types of nodes that are sold by themselves. Below a group they are modifiers.
        groups: types of nodes that are groups of modifiers. Whatever is below one is a modifier, unless its
            type is one of a group, a category or a root.
        categories: types of nodes that are categories.
        roots: types of nodes that only hold others.
        fields: paths of each field; the first with a value counts.
        prices: paths of an item's price, by kind; the first that is not empty counts, and 0 is not empty.
            In a tree, the paths of products serve for modifiers too.
        excluded: words in a category's name that exclude it and everything below it. They match whole words
            and ignore case: `OLO` is not in `Colossal burgers`.
    """

    name: str
    wrapper: str
    lists: Mapping[str, Kind | None]
    complete: tuple[str, ...]
    nested: str
    items: frozenset[str]
    groups: frozenset[str]
    categories: frozenset[str]
    roots: frozenset[str]
    fields: Mapping[Field, tuple[str, ...]]
    prices: Mapping[Kind, tuple[str, ...]]
    excluded: tuple[str, ...]


_FIRST_PRICE = ("prices.prices.*.price", "priceAttribute.prices.*.price")

QU = MenuRules(
    name="Qu",
    wrapper="value",
    lists={
        "children": None,
        "menuItems": "products",
        "modifiers": "modifiers",
        "discounts": "discounts",
    },
    complete=("children", "menuItems"),
    nested="children",
    items=frozenset({"1"}),
    groups=frozenset({"4"}),
    categories=frozenset({"6"}),
    roots=frozenset({"10"}),
    fields={
        "id": ("id", "itemMasterId"),
        "pathId": ("pathId", "itemPathKey"),
        "name": ("name", "title", "displayAttribute.itemTitle", "checkTitle"),
        "description": ("description", "displayAttribute.description"),
        "calories": ("calories", "nutritionInfo.calories"),
        "isOutOfStock": ("isOutOfStock",),
        "category": ("menuCategory.name", "modifierGroup.name"),
        "categoryId": ("menuCategory.id", "modifierGroup.id"),
        "discount_type": ("discountType",),
        "type": ("itemType",),
        "deleted": ("deleted",),
    },
    prices={
        "products": _FIRST_PRICE,
        "modifiers": _FIRST_PRICE,
        "discounts": ("discountAmount", *_FIRST_PRICE),
    },
    excluded=("OLO", "3PD", "3PO", "All Items"),
)
