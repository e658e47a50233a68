"""Decides which nodes of a menu are items, of which kind and in which category.

The rules are in `formats`, the fields of a node in `fields`.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sync_pipeline.systems.integrations.menu.fields import Node
from sync_pipeline.systems.integrations.menu.formats import Kind, MenuRules

Reason = Literal["deleted", "category", "unknown_type"]
"""Why an item is left out: it or a node above it was deleted; its category is excluded; its type is
unknown."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """What the nodes below a node inherit.

    Attributes:
        last: the highest number of those nodes.
        category: name and id of their category.
        group: name and id of their group of modifiers.
        left_out: why all of them are left out.
    """

    last: int
    category: tuple[str | None, str | None] = (None, None)
    group: tuple[str | None, str | None] | None = None
    left_out: Reason | None = None


class Classification(NamedTuple):
    """An item's kind and category, or why it is left out; all None if the node is not an item."""

    kind: Kind | None = None
    category: str | None = None
    category_id: str | None = None
    left_out: Reason | None = None


NOT_AN_ITEM = Classification()


class Classifier:
    """Classifies the nodes of a menu by the rules of one point of sale."""

    def __init__(self, rules: MenuRules) -> None:
        self._rules = rules
        self._structure = rules.groups | rules.categories | rules.roots
        words = "|".join(re.escape(word) for word in rules.excluded)
        # Not \b: it counts the underscore of OLO_Burgers as a letter.
        self._excluded = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE)

    def classify(self, node: Node, above: Inherited | None) -> tuple[Classification, Inherited]:
        """What the node is and what those below it inherit, given what it inherits itself."""
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
            return NOT_AN_ITEM, below
        if left_out is None and kind is None:
            # A mere container of other nodes is skipped; anything else might have been an item.
            contains = node.last > node.number and not node.names_price
            return (NOT_AN_ITEM if contains else Classification(left_out="unknown_type")), below
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
