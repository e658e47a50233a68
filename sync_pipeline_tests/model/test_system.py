"""Entities together: levels come from the links, and a link that cannot be is named."""

from typing import Any

import pytest

from sync_pipeline.errors import DeclarationError
from sync_pipeline.model.entity import Entity, Field, Link, Lookup
from sync_pipeline.model.system import System
from sync_pipeline.model.types import text


def entity(name: str, *links: tuple[str, Link], **more: Any) -> Entity:
    columns = (
        Field(f"{name}_id", text, "_id"),
        *(Field(column, text, column.title(), link=link) for column, link in links),
    )
    return Entity(
        **{
            "name": name,
            "source": name,
            "key": (f"{name}_id",),
            "columns": columns,
            "absent": "cleared",
        }
        | more
    )


def refusal(*entities: Entity, groups: tuple[tuple[str, ...], ...] = ()) -> str:
    with pytest.raises(DeclarationError) as caught:
        System("shops", entities, groups)
    return str(caught.value)


def test_levels_are_the_depth_in_the_graph_of_hard_links() -> None:
    system = System(
        "shops",
        (
            entity("payment", ("invoice", Link("invoice")), ("shop", Link("shop"))),
            entity("shop", ("favourite", Link("payment", deferred=True))),
            entity("invoice", ("shop", Link("shop"))),
            entity("report", after=("payment",)),
        ),
    )

    assert system.levels == {"shop": 0, "invoice": 1, "payment": 2, "report": 3}
    assert [e.name for e in system.in_order()] == ["shop", "invoice", "payment", "report"]


def test_entities_of_one_level_keep_the_order_of_their_declaration() -> None:
    system = System("shops", (entity("b"), entity("a"), entity("c")))

    assert [e.name for e in system.in_order()] == ["b", "a", "c"]


def test_a_link_to_itself_makes_no_cycle() -> None:
    system = System("shops", (entity("shop", ("parent", Link("shop"))),))

    assert system.levels == {"shop": 0}


def test_every_entity_learns_its_system() -> None:
    system = System("shops", (entity("shop"),))

    assert system["shop"].system == "shops"


def test_a_cycle_is_named_edge_by_edge_with_its_remedy() -> None:
    message = refusal(
        entity("invoice", ("seda", Link("seda"))),
        entity("seda", ("invoice", Link("invoice"))),
        entity("bystander", ("invoice", Link("invoice"))),
    )

    assert "invoice.seda → seda, seda.invoice → invoice" in message
    assert "declare one of them deferred=True" in message
    assert "bystander" not in message


def test_a_cycle_through_after_is_named_too() -> None:
    message = refusal(entity("a", after=("b",)), entity("b", ("first", Link("a"))))

    assert "a after b" in message
    assert "b.first → a" in message


def test_an_unknown_link_names_entity_line_field_and_what_it_can_be() -> None:
    message = refusal(entity("shop", ("town", Link("twon"))), entity("town"))

    assert message.startswith("system 'shops': entity 'shop' (")
    assert f"{__file__}:" in message
    assert "field 'town' links to 'twon', which is not an entity" in message
    assert "it can be one of shop, town" in message


def test_a_link_to_a_composite_key_must_say_which_column_it_means() -> None:
    pair = Entity(
        name="pair",
        source="pair",
        key=("a", "b"),
        absent="cleared",
        columns=(Field("a", text, "A"), Field("b", text, "B")),
    )

    message = refusal(pair, entity("shop", ("pair", Link("pair"))))
    System("shops", (pair, entity("shop", ("pair", Link("pair", match=("b",))))))

    assert "links to 'pair', whose key has 2 columns; name one of them with match=(...)" in message


def test_a_match_on_a_column_that_does_not_exist_is_named() -> None:
    message = refusal(entity("town"), entity("shop", ("town", Link("town", match=("code",)))))

    assert "links to 'town', whose column 'code' does not exist" in message


def test_an_unknown_name_in_after_is_named_with_its_line() -> None:
    message = refusal(entity("shop", after=("twon",)))

    assert f"entity 'shop' ({__file__}:" in message
    assert "after='twon' is not an entity" in message


def test_an_entity_declared_twice_is_named() -> None:
    assert "entity 'shop' is declared 2 times" in refusal(entity("shop"), entity("shop"))


def test_a_group_of_an_unknown_entity_is_named() -> None:
    message = refusal(entity("shop"), groups=(("shop", "shpo"),))

    assert "group names 'shpo', which is not an entity" in message


def test_asking_for_an_unknown_entity_names_those_that_exist() -> None:
    system = System("shops", (entity("shop"), entity("town")))

    with pytest.raises(KeyError, match="shops has no entity 'twon'; it has: shop, town"):
        system["twon"]


# -- lookups


def looking_up(name: str, lookup: Lookup, **more: Any) -> Entity:
    columns = (
        Field(f"{name}_id", text, "_id"),
        Field("code", text, "Code"),
        Field("found", text, "", lookup=lookup),
    )
    return entity(name, columns=columns, **more)


CODED = Lookup("town", by=(("code", "town_id"),), take="mayor")


def test_what_is_looked_up_comes_a_level_later() -> None:
    town = entity("town", ("mayor", Link("town")))

    system = System("shops", (looking_up("shop", CODED), town))

    assert system.levels == {"shop": 1, "town": 0}


@pytest.mark.parametrize(
    ("lookup", "message_end"),
    [
        (Lookup("twon", CODED.by, "mayor"), "which is not an entity; it can be one of shop, town"),
        (Lookup("town", CODED.by, "major"), "whose column 'major' does not exist"),
        (Lookup("town", (("code", "number"),), "town_id"), "whose column 'number' does not exist"),
    ],
)
def test_a_lookup_to_nowhere_names_entity_line_and_field(lookup: Lookup, message_end: str) -> None:
    message = refusal(looking_up("shop", lookup), entity("town", ("mayor", Link("town"))))

    assert message.startswith(f"system 'shops': entity 'shop' ({__file__}:")
    assert f"field 'found' is looked up in '{lookup.to}'" in message
    assert message.endswith(message_end)


def test_a_lookup_within_one_transaction_is_refused() -> None:
    pair = (looking_up("shop", CODED), entity("town", ("mayor", Link("town"))))

    message = refusal(*pair, groups=(("shop", "town"),))

    assert "is looked up in 'town', which shares its transaction" in message


def test_a_lookup_in_the_entity_itself_is_refused() -> None:
    message = refusal(looking_up("shop", Lookup("shop", (("code", "shop_id"),), "found")))

    assert "field 'found' is looked up in 'shop', which is the entity itself" in message


def test_a_cycle_through_a_lookup_is_named_edge_by_edge() -> None:
    message = refusal(looking_up("shop", CODED), entity("town", ("mayor", Link("shop"))))

    assert "shop.found → town" in message
    assert "town.mayor → shop" in message


# -- where assets stand


def test_assets_of_a_system_stand_under_its_name_unless_it_says_otherwise() -> None:
    named = System("shops", (entity("shop"),))
    placed = System("shops_back", (entity("shop"),), key_prefix=("shops", "back"))

    assert (named.key_prefix, named["shop"].key_prefix) == (("shops",), ("shops",))
    assert (placed.key_prefix, placed["shop"].key_prefix) == (("shops", "back"), ("shops", "back"))
    assert placed["shop"].system == "shops_back"
