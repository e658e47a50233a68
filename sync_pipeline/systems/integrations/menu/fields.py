"""Extracts the fields of one node by the rules of its point of sale.

Decides what counts as empty and what is a number. A price that is not a number is kept as it was sent,
because any number in its place would be a price that nobody has set.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from sync_pipeline.sources.http.error_text import truncate
from sync_pipeline.systems.integrations.menu.formats import Field, Kind, MenuRules

Number = int | float | Decimal

DIGITS = 30
"""Most digits of an id or of calories, before or after the point: 1e999999999 would fill the memory."""
PRICE_DIGITS = 300
"""Most digits of a price, however absurd: a floating-point number holds no more."""


class Node(NamedTuple):
    """One node of a menu with its own fields, without inherited ones.

    Attributes:
        number: its position in the menu, from 1, in preorder.
        last: the highest number of the nodes below it, or its own.
        kind: the kind of the list that it is in; None in a tree.
        price: decimal digits; None if there is no price or it is not a number.
        unreadable: the price as sent, truncated, if it is not a number; else None.
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
    unreadable: str | None
    calories: str | None
    out_of_stock: bool
    category: str | None
    category_id: str | None
    discount_type: str | None

    @property
    def mapping_id(self) -> str | None:
        """Identifies the item in its menu: its path, else its id; None if it has neither."""
        return self.path_id or self.id

    @property
    def has_price(self) -> bool:
        """Whether there is a price other than 0; of duplicates, one with a price is kept."""
        return self.price is not None and Decimal(self.price) != 0

    @property
    def names_price(self) -> bool:
        """Whether the source sent a price, be it 0 or not a number."""
        return self.price is not None or self.unreadable is not None


class NodeReader:
    """Extracts the fields of raw nodes by the rules of one point of sale.

    Attributes:
        keys: keys of a raw node that the rules read; others need not be kept.
    """

    def __init__(self, rules: MenuRules) -> None:
        self._fields = {name: _split(paths) for name, paths in rules.fields.items()}
        self._prices = {kind: _split(paths) for kind, paths in rules.prices.items()}
        paths = [*self._fields.values(), *self._prices.values()]
        self.keys = frozenset(path[0] for group in paths for path in group)

    def read(self, raw: dict[str, Any], kind: Kind | None, number: int, last: int) -> Node:
        """The node that a raw object describes."""

        def first(name: Field, convert: Callable[[Any], Any]) -> Any:
            return _first(raw, self._fields.get(name, ()), convert)

        sent = _first(raw, self._prices[kind or "products"], _present)
        price = _digits(sent, PRICE_DIGITS)
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
            price=price,
            unreadable=None if sent is None or price is not None else _as_sent(sent),
            calories=first("calories", _digits),
            out_of_stock=first("isOutOfStock", _truth) or False,
            category=first("category", _text),
            category_id=first("categoryId", _text),
            discount_type=first("discount_type", _text),
        )


def plain(digits: str | None) -> Number | None:
    """A number that JSON represents exactly; a Decimal only if a float would lose digits."""
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
        for found in _at(raw, path):
            value = convert(found)
            if value is not None:
                return value
    return None


def _at(value: Any, path: tuple[str | int, ...]) -> Iterator[Any]:
    """The values at a path: one, none, or with `*` several."""
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    match value, step:
        case dict(), str() if step in value:
            yield from _at(value[step], rest)
        case list(), "*":
            for member in value:
                yield from _at(member, rest)
        case list(), int() if step < len(value):
            yield from _at(value[step], rest)
        case _:
            return


def _present(value: Any) -> Any:
    """The value, or None if it is blank text."""
    return None if isinstance(value, str) and not value.strip() else value


def _as_sent(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else json.dumps(value, default=str)
    return truncate(text)


def _text(value: Any) -> str | None:
    """Stripped text, None if empty; a number in its shortest form, 950285.0 as 950285."""
    if isinstance(value, str):
        return value.strip() or None
    digits = _digits(value)
    return digits if digits is None else str(plain(digits))


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _digits(value: Any, most: int = DIGITS) -> str | None:
    """Decimal digits of a finite number, sent as number or text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    text = str(value).strip()
    try:
        number = Decimal(text if "_" not in text else "")
    except InvalidOperation:
        return None
    return text if number.is_finite() and abs(number.adjusted()) < most else None
