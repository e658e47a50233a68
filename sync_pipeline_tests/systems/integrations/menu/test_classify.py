"""From the JSON of a point of sale to records: where items are found, what they are, what is left out."""

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from sync_pipeline.errors import ConversionError, SourceRefused
from sync_pipeline.model.types import jsonb, numeric
from sync_pipeline.sources.http.error_text import MAX_LENGTH
from sync_pipeline.sources.http.retry import InvalidResponse
from sync_pipeline.systems.integrations.menu.formats import KINDS, QU, Kind
from sync_pipeline.systems.integrations.menu.menu import Menu, Record, read_menu
from sync_pipeline.systems.integrations.menu.parser import NotAMenu
from sync_pipeline_tests.fixtures.integrations import QU_SOURCE, config_of


def menu_of(value: Any) -> Menu:
    text = value if isinstance(value, str) else json.dumps(value)
    return read_menu(io.BytesIO(text.encode()), QU, config_of("1001"))


def records(menu: Menu, kind: Kind) -> list[Record]:
    return [record for batch in menu.batches(kind) for record in batch]


def of(value: Any, kind: Kind = "products") -> list[Record]:
    with menu_of(value) as menu:
        return records(menu, kind)


def column(found: Sequence[Record], key: str) -> list[Any]:
    return [record[key] for record in found]


def node(
    number: int | str, kind: int | str, *children: dict[str, Any], price: Any = None, **more: Any
) -> dict[str, Any]:
    """A node whose path is its number: the reader must not care what paths look like."""
    priced = {} if price is None else {"priceAttribute": {"prices": [{"price": price}]}}
    named = {"itemMasterId": number, "itemPathKey": f"p{number}", "title": f"Node {number}"}
    return {**named, "itemType": kind, **priced, **more, "children": list(children)}


def tree(*children: dict[str, Any]) -> dict[str, Any]:
    return {"children": [node(1, 10, *children)]}


def flat(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"menuItems": list(items), **more}


def item(path: Any, price: Any = None, category: str = "Burgers", **more: Any) -> dict[str, Any]:
    priced = {} if price is None else {"prices": {"prices": [{"price": price}]}}
    place = {"menuCategory": {"id": 7, "name": category}}
    return {"pathId": path, "name": f"Item {path}", **place, **priced, **more}


def children_first(value: Any) -> Any:
    """The same JSON with the keys of all objects in the opposite order."""
    if isinstance(value, dict):
        return {key: children_first(value[key]) for key in reversed(value)}
    return [children_first(member) for member in value] if isinstance(value, list) else value


BURGER = node(
    3, 1,
    node(4, 4, node(5, 1, price=0.5), node(6, 2), title="Toppings"),
    price=12.95,
    displayAttribute={"description": "Hot", "plu": 950285.0},
    nutritionInfo={"calories": 320},
)  # fmt: skip


class TestTree:
    @pytest.mark.parametrize("order", ["given", "reversed"])
    @pytest.mark.parametrize("wrapped", [True, False])
    def test_items_know_their_category_and_modifiers_their_group(
        self, order: str, *, wrapped: bool
    ):
        menu: Any = tree(node(2, 6, BURGER, title="Burgers"), node(8, 6, node(9, 1)))
        menu = {"value": menu, "succeed": True, "errors": []} if wrapped else menu
        menu = children_first(menu) if order == "reversed" else menu
        products = {record["mappingId"]: record for record in of(menu)}
        assert products.keys() == {"p3", "p9"}
        burger = products["p3"]
        formatted = {
            "mappingId": "p3",
            "pathId": "p3",
            "name": "Node 3",
            "description": "Hot",
            "price": 12.95,
            "calories": 320,
            "isOutOfStock": False,
            "category": "Burgers",
            "categoryId": "2",
        }
        assert burger == {
            **formatted,
            "wand_source_id": QU_SOURCE,
            "source_config_id": config_of("1001").config_id,
            "concept_id": None,
            "company_id": None,
            "site_id": 1001,
            "item_type": "product",
            "data": {**formatted, "priced": True},
        }
        modifiers = {record["mappingId"]: record for record in of(menu, "modifiers")}
        assert modifiers.keys() == {"p5", "p6"}
        assert {(m["category"], m["categoryId"]) for m in modifiers.values()} == {("Toppings", "4")}
        assert "item_type" not in modifiers["p5"]

    def test_the_order_is_that_of_the_menu_for_each_kind_and_each_reading(self):
        with menu_of(tree(*(node(n, 1) for n in range(10, 2_600)))) as menu:
            batches = list(menu.batches("products"))
            assert [len(batch) for batch in batches] == [1000, 1000, 590]
            paths = [record["pathId"] for batch in batches for record in batch]
            assert paths == [f"p{n}" for n in range(10, 2_600)]
            assert records(menu, "products")[0] == batches[0][0]

    def test_deleted_nodes_and_all_below_them_are_left_out_and_counted(self):
        menu = tree(
            node(2, 6, node(3, 1, node(4, 4, node(5, 1))), deleted=True),
            node(6, 6, node(7, 1, deleted=True), node(8, 1), deleted=False),
            node(9, 6, deleted=True),
        )
        with menu_of(menu) as read:
            assert column(records(read, "products"), "mappingId") == ["p8"]
            assert records(read, "modifiers") == []
            assert read.left_out == {"deleted": 3}

    @pytest.mark.parametrize(
        "title", ["OLO", "OLO Burgers", "Burgers (3PD)", "3PO_Drinks", "All Items", "ALL ITEMS!"]
    )
    def test_what_is_below_an_excluded_category_is_left_out_at_any_depth(self, title: str):
        below = node(3, 6, node(4, 1, node(5, 4, node(6, 1)), price=1))
        menu = tree(node(2, 6, below, title=title), node(7, 6, node(8, 1)))
        with menu_of(menu) as read:
            assert column(records(read, "products"), "mappingId") == ["p8"]
            assert records(read, "modifiers") == []
            assert read.left_out == {"category": 2}

    @pytest.mark.parametrize("title", ["COLOSSAL BURGERS", "Polo Shirts", "13PO5", "Small Items"])
    def test_an_excluded_word_counts_only_as_a_whole_word(self, title: str):
        assert len(of(tree(node(2, 6, node(3, 1), title=title)))) == 1

    def test_excluded_groups_keep_their_modifiers_out(self):
        group = node(4, 4, node(5, 1), title="OLO toppings")
        with menu_of(tree(node(3, 1, group))) as menu:
            assert [len(records(menu, kind)) for kind in KINDS] == [1, 0, 0]
            assert menu.left_out == {"category": 1}

    def test_nodes_of_unknown_types_are_passed_through_or_counted(self):
        folder = node(2, 7, node(3, 1), node(4, 6, node(5, 1)))
        with menu_of(tree(folder, node(6, 3), node(7, "odd", node(8, 1), price=2))) as menu:
            assert column(records(menu, "products"), "mappingId") == ["p3", "p5", "p8"]
            assert menu.left_out == {"unknown_type": 2}

    def test_one_item_on_two_paths_is_two_records(self):
        menu = tree(
            node(2, 6, {**node(3, 1, price=1), "itemPathKey": "1-2-3"}),
            node(4, 6, {**node(3, 1, price=2), "itemPathKey": "1-4-3"}),
        )
        assert [(r["mappingId"], r["price"]) for r in of(menu)] == [("1-2-3", 1), ("1-4-3", 2)]

    def test_discounts_come_as_a_dict_by_id(self):
        menu = {
            **tree(),
            "discounts": {
                "91": {
                    "id": 91,
                    "checkTitle": "FREE",
                    "discountAmount": 0,
                    "discountType": "amount",
                },
                "92": {"checkTitle": "TEN", "discountAmount": 10},
                "93": {"id": 93, "prices": {"prices": [{"price": 2.5}]}},
                "94": {"id": 94},
            },
        }
        found = of(menu, "discounts")
        found_prices = [(d["mappingId"], d["discount_amount"], d["data"]["priced"]) for d in found]
        assert found_prices == [
            ("91", 0, True),
            ("92", 10, True),
            ("93", 2.5, True),
            ("94", 0, False),
        ]
        assert column(found, "name") == ["FREE", "TEN", None, None]
        assert column(found, "discount_type") == ["amount", None, None, None]


class TestFlat:
    def test_the_older_shape_names_category_and_group_in_each_item(self):
        modifier = {"id": 4, "pathId": "7-4", "modifierGroup": {"id": 8, "name": "Sauces"}}
        menu = flat(item("7-3", 1), modifiers=[modifier], discounts=[{"id": 9, "name": "Ten"}])
        with menu_of(menu) as read:
            product, other = records(read, "products")[0], records(read, "modifiers")[0]
            assert (product["category"], product["categoryId"]) == ("Burgers", "7")
            assert (other["category"], other["categoryId"]) == ("Sauces", "8")
            assert records(read, "discounts")[0]["mappingId"] == "9"

    def test_items_of_excluded_categories_and_deleted_ones_are_left_out(self):
        menu = flat(item("a", category="OLO Burgers"), item("b", deleted=True), item("c"))
        with menu_of(menu) as read:
            assert column(records(read, "products"), "mappingId") == ["c"]
            assert read.left_out == {"category": 1, "deleted": 1}


class TestIdentity:
    @pytest.mark.parametrize(
        ("ids", "mapping_id"),
        [
            ({"pathId": "7-3", "id": 3}, "7-3"),
            ({"pathId": "", "id": 3}, "3"),
            ({"pathId": None, "id": 950285.0}, "950285"),
            ({"id": " A1 "}, "A1"),
            ({"pathId": " ", "id": ""}, None),
            ({}, None),
        ],
    )
    def test_an_item_is_identified_by_its_path_else_its_id(
        self, ids: dict[str, Any], mapping_id: str | None
    ):
        (record,) = of(flat({"name": "Pie", **ids}))
        assert (record["mappingId"], record["data"]["mappingId"]) == (mapping_id, mapping_id)

    def test_items_without_either_are_all_handed_on_to_be_rejected(self):
        with menu_of(flat({"name": "Pie"}, {"name": "Tart"})) as menu:
            assert column(records(menu, "products"), "name") == ["Pie", "Tart"]
            assert not menu.duplicates.total()

    @pytest.mark.parametrize(
        ("prices", "kept"),
        [
            ([1, 2], 1),
            ([0, 2, 3], 2),
            ([None, 2], 2),
            ([None, 0], 0),
            ([0, 0], 0),
            ([5, 0], 5),
        ],
    )
    def test_of_duplicates_the_first_stays_unless_only_a_later_one_has_a_price(
        self, prices: list[int | None], kept: int
    ):
        with menu_of(flat(item("b", 9), *(item("a", price) for price in prices))) as menu:
            found = records(menu, "products")
            assert [r["price"] for r in found if r["mappingId"] == "a"] == [kept]
            assert menu.duplicates == {"products": len(prices) - 1}

    def test_a_product_and_a_modifier_of_one_id_are_no_duplicates(self):
        with menu_of(flat(item("a"), modifiers=[item("a")])) as menu:
            assert [len(records(menu, kind)) for kind in KINDS] == [1, 1, 0]


class TestValues:
    @pytest.mark.parametrize(
        ("sent", "price", "priced"),
        [
            ("12.95", 12.95, True),
            ("0", 0, True),
            ("0.0", 0, True),
            ("4.00", 4, True),
            ('"3.25"', 3.25, True),
            ("1e2", 100, True),
            ("1e31", 10**31, True),
            ('"0.00000000000000000000000000000000001"', 1e-35, True),
            ("null", 0, False),
            ('" "', 0, False),
        ],
    )
    def test_0_is_a_price_and_differs_from_no_price(self, sent: str, price: float, *, priced: bool):
        text = '{"menuItems": [{"id": 1, "prices": {"prices": [{"price": %s}]}}]}'
        (record,) = of(text % sent)
        assert (record["price"], record["data"]["priced"]) == (price, priced)
        assert type(record["price"]) is type(price)
        assert json.loads(jsonb.convert(record["data"]))["price"] == price

    @pytest.mark.parametrize(
        ("sent", "text"),
        [
            ('"5,00"', "5,00"),
            ('" $5.00 "', "$5.00"),
            ('"NaN"', "NaN"),
            ('"-Infinity"', "-Infinity"),
            ('"market price"', "market price"),
            ('"1_000"', "1_000"),
            ("true", "true"),
            ('{"amount": 5}', '{"amount": 5}'),
            ("1e999999999", '"1E+999999999"'),
        ],
    )
    def test_a_price_that_cannot_be_read_is_refused_with_its_words_and_never_0(
        self, sent: str, text: str
    ):
        menu = '{"menuItems": [{"id": 1, "prices": {"prices": [{"price": %s}, {"price": 4}]}}]}'
        (record,) = of(menu % sent)
        assert (record["mappingId"], record["price"]) == ("1", text)
        with pytest.raises(ConversionError, match="is not a finite number") as refusal:
            jsonb.convert(record["data"])
        assert f"price {text!r} is" in str(refusal.value)

    def test_long_words_in_place_of_a_price_are_shortened(self):
        (record,) = of(flat(item("a", "ask " * 10_000)))
        assert len(record["price"]) <= MAX_LENGTH

    @pytest.mark.parametrize("sent", ["10%", "off", True])
    def test_an_unreadable_discount_is_not_replaced_by_the_price_of_the_item(self, sent: Any):
        (record,) = of(flat(discounts=[item("a", 9, discountAmount=sent)]), "discounts")
        with pytest.raises(ConversionError, match="is not a number"):
            numeric.convert(record["discount_amount"])

    @pytest.mark.parametrize("empty", [None, "", " "])
    def test_an_empty_price_gives_way_to_the_next(self, empty: Any):
        prices = {"prices": [{"price": empty}, {"from": "noon"}, {"price": 4}, {"price": 5}]}
        (record,) = of(flat({"id": 1, "prices": prices}))
        assert (record["price"], record["data"]["priced"]) == (4, True)

    def test_of_duplicates_one_with_a_price_stays_rather_than_one_that_cannot_be_read(self):
        menu = flat(item("a", "5,00"), item("a", 5), item("b", "5,00"), item("b"))
        assert column(of(menu), "price") == [5, "5,00"]

    def test_an_unknown_node_with_an_unreadable_price_might_have_been_an_item(self):
        with menu_of(tree(node(2, "odd", node(3, 1), price="5,00"))) as menu:
            assert menu.left_out == {"unknown_type": 1}

    @pytest.mark.parametrize(
        "prices", [{}, {"prices": None}, {"prices": {"prices": []}}, {"prices": [{"price": 5}]}]
    )
    def test_prices_of_another_shape_are_no_prices(self, prices: dict[str, Any]):
        (record,) = of(flat({"id": 1, **prices}))
        assert (record["price"], record["data"]["priced"]) == (0, False)

    def test_unknown_calories_are_not_0(self):
        menu = flat(item("a"), item("b", calories="120"), item("c", calories=0))
        assert column(of(menu), "calories") == [None, 120, 0]

    def test_what_is_out_of_stock_says_so(self):
        menu = flat(item("a", isOutOfStock=True), item("b"), item("c", isOutOfStock="no"))
        assert column(of(menu), "isOutOfStock") == [True, False, False]


class TestNoMenu:
    @pytest.mark.parametrize(
        "body",
        [
            '{"message": "ok"}',
            "[]",
            "7",
            '{"children": null}',
            '{"discounts": {}}',
            '{"value": {}}',
        ],
    )
    def test_json_without_a_menu_is_an_error_and_not_an_empty_menu(self, body: str):
        with pytest.raises(NotAMenu, match="no list “children” or “menuItems”"):
            menu_of(body)

    def test_a_menu_may_be_empty(self):
        with menu_of({"menuItems": [], "surprise": {"deep": [1, {"menuItems": [{}]}]}}) as menu:
            assert [records(menu, kind) for kind in KINDS] == [[], [], []]

    @pytest.mark.parametrize("cut", [1, 5, -1, -20])
    def test_a_menu_that_is_cut_anywhere_is_undecodable(self, cut: int):
        text = json.dumps(tree(node(2, 6, BURGER)))
        with pytest.raises(InvalidResponse, match="not JSON to its end"):
            menu_of(text[:cut])

    @pytest.mark.parametrize("body", ["<html>Please wait</html>", '{"children": []} tail', " "])
    def test_what_is_not_json_is_undecodable(self, body: str):
        with pytest.raises(InvalidResponse):
            menu_of(body)

    def test_a_source_that_says_it_did_not_succeed_is_believed(self):
        with pytest.raises(SourceRefused, match="no menu today"):
            menu_of({"value": None, "succeed": False, "errors": ["no menu today"]})

    def test_objects_nested_too_deeply_are_no_menu(self):
        with pytest.raises(NotAMenu, match="nested too deeply"):
            menu_of('{"children":[' * 5_000)
