"""From what a point of sale sends to what the signage product shows: one item at a time.

Which rules apply is in `rules`, and how the fields of a node are found in `reading`. What is decided here:
which of a menu's nodes are items of which kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sync_pipeline.systems.integrations.menu.fields import Node
from sync_pipeline.systems.integrations.menu.formats import Kind, MenuRules

Reason = Literal["deleted", "category", "unknown_type"]
"""Why an item is left out: it or what it is below was deleted; its category is excluded; its type does
not say what it is."""


@dataclass(frozen=True, slots=True)
class Inherited:
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


class Classification(NamedTuple):
    """What becomes of a node: an item of a kind and category, or left out; all None if it is no item."""

    kind: Kind | None = None
    category: str | None = None
    category_id: str | None = None
    left_out: Reason | None = None


NO_ITEM = Classification()


class Sorter:
    """Decides what the nodes of a menu are, by the rules of one point of sale."""

    def __init__(self, rules: MenuRules) -> None:
        self._rules = rules
        self._structure = rules.groups | rules.categories | rules.roots
        words = "|".join(re.escape(word) for word in rules.excluded)
        # Not \b, for which the underscore of OLO_Burgers is a letter.
        self._excluded = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE)

    def sort(self, node: Node, above: Inherited | None) -> tuple[Classification, Inherited]:
        """What the node is, and what it hands down, given what is handed down to it."""
        above = above or Inherited(node.last)
        own = (node.category, node.category_id)
        category, group = above.category, above.group
        if node.kind is not None:
            category, group = own, own
        elif node.type in self._rules.categories:
            category = (node.name, node.id)
        elif node.type in self._rules.groups:
            group = (node.name, node.id)
        left_out = above.left_out or self._reason(node, category[0], group)
        below = Inherited(node.last, category, group, left_out)
        kind = node.kind or self._kind(node, group)
        if node.kind is None and node.type in self._structure:
            return NO_ITEM, below
        if left_out is None and kind is None:
            # What only holds others is passed through; anything else might have been an item.
            holds = node.last > node.number and not node.names_price
            return (NO_ITEM if holds else Classification(left_out="unknown_type")), below
        name, number = (group or category) if kind == "modifiers" else category
        return Classification(kind, name, number, left_out), below

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
