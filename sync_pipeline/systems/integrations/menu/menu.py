"""One menu as records for the merge: products, modifiers and discounts in batches, from a spool on disk."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Self

from sync_pipeline.systems.integrations.menu.classify import Reason
from sync_pipeline.systems.integrations.menu.fields import Node, plain
from sync_pipeline.systems.integrations.menu.formats import Kind, MenuRules
from sync_pipeline.systems.integrations.menu.parser import MenuParser
from sync_pipeline.systems.integrations.menu.spool import Spool
from sync_pipeline.systems.integrations.source_configs import SourceConfig

Record = dict[str, Any]


class UnreadablePrice(float):
    """A NaN in place of an item whose price is not a number: the merge rejects this item alone.

    JSON has no NaN, and the reason of the rejection quotes the repr: “price '5,00' is not a finite number”.
    Any number in its place would be a price that nobody has set.

    Args:
        sent: what the source sent as the price.
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
    """The menu of one source configuration; a context manager that frees its space on disk.

    Attributes:
        config: the configuration.
        generation: the point of sale's version of the menu, a time; empty if the response has none.
        bytes: size of the response, decompressed.
        calls: attempts that it took to get it.
    """

    config: SourceConfig
    generation: str
    bytes: int
    calls: int = 1
    _spool: Spool = field(repr=False)

    def batches(self, kind: Kind) -> Iterator[list[Record]]:
        """Records of a kind, at most 1,000 in a list; each call starts over.

        A record has the keys `mappingId` (text or None), `pathId`, `name`, `description`, `price` (a
        number), `calories` (a number or None), `isOutOfStock`, `category` and `categoryId`; `data`, which
        is all of these and `priced`: whether the source named a price at all; and the five keys of
        `SourceConfig.row_values`. Products have an `item_type` besides, discounts a `discount_amount` and a
        `discount_type`. If the price sent is not a number, the price is that text and `data` is an
        `UnreadablePrice`.
        """
        row_values = self.config.row_values
        for batch in self._spool.batches(kind):
            yield [_record(kind, item, row_values) for item in batch]

    @property
    def left_out(self) -> Counter[Reason]:
        """How many items are left out, by reason."""
        return self._spool.left_out

    @property
    def duplicates(self) -> Counter[Kind]:
        """How many items were dropped as duplicates of a mappingId, by kind."""
        return self._spool.duplicates

    def close(self) -> None:
        """Free the space on disk; harmless when closed."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_menu(
    file: BinaryIO,
    rules: MenuRules,
    config: SourceConfig,
    *,
    generation: str = "",
    calls: int = 1,
    redact: Callable[[str], str] = str,
) -> Menu:
    """The menu in a file of JSON; `redact` removes secrets from what messages quote of it.

    Raises:
        NotAMenu: it holds no menu.
        SourceRefused: it reports that the source could not make one.
        InvalidResponse: it is cut short or is not JSON.
    """
    spool = Spool()
    try:
        MenuParser(rules, spool.add, redact).read(file)
        spool.classify(rules)
        size = file.seek(0, 2)
    except BaseException:
        spool.close()
        raise
    return Menu(config=config, generation=generation, bytes=size, calls=calls, _spool=spool)


def _record(
    kind: Kind, item: tuple[Node, str | None, str | None], row_values: dict[str, Any]
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
    complete = {**formatted, "priced": node.price is not None}
    data = complete if node.unreadable is None else UnreadablePrice(node.unreadable)
    record = {**formatted, **row_values, "data": data}
    if kind == "products":
        record["item_type"] = "product"
    if kind == "discounts":
        record["discount_amount"] = formatted["price"]
        record["discount_type"] = node.discount_type
    return record
