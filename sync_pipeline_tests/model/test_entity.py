"""Mistakes in one entity's declaration are named at import: which entity, which line, the repair."""

import inspect
from typing import Any, cast

import pytest

from sync_pipeline.errors import DeclarationError
from sync_pipeline.model.entity import (
    Entity,
    Field,
    Limit,
    Link,
    Local,
    Lookup,
    Owner,
    Serial,
    Stamp,
    source_value,
)
from sync_pipeline.model.types import boolean, integer, text, timestamptz

COLUMNS = (
    Serial(),
    Field("shop_id", text, "_id"),
    Field("name", text, "Name"),
    Field("changed", timestamptz, "Modified Date"),
    Local("note", text),
)
GOOD: dict[str, Any] = {
    "name": "shop",
    "source": "Shop",
    "key": ("shop_id",),
    "columns": COLUMNS,
    "absent": "cleared",
}


def by(column: str) -> Lookup:
    return Lookup("town", by=((column, "name"),), take="code")


TOWN = Lookup("town", by=(("name", "name"),), take="code")
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"key": ()}, "key is empty; name the columns that identify a row"),
    ({"key": ("note",)}, "key column 'note' is not mapped; give it a Field, or choose another key"),
    ({"key": ("nowhere",)}, "key column 'nowhere' is not mapped"),
    ({"modified": "note"}, "modified='note' is not a mapped column"),
    ({"absent": "gone"}, "absent='gone' is neither 'cleared' nor 'unknown'"),
    (
        {"columns": (*COLUMNS, Local("name", text))},
        "column 'name' is declared 2 times; remove one",
    ),
    (
        {"columns": (*COLUMNS, Field("title", text, "Name"))},
        "source field 'Name' is declared 2 times; remove one",
    ),
    (
        {"columns": (*COLUMNS, Field("title", text, ("Title", "Name")))},
        "source field 'Name' is declared 2 times; remove one",
    ),
    (
        {"columns": (*COLUMNS, Stamp("created_at", timestamptz, "born"))},
        "stamp 'created_at' copies 'born', which is not mapped",
    ),
    ({"owner": Owner("source", ("D",), "D")}, "owner column 'source' is not among the columns"),
    (
        {"owner": Owner("name", ("D",), "D")},
        "owner column 'name' is mapped; the sync would re-own rows",
    ),
    (
        {"owner": Owner("note", ("D",), "M")},
        "owner mark 'M' is not among ours; inserted rows would be lost to us",
    ),
    ({"missing": "drop"}, "missing='drop' is none of 'keep', 'flag' and 'delete'"),
    (
        {"columns": (*COLUMNS, Field("size", integer, "Size", policy=cast("Any", "mine")))},
        "policy='mine' of 'size' is none of 'source', 'local' and 'ask'",
    ),
    (
        {"columns": (*COLUMNS, Field("_run", text, "Run"))},
        "column '_run' has the name of a mark of the merge; map it to another column",
    ),
    (
        {"columns": (*COLUMNS, Field("share %", integer, "Share %"))},
        "name 'share %' contains %, which psycopg takes for a parameter; rename it on the target",
    ),
    ({"missing": "flag"}, "missing='flag' and missing_flag go together"),
    ({"missing_flag": "note"}, "missing='flag' and missing_flag go together"),
    (
        {"missing": "flag", "missing_flag": "name"},
        "missing_flag 'name' must be a Local column",
    ),
    (
        {"missing": "flag", "missing_flag": "gone"},
        "missing_flag 'gone' must be a Local column",
    ),
    (
        {"columns": (*COLUMNS, Field("town", text, ""))},
        "field 'town' needs either a source name or a lookup",
    ),
    (
        {"columns": (*COLUMNS, Field("town", text, ()))},
        "field 'town' needs either a source name or a lookup",
    ),
    (
        {"columns": (*COLUMNS, Field("town", text, "Town", lookup=TOWN))},
        "field 'town' needs either a source name or a lookup",
    ),
    (
        {"columns": (*COLUMNS, Field("town", text, "", lookup=TOWN)), "key": ("shop_id", "town")},
        "key column 'town' is looked up; a key comes from the record",
    ),
    (
        {"columns": (*COLUMNS, Field("town", text, "", lookup=Lookup("town", (), "code")))},
        "lookup of 'town' goes by no column; name the columns here and there that are equal",
    ),
    (
        {"columns": (*COLUMNS, Field("town", text, "", lookup=by("note")))},
        "lookup of 'town' goes by 'note', which no record holds",
    ),
    (
        {"columns": (*COLUMNS, Field("town", text, "", lookup=by("nowhere")))},
        "lookup of 'town' goes by 'nowhere', which no record holds",
    ),
    (
        {
            "columns": (
                *COLUMNS,
                Field("town", text, "", lookup=TOWN),
                Field("state", text, "", lookup=by("town")),
            )
        },
        "lookup of 'state' goes by 'town', which no record holds",
    ),
    ({"unique": (("code",),)}, "unique names 'code', which is not among the columns"),
    ({"indexes": (("name", "code"),)}, "indexes names 'code', which is not among the columns"),
]


def declared(**changes: Any) -> Entity:
    return Entity(**(GOOD | changes))


@pytest.mark.parametrize(("changes", "remedy"), MISTAKES, ids=[m[1][:45] for m in MISTAKES])
def test_a_mistake_is_named_with_its_entity_line_and_remedy(
    changes: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(**changes)

    message = str(caught.value)
    assert message.startswith("entity 'shop' (")
    assert f"{__file__}:" in message
    assert remedy in message


def test_the_line_named_is_that_of_the_literal() -> None:
    frame = inspect.currentframe()
    assert frame
    line = frame.f_lineno + 1
    entity = Entity(**GOOD)

    assert entity.where == entity.bound_to("shops").where == f"{__file__}:{line}"


def test_a_good_declaration_reports_nothing_and_names_its_table_after_itself() -> None:
    entity = declared(modified="changed")

    assert entity.table == "shop"
    assert [f.column for f in entity.fields] == ["shop_id", "name", "changed"]
    assert [f.column for f in entity.values] == ["name", "changed"]


def test_columns_that_begin_with_a_digit_and_a_table_named_user_are_fine() -> None:
    columns = (*COLUMNS, Field("1st_payment_percent", integer, "1st Payment %"))

    entity = declared(name="user", columns=columns)

    assert entity.table == "user"
    assert entity.field("1st_payment_percent").sources == ("1st Payment %",)


def test_key_fields_come_in_the_order_of_the_key_not_of_the_table() -> None:
    columns = (Field("a", text, "A"), Field("b", text, "B"), Field("c", text, "C"))

    entity = declared(columns=columns, key=("c", "a"))

    assert [f.column for f in entity.key_fields] == ["c", "a"]
    assert [f.column for f in entity.values] == ["b"]


def test_a_deferred_link_and_a_link_to_itself_make_no_parent() -> None:
    columns = (
        Field("id", text, "id"),
        Field("boss", text, "Boss", link=Link("shop")),
        Field("town", text, "Town", link=Link("town")),
        Field("street", text, "Street", link=Link(("street", "town"), deferred=True)),
    )

    entity = declared(columns=columns, key=("id",), after=("country",))

    assert entity.hard_parents == ("town", "country")


def test_a_lookup_makes_a_parent_and_no_source_name() -> None:
    town = Field("town", text, "", lookup=TOWN)

    entity = declared(
        columns=(*COLUMNS, town, Field("street", text, "Street", link=Link("street")))
    )

    assert entity.hard_parents == ("street", "town")
    assert [(f.column, lookup.take) for f, lookup in entity.lookups] == [("town", "code")]
    assert entity.field("town").sources == ()
    assert source_value(town, {"": "nothing", "town": "nothing"}) is None


@pytest.mark.parametrize(
    ("mark", "ours"),
    [
        ("D", True),
        ("D  ", True),
        ("S", True),
        ("M", False),
        (" D", False),
        ("d", False),
        (1, False),
        (None, "unmarked"),
        ("", "unmarked"),
        ("   ", "unmarked"),
    ],
)
@pytest.mark.parametrize("unmarked", [True, False])
def test_whose_a_mark_is(mark: Any, ours: bool | str, unmarked: bool) -> None:
    owner = Owner("source", ("D", "S"), "D", unmarked_is_ours=unmarked, source="whose")

    assert owner.owns(mark) == (unmarked if ours == "unmarked" else ours)


def test_asking_for_a_field_that_is_not_mapped_names_entity_and_column() -> None:
    with pytest.raises(KeyError, match="shop maps no column 'note'"):
        declared().field("note")


def test_of_several_source_names_the_first_that_is_filled_wins() -> None:
    phone = Field("phone", text, ("Whatsapp", "Contact"))

    assert source_value(phone, {"Whatsapp": "1", "Contact": "2"}) == "1"
    assert source_value(phone, {"Whatsapp": "", "Contact": "2"}) == "2"
    assert source_value(phone, {"Whatsapp": None, "Contact": "2"}) == "2"
    assert source_value(phone, {"Contact": False}) is False
    assert source_value(phone, {}) is None


def test_a_budget_is_exceeded_only_above_both_its_floor_and_its_share() -> None:
    limit = Limit(percent=30, floor=200)

    assert not limit.exceeded_by(200, 10)
    assert limit.exceeded_by(201, 10)
    assert not limit.exceeded_by(300, 1000)
    assert limit.exceeded_by(301, 1000)
    assert not limit.exceeded_by(0, 0)


def test_a_flag_column_for_missing_rows_is_a_local_one() -> None:
    columns = (*COLUMNS, Local("gone", boolean))

    assert declared(columns=columns, missing="flag", missing_flag="gone").missing_flag == "gone"
