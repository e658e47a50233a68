"""A menu as JSON in chunks; extra items are generated while it is sent."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson

from sync_pipeline.simulators.integrations.node import CATEGORY, GROUP, ITEM, Node
from sync_pipeline.simulators.integrations.options import Options
from sync_pipeline.simulators.integrations.sample_menus import SampleMenu, extra_category

EXTRA_SIZE = 250


def tree(menu: SampleMenu, context: dict[str, Any], options: Options) -> Iterator[bytes]:
    """The menu as a tree, without a wrapper. `menu` is rendered at once, only extra items lazily."""
    first = options.children_first
    above = str(menu.root.id)
    snapshot = {"menuSnapshotId": 700_001, "context": context}
    fixed = [orjson.dumps(node.render(above, children_first=first)) for node in menu.root.children]
    extra = (
        orjson.dumps(category.render(above, children_first=first))
        for category in _extras(options.extra_items)
    )
    discounts = b'"discounts":' + orjson.dumps(menu.discounts)
    attributes = orjson.dumps(menu.root.attributes(""))
    around = (b",".join([discounts, orjson.dumps(snapshot)[1:-1]]), attributes[1:-1])
    return _assembled(fixed, extra, around, children_first=first)


def flat(menu: SampleMenu) -> bytes:
    """The menu in the older shape: three lists, with the category or group in each item."""
    lists: dict[str, list[dict[str, Any]]] = {"menuItems": [], "modifiers": []}
    _flatten(menu.root, "", {}, lists)
    return orjson.dumps(lists | {"discounts": list(menu.discounts.values())})


def _assembled(
    fixed: list[bytes], extra: Iterator[bytes], around: tuple[bytes, bytes], *, children_first: bool
) -> Iterator[bytes]:
    outer, root = around
    if children_first:
        yield b"{" + outer + b',"children":[{"children":['
    else:
        yield b'{"children":[{' + root + b',"children":['
    yield b",".join(fixed)
    for category in extra:
        yield b"," + category
    yield b"]," + root + b"}]}" if children_first else b"]}]," + outer + b"}"


def _extras(items: int) -> Iterator[Node]:
    for number, done in enumerate(range(0, items, EXTRA_SIZE)):
        yield extra_category(number, min(EXTRA_SIZE, items - done))


def _flatten(
    node: Node, above: str, place: dict[int, Node], lists: dict[str, list[dict[str, Any]]]
) -> None:
    if node.deleted:
        return
    path = f"{above}-{node.id}" if above else str(node.id)
    if node.type in (GROUP, CATEGORY):
        place = place | {node.type: node}
    if node.type == ITEM:
        group = place.get(GROUP)
        lists["modifiers" if group else "menuItems"].append(_flat_item(node, path, place))
    for child in node.children:
        _flatten(child, path, place, lists)


def _flat_item(node: Node, path: str, place: dict[int, Node]) -> dict[str, Any]:
    key = "modifierGroup" if GROUP in place else "menuCategory"
    holder = place.get(GROUP) or place.get(CATEGORY)
    named = {} if node.nameless else {"id": node.id, "pathId": path}
    price = float(node.price if node.price is not None else Decimal(0))
    return {
        **named,
        "name": node.title,
        "description": node.description or None,
        "calories": node.calories,
        "isOutOfStock": False,
        **({key: {"id": holder.id, "name": holder.title}} if holder else {}),
        **({"prices": {"prices": [{"price": price}]}} if node.price is not None else {}),
    }
