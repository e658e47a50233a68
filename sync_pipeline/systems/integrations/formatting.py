"""From what a point of sale sends to what the signage product shows: one item at a time.

Which rules apply is in `rules`. What is decided here: what counts as no value, what a number is, and which
of a menu's nodes are items of which kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

from sync_pipeline.systems.integrations.rules import Field, Kind, MenuRules

Reason = Literal["deleted", "category", "unknown_type"]
"""Why an item is left out: it or what it is below was deleted; its category is excluded; its type does
not say what it is."""

Number = int | float | Decimal


class Node(NamedTuple):
    """One node of a menu with its own fields; what it inherits is not in here.

    Attributes:
        number: its place in the menu, from 1; what is above a node has a lower one.
        last: the highest number of the nodes below it, or its own.
        kind: what the list says that it is in; None in a tree.
        price: decimal digits, or None if the source sends none.
        calories: decimal digits.
    """

    number: int
    last: int
    kind: Kind | None
    type: str | None
    deleted: bool
    id: str | None
    path_id: str | None
    name: str | None
    description: str | None
    price: str | None
    calories: str | None
    out_of_stock: bool
    category: str | None
    category_id: str | None
    discount_type: str | None

    @property
    def mapping_id(self) -> str | None:
        """What identifies the item in its menu: its path, else its id; None if it has neither."""
        return self.path_id or self.id

    @property
    def has_price(self) -> bool:
        """Whether there is a price other than 0, which is what counts among duplicates."""
        return self.price is not None and Decimal(self.price) != 0


class NodeReader:
    """Finds the fields of raw nodes by the rules of one point of sale.

    Attributes:
        wanted: keys of a raw node that the rules look at; others need not be kept.
    """

    def __init__(self, rules: MenuRules) -> None:
        self._fields = {name: _split(paths) for name, paths in rules.fields.items()}
        self._prices = {kind: _split(paths) for kind, paths in rules.prices.items()}
        paths = [*self._fields.values(), *self._prices.values()]
        self.wanted = frozenset(path[0] for group in paths for path in group)

    def read(self, raw: dict[str, Any], kind: Kind | None, number: int, last: int) -> Node:
        """The node that a raw object describes."""

        def first(name: Field, convert: Callable[[Any], Any]) -> Any:
            return _first(raw, self._fields.get(name, ()), convert)

        return Node(
            number=number,
            last=last,
            kind=kind,
            type=first("type", _text),
            deleted=first("deleted", _truth) or False,
            id=first("id", _text),
            path_id=first("pathId", _text),
            name=first("name", _text),
            description=first("description", _text),
            price=_first(raw, self._prices[kind or "products"], _digits),
            calories=first("calories", _digits),
            out_of_stock=first("isOutOfStock", _truth) or False,
            category=first("category", _text),
            category_id=first("categoryId", _text),
            discount_type=first("discount_type", _text),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """What a node hands down to those below it.

    Attributes:
        last: the highest number of those.
        category: name and id of the category that they are in.
        group: name and id of the group of modifiers that they are in.
        left_out: why none of them is handed on.
    """

    last: int
    category: tuple[str | None, str | None] = (None, None)
    group: tuple[str | None, str | None] | None = None
    left_out: Reason | None = None


class Verdict(NamedTuple):
    """What becomes of a node: an item of a kind and category, or left out; all None if it is no item."""

    kind: Kind | None = None
    category: str | None = None
    category_id: str | None = None
    left_out: Reason | None = None


NO_ITEM = Verdict()


class Sorter:
    """Decides what the nodes of a menu are, by the rules of one point of sale."""

    def __init__(self, rules: MenuRules) -> None:
        self._rules = rules
        self._structure = rules.groups | rules.categories | rules.roots
        words = "|".join(re.escape(word) for word in rules.excluded)
        # Not \b, for which the underscore of OLO_Burgers is a letter.
        self._excluded = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE)

    def sort(self, node: Node, above: Place | None) -> tuple[Verdict, Place]:
        """What the node is, and what it hands down, given what is handed down to it."""
        above = above or Place(node.last)
        own = (node.category, node.category_id)
        category, group = above.category, above.group
        if node.kind is not None:
            category, group = own, own
        elif node.type in self._rules.categories:
            category = (node.name, node.id)
        elif node.type in self._rules.groups:
            group = (node.name, node.id)
        left_out = above.left_out or self._reason(node, category[0], group)
        below = Place(node.last, category, group, left_out)
        kind = node.kind or self._kind(node, group)
        if node.kind is None and node.type in self._structure:
            return NO_ITEM, below
        if left_out is None and kind is None:
            # What only holds others is passed through; anything else might have been an item.
            holds = node.last > node.number and node.price is None
            return (NO_ITEM if holds else Verdict(left_out="unknown_type")), below
        name, number = (group or category) if kind == "modifiers" else category
        return Verdict(kind, name, number, left_out), below

    def _kind(self, node: Node, group: object) -> Kind | None:
        if group is not None:
            return "modifiers"
        return "products" if node.type in self._rules.items else None

    def _reason(
        self, node: Node, category: str | None, group: tuple[str | None, str | None] | None
    ) -> Reason | None:
        if node.deleted:
            return "deleted"
        names = (category, group[0] if group else None)
        return "category" if any(name and self._excluded.search(name) for name in names) else None


def plain(digits: str | None) -> Number | None:
    """A number that JSON holds to the last digit; a Decimal only where a float would not."""
    if digits is None:
        return None
    exact = Decimal(digits)
    if exact == exact.to_integral_value():
        return int(exact)
    return number if Decimal(repr(number := float(exact))) == exact else exact


def _split(paths: tuple[str, ...]) -> tuple[tuple[str | int, ...], ...]:
    return tuple(
        tuple(int(step) if step.isdecimal() else step for step in path.split(".")) for path in paths
    )


def _first(
    raw: Any, paths: tuple[tuple[str | int, ...], ...], convert: Callable[[Any], Any]
) -> Any:
    for path in paths:
        value = convert(_at(raw, path))
        if value is not None:
            return value
    return None


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        match value, step:
            case dict(), str():
                value = value.get(step)
            case list(), int() if step < len(value):
                value = value[step]
            case _:
                return None
    return value


def _text(value: Any) -> str | None:
    """Text without what surrounds it; a number as it is written, 950285.0 as 950285; empty is none."""
    if isinstance(value, str):
        return value.strip() or None
    digits = _digits(value)
    return digits if digits is None else str(plain(digits))


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _digits(value: Any) -> str | None:
    """Decimal digits of a finite number, be it sent as one or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    text = str(value).strip()
    try:
        number = Decimal(text if "_" not in text else "")
    except InvalidOperation:
        return None
    # No price and no id has more, and the digits of 1e999999999 would fill the memory.
    return text if number.is_finite() and abs(number.adjusted()) < 30 else None
