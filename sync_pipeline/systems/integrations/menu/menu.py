"""One menu as records for the merge: products, modifiers and discounts in batches, from a spool on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, BinaryIO, Self

from sync_pipeline.systems.integrations.menu.classify import Reason
from sync_pipeline.systems.integrations.menu.fields import Node, plain
from sync_pipeline.systems.integrations.menu.formats import Kind, MenuRules
from sync_pipeline.systems.integrations.menu.parser import MenuNodes
from sync_pipeline.systems.integrations.menu.spool import Spool
from sync_pipeline.systems.integrations.sites import SiteConfig

Record = dict[str, Any]


class UnreadablePrice(float):
    """Stands in the place of an item whose price is not a number, so that the merge rejects this item alone.

    JSON has no such number, and the reason given for a refusal quotes its repr: “price '5,00' is not a
    finite number”. Any number in its place would be a price that nobody has set.

    Args:
        sent: what the source sends in place of a price.
    """

    _sent: str

    def __new__(cls, sent: str) -> Self:  # noqa: D102  as the class says
        self = super().__new__(cls, "nan")
        self._sent = sent
        return self

    def __repr__(self) -> str:
        return f"price {self._sent!r}"


@dataclass(frozen=True, kw_only=True)
class Menu:
    """The menu of one source configuration; a context manager that gives up its space on disk.

    Attributes:
        site: whose it is.
        generation: when the point of sale made it, in its own words; empty if it does not say.
        bytes: size of the reply, decompressed.
        calls: attempts that it took to get it.
    """

    site: SiteConfig
    generation: str
    bytes: int
    calls: int = 1
    _spool: Spool = field(repr=False)

    def batches(self, kind: Kind) -> Iterator[list[Record]]:
        """Records of a kind, at most 1,000 in a list; each call begins anew.

        A record has the keys `mappingId` (text or None), `pathId`, `name`, `description`, `price` (a
        number), `calories` (a number or None), `isOutOfStock`, `category` and `categoryId`; `data`, which
        is all of these and `priced`: whether the source named a price at all; and the five keys of
        `SiteConfig.target`. Products have an `item_type` besides, discounts a `discount_amount` and a
        `discount_type`. Where what is sent for a price is no number, the price is that text and `data` is
        an `UnreadablePrice`.
        """
        target = self.site.target
        for batch in self._spool.batches(kind):
            yield [_record(kind, item, target) for item in batch]

    @property
    def left_out(self) -> Counter[Reason]:
        """How many items are not handed on, by reason."""
        return self._spool.left_out

    @property
    def duplicates(self) -> Counter[Kind]:
        """How many items were dropped for another with the same mappingId, by kind."""
        return self._spool.duplicates

    def close(self) -> None:
        """Free the space on disk; harmless when done."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_menu(
    file: BinaryIO,
    rules: MenuRules,
    site: SiteConfig,
    *,
    generation: str = "",
    calls: int = 1,
    blot: Callable[[str], str] = str,
) -> Menu:
    """The menu in a file of JSON; `blot` takes secrets out of what messages quote of it.

    Raises:
        NotAMenu: it holds no menu.
        SourceRefused: it says that the source could not make one.
        Undecodable: it is cut short or is not JSON.
    """
    spool = Spool()
    try:
        MenuNodes(rules, spool.add, blot).read(file)
        spool.sort_out(rules)
        size = file.seek(0, 2)
    except BaseException:
        spool.close()
        raise
    return Menu(site=site, generation=generation, bytes=size, calls=calls, _spool=spool)


def _record(
    kind: Kind, item: tuple[Node, str | None, str | None], target: dict[str, Any]
) -> Record:
    node, category, category_id = item
    formatted: Record = {
        "mappingId": node.mapping_id,
        "pathId": node.path_id,
        "name": node.name,
        "description": node.description,
        "price": node.unreadable or plain(node.price) or 0,
        "calories": plain(node.calories),
        "isOutOfStock": bool(node.out_of_stock),
        "category": category,
        "categoryId": category_id,
    }
    whole = {**formatted, "priced": node.price is not None}
    data = whole if node.unreadable is None else UnreadablePrice(node.unreadable)
    record = {**formatted, **target, "data": data}
    if kind == "products":
        record["item_type"] = "product"
    if kind == "discounts":
        record["discount_amount"] = formatted["price"]
        record["discount_type"] = node.discount_type
    return record
