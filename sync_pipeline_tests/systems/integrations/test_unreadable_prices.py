"""A menu with prices that are not numbers, all the way into the product's tables."""

import datetime as dt
import io
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.stream import EntityBatches, SourceOutcome
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.integrations.menu.formats import QU, Kind
from sync_pipeline.systems.integrations.menu.menu import read_menu
from sync_pipeline_tests.fixtures.bubble_system import copy_of
from sync_pipeline_tests.fixtures.integrations import config_of
from sync_pipeline_tests.fixtures.sample_system import Workbench, attached

PRODUCT = INTEGRATIONS["integration_product"]
DISCOUNT = INTEGRATIONS["integration_discount"]
LISTS = {PRODUCT.name: "menuItems", DISCOUNT.name: "discounts"}


@pytest.fixture
def product(server: EmbeddedServer, menus_template: str) -> Iterator[Workbench]:
    """The signage product before its first sync."""
    with copy_of(server, menus_template) as dsn:
        bench = attached(dsn, INTEGRATIONS)
        yield bench
        bench.connection.close()


def sync(product: Workbench, entity: Entity, *items: dict[str, Any]) -> MergeResult:
    """Merge a whole menu of such products or discounts."""
    menu = json.dumps({"menuItems": [], LISTS[entity.name]: items})
    with read_menu(io.BytesIO(menu.encode()), QU, config_of()) as read:
        part = read.config.config_id
        outcome = SourceOutcome(complete=True, partitions=(part,))
        batches = read.batches(cast("Kind", entity.source))
        scope = Scope(mode="full", partition=part)
        stream = EntityBatches(entity, batches, scope, outcome, dt.timedelta(0), partition=part)
        return product.merge(stream)[0]


def item(number: int, price: Any) -> dict[str, Any]:
    return {"id": number, "name": f"Item {number}", "prices": {"prices": [{"price": price}]}}


def test_an_item_whose_price_cannot_be_read_is_rejected_alone_and_keeps_its_last_price(
    product: Workbench,
) -> None:
    sync(product, PRODUCT, item(1, 5), item(2, 6))

    counts = sync(product, PRODUCT, item(1, "5,50"), item(2, 7), item(3, "NaN")).counts

    assert (counts.read, counts.rejected, counts.updated) == (3, 2, 1)
    kept = product.rows(
        "select external_id, (data ->> 'price')::int as price, is_missing"
        " from integration_products order by 1"
    )
    assert [tuple(row.values()) for row in kept] == [("1", 5, False), ("2", 7, False)]
    reasons = {r["payload"]["price"]: r["reason"] for r in product.rejected()}
    assert reasons.keys() == {"5,50", "NaN"}
    for sent, reason in reasons.items():
        assert reason.endswith(f"data → data: price {sent!r} is not a finite number")

    counts = sync(product, PRODUCT, item(1, "5.50"), item(2, 7), item(3, 0)).counts

    assert (counts.rejected, counts.inserted, counts.updated) == (0, 1, 1)


def test_a_discount_in_percent_is_rejected_in_its_own_words(product: Workbench) -> None:
    sync(product, DISCOUNT, {**item(1, 9), "discountAmount": "10%"}, item(2, 9))

    assert product.rows("select external_id, discount_amount::int from integration_discounts") == [
        {"external_id": "2", "discount_amount": 9}
    ]
    [rejected] = product.rejected()
    assert rejected["reason"].endswith("discount_amount → discount_amount: '10%' is not a number")
