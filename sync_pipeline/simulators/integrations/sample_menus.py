"""Generates the restaurants' menus, with every oddity that a client has to handle.

All establishments of the brand have the same items under the same paths, at prices of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count, cycle
from random import Random
from typing import Any

from sync_pipeline.simulators.integrations.node import CATEGORY, GROUP, ITEM, ROOT, Node
from sync_pipeline.simulators.seeded_random import seeded_random

SEED = 1
"""Of the default restaurants."""
PRODUCTS = 425
MODIFIERS = 685
DISCOUNTS = 10
PLANTED = 4
"""Products that are added as special cases."""
FREE_PRODUCTS = 0.035
FREE_MODIFIERS = 0.86
GROUP_SIZE = 6
NAMELESS_AT = "1003"
ROOT_ID = 47587

_KINDS = (
    "Burger",
    "Taco",
    "Bowl",
    "Salad",
    "Wrap",
    "Shake",
    "Soda",
    "Coffee",
    "Pie",
    "Side",
    "Melt",
)
_STYLES = ("Smoky", "Classic", "Double", "Spicy", "Garden", "Harvest", "Coastal", "Maple", "Ranch")
_BASES = ("Chicken", "Beef", "Bean", "Mushroom", "Salmon", "Tofu", "Turkey", "Egg", "Pepper")
_EXTRAS = ("Cheese", "Bacon", "Pickles", "Onion", "Jalapeño", "Ketchup", "Mayo", "Ice", "Oat milk")
_AMOUNTS = ("No", "Light", "Regular", "Extra")
_CATEGORIES = (
    "Burgers", "Colossal Burgers", "Tacos", "Bowls", "Salads", "Wraps",
    "Shakes", "Drinks", "Desserts", "Sides", "Breakfast", "Kids",
)  # fmt: skip
_EXCLUDED = ("OLO Favourites", "Burgers (3PD)", "3PO_Drinks", "All Items")


@dataclass(frozen=True, slots=True)
class SampleMenu:
    """The menu of one establishment.

    Attributes:
        root: of the tree.
        discounts: by their id, as the protocol writes them.
    """

    root: Node
    discounts: dict[str, dict[str, Any]]


def sample_menu(seed: int, scale: float, establishment: str) -> SampleMenu:
    """The menu of an establishment; 1.0 is 425 products, 685 modifiers and 10 discounts."""
    return _MenuBuilder(seed, scale, establishment).build()


def extra_category(number: int, size: int) -> Node:
    """One of the categories that make a menu huge."""
    first = 10_000_000 + number * 10_000
    items = [
        Node(
            first + place,
            f"Extra {number}/{place}",
            ITEM,
            price=Decimal(place % 1000) / 100 + 1,
            plu=str(first + place),
            description=f"{number}/{place} " + "as long as a legal notice " * 36,
            calories=place,
        )
        for place in range(1, size + 1)
    ]
    return Node(first, f"Extras {number}", CATEGORY, children=items)


class _MenuBuilder:
    def __init__(self, seed: int, scale: float, establishment: str) -> None:
        self._products = max(24, round(PRODUCTS * scale)) - PLANTED
        self._modifiers = max(12, round(MODIFIERS * scale))
        self._establishment = establishment
        # All sites of a brand share the shape but not the prices, so each has its own generator.
        self._shape = seeded_random(seed, "shape")
        self._prices = seeded_random(seed, "prices", establishment)
        self._ids = count(56_001)

    def build(self) -> SampleMenu:
        root = Node(ROOT_ID, "Main menu", ROOT)
        root.children = [self._category(title) for title in _CATEGORIES]
        self._fill(root.children)
        self._add_modifiers(root)
        self._plant(root)
        return SampleMenu(root, _discounts(self._prices))

    def _category(self, title: str) -> Node:
        return Node(next(self._ids), title, CATEGORY)

    def _fill(self, categories: list[Node]) -> None:
        """Add products; every twelfth repeats a product of another category."""
        made: list[Node] = []
        for place, category in zip(range(self._products), cycle(categories), strict=False):
            item = self._item()
            if place % 12 == 11:
                here = {other.id for other in category.children}
                again = self._shape.choice([other for other in made if other.id not in here])
                item.id, item.title = again.id, again.title
            made.append(item)
            category.children.append(item)

    def _item(self) -> Node:
        shape = self._shape
        title = f"{shape.choice(_STYLES)} {shape.choice(_BASES)} {shape.choice(_KINDS)}"
        number = next(self._ids)
        return Node(
            number,
            title,
            ITEM,
            price=self._price(free=FREE_PRODUCTS, highest=1_900),
            plu=self._plu(number),
            description=f"{title}, made when you order it.",
            calories=self._calories(),
            discounts=(9002,) if shape.random() < 0.2 else (),
        )

    def _calories(self) -> int | None:
        return None if self._shape.random() < 0.1 else self._shape.randrange(50, 1_200, 5)

    def _plu(self, number: int) -> str | float:
        return (str(number), number, float(number))[self._shape.randrange(3)]

    def _price(self, *, free: float, highest: int) -> Decimal | None:
        # Draws both numbers every time, so that all sites stay in step.
        chance, cents = self._prices.random(), self._prices.randrange(50, highest)
        if chance < free:
            return Decimal(0)
        return None if chance > 0.99 else Decimal(cents) / 100

    def _add_modifiers(self, root: Node) -> None:
        """Add groups below the first products; an extra has one id wherever it is offered."""
        extras = {f"{amount} {extra}": next(self._ids) for extra in _EXTRAS for amount in _AMOUNTS}
        items = cycle(item for category in root.children for item in category.children)
        left = self._modifiers
        while left > 0:
            size = min(GROUP_SIZE, left)
            titles = self._shape.sample(list(extras), size)
            group = Node(next(self._ids), f"{titles[0].split()[-1]} and more", GROUP)
            group.children = [self._modifier(extras[title], title) for title in titles]
            next(items).children.append(group)
            left -= size

    def _modifier(self, number: int, title: str) -> Node:
        price = self._price(free=FREE_MODIFIERS, highest=250)
        return Node(number, title, ITEM, price=price, plu=self._plu(number), calories=10)

    def _plant(self, root: Node) -> None:
        """Add special cases: deleted, excluded, unpriced, duplicate and nameless items, and unknown types."""
        planted = iter(self._planted())
        first, second = root.children[0], root.children[1]
        for category in planted:
            root.children.append(category)
        deleted = self._item()
        deleted.deleted = True
        first.children.append(deleted)
        # Undocumented types: one contains items, the other is one itself.
        folder = Node(next(self._ids), "Combos", 7, children=[self._item()])
        second.children.append(folder)
        second.children.append(Node(next(self._ids), "Gift card", 3, price=Decimal(25)))
        unpriced, free, twice = self._item(), self._item(), self._item()
        unpriced.price, free.price, twice.price = None, Decimal(0), Decimal(0)
        # Twice on one path, the first time free.
        second.children += [unpriced, free, twice, replace(twice, price=Decimal("4.5"))]
        if self._establishment == NAMELESS_AT:
            nameless = self._item()
            nameless.nameless = True
            first.children.append(nameless)

    def _planted(self) -> Iterator[Node]:
        for title in _EXCLUDED:
            category = self._category(title)
            category.children = [self._item() for _ in range(3)]
            yield category
        closed = self._category("Closed for winter")
        closed.deleted = True
        closed.children = [self._item(), self._item()]
        yield closed


def _discounts(prices: Random) -> dict[str, dict[str, Any]]:
    amounts: list[float] = [0.0, *(prices.randrange(50, 500) / 100 for _ in range(DISCOUNTS - 1))]
    return {
        str(9001 + place): {
            "id": 9001 + place,
            "checkTitle": f"REWARD {place + 1}",
            "discountAmount": amount,
            "discountType": ("amount", "percent")[place % 2],
        }
        for place, amount in enumerate(amounts)
    }
