"""Searching a table: constraints, order, and the page that a cursor asks for.

As in Bubble, the order among things that compare equal differs between two requests, unless the
last thing to sort by is the id. A page therefore depends on the number of the request.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sync_pipeline.simulators.bubble.constraints import Constraint, predicate, stored_form
from sync_pipeline.simulators.bubble.schema import Field
from sync_pipeline.simulators.bubble.table import Table, Thing
from sync_pipeline.simulators.seeded_random import seeded_random

RANDOM_SORTING = "_random_sorting"
KEPT_RESULTS = 16


@dataclass(frozen=True, slots=True)
class Order:
    """One field to sort by."""

    field: Field
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed search; `text` identifies it.

    Attributes:
        text: the parameters as they came.
        constraints: all of them must hold.
        order: what to sort by, in turn; empty for random order.
    """

    text: str
    constraints: tuple[Constraint, ...]
    order: tuple[Order, ...]


class Searcher:
    """Answers searches of one table, and keeps the last results while the table stays the same."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._kept: OrderedDict[str, list[Thing]] = OrderedDict()
        self._kept_for = -1
        self._requests = 0

    def count(self, query: Query) -> int:
        """How many things the search finds."""
        return len(self._results(query))

    def page(self, query: Query, start: int, size: int) -> list[Thing]:
        """Things from rank `start`; equal ones in an order that the next request does not keep."""
        self._requests += 1
        results = self._results(query)
        start, end = max(start, 0), max(start, 0) + max(size, 0)
        if any(order.field.stored == "_id" for order in query.order):
            return results[start:end]
        return _shuffled_page(results, start, end, query.order, seed=self._requests)

    def _results(self, query: Query) -> list[Thing]:
        if self._kept_for != self._table.revision:
            self._kept.clear()
            self._kept_for = self._table.revision
        if query.text not in self._kept:
            self._kept[query.text] = self._search(query)
            if len(self._kept) > KEPT_RESULTS:
                self._kept.popitem(last=False)
        return self._kept[query.text]

    def _search(self, query: Query) -> list[Thing]:
        sorted_by, things, left = self._candidates(query)
        for holds in [predicate(constraint) for constraint in left]:
            things = [thing for thing in things if holds(thing.record)]
        if sorted_by is not None and _same_direction(sorted_by, query.order):
            return things[::-1] if query.order[0].descending else things
        for order in reversed(query.order):
            things.sort(key=_sort_key(order.field), reverse=order.descending)
        return things

    def _candidates(self, query: Query) -> tuple[str | None, list[Thing], list[Constraint]]:
        """The field that the candidates are sorted by, the candidates, and what is left to check."""
        constraints = list(query.constraints)
        for constraint in constraints:
            if constraint.field.stored == "_id" and constraint.type in ("equals", "in"):
                uids = [constraint.value] if constraint.type == "equals" else constraint.value
                rest = [other for other in constraints if other is not constraint]
                return None, self._table.find(sorted(uids)), rest
        preferred = query.order[0].field.stored if query.order else None
        sorted_by, things = self._table.between(constraints, preferred=preferred)
        return sorted_by, things, [c for c in constraints if not _is_span(c, sorted_by)]


def _is_span(constraint: Constraint, name: str) -> bool:
    return constraint.field.stored == name and constraint.type in ("greater than", "less than")


def _same_direction(name: str, orders: Sequence[Order]) -> bool:
    """Whether the order is that of the index on `name`, forwards or backwards."""
    names = [order.field.stored for order in orders]
    directions = {order.descending for order in orders}
    return names in ([name], [name, "_id"]) and len(directions) == 1


def _sort_key(field: Field) -> Callable[[Thing], Any]:
    name, form = field.stored, stored_form(field)

    def key(thing: Thing) -> tuple[bool, Any]:
        value = form(thing.record.get(name))
        return (value is None, 0 if value is None else value)

    return key


def _shuffled_page(
    results: list[Thing], start: int, end: int, orders: Sequence[Order], *, seed: int
) -> list[Thing]:
    """The page after every run of equal things that it touches was shuffled."""
    keys = [_sort_key(order.field) for order in orders]

    def key(thing: Thing) -> list[Any]:
        return [make(thing) for make in keys]

    first, last = min(start, len(results)), min(end, len(results))
    while 0 < first < len(results) and key(results[first - 1]) == key(results[first]):
        first -= 1
    while 0 < last < len(results) and key(results[last - 1]) == key(results[last]):
        last += 1
    rng = seeded_random("ties", seed)
    shuffled: list[Thing] = []
    for _, run in groupby(results[first:last], key):
        equal = list(run)
        rng.shuffle(equal)
        shuffled.extend(equal)
    return shuffled[start - first : end - first]
