"""A node of a menu, and its JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ITEM, GROUP, CATEGORY, ROOT = 1, 4, 6, 10


@dataclass(slots=True)
class Node:
    """One place in a menu; the same item may have several.

    Attributes:
        id: of the item; the ids from the root down to it are its path.
        title: for guests.
        type: one of the four above, or an undocumented number.
        price: None: no price attribute at all, which is not a price of 0.
        plu: the till's number, in one of the three types that it is sent as.
        description: a sentence.
        calories: None: no nutrition information.
        discounts: ids of discounts that apply.
        deleted: still sent, but not for sale.
        nameless: sent without id and path.
        children: below it.
    """

    id: int
    title: str
    type: int
    price: Decimal | None = None
    plu: str | float | None = None
    description: str = ""
    calories: int | None = None
    discounts: tuple[int, ...] = ()
    deleted: bool = False
    nameless: bool = False
    children: list[Node] = field(default_factory=list)

    def walk(self, above: str = "") -> Iterator[tuple[str, Node]]:
        """The node and all below it, each with its path, parents first."""
        path = path_below(above, self)
        yield path, self
        for child in self.children:
            yield from child.walk(path)

    def render(self, above: str, *, children_first: bool) -> dict[str, Any]:
        """The JSON of the node and all below it."""
        path = path_below(above, self)
        below = [child.render(path, children_first=children_first) for child in self.children]
        own = self.attributes(above)
        return {"children": below} | own if children_first else own | {"children": below}

    def attributes(self, above: str) -> dict[str, Any]:
        """The JSON of the node without its children."""
        names = {
            "itemMasterId": self.id,
            "itemPathKey": path_below(above, self),
            "parentPathKey": above or None,
        }
        return {
            **({} if self.nameless else names),
            "title": self.title,
            "itemType": self.type,
            "displayAttribute": {
                "plu": self.plu,
                "itemTitle": self.title,
                "screenTitle": self.title[:16],
                "checkTitle": self.title.upper()[:20],
                "kitchenTitle": self.title.upper()[:12],
                "description": self.description or None,
            },
            **self._price(),
            "nutritionInfo": {"calories": self.calories},
            "applicableDiscounts": [{"discountId": number} for number in self.discounts],
            "deleted": self.deleted,
        }

    def _price(self) -> dict[str, Any]:
        if self.price is None:
            return {}
        price = {"price": float(self.price), "priceValueId": self.id * 10, "portionTypeId": 1}
        return {"priceAttribute": {"prices": [price]}}


def path_below(above: str, node: Node) -> str:
    """The path of a node: the ids of all above it and its own."""
    return f"{above}-{node.id}" if above else str(node.id)
