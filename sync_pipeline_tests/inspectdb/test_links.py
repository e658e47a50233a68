"""Foreign keys become links: which rows wait for a parent, what is deferred, what is left to people."""

from sync_pipeline.model.entity import Link
from sync_pipeline_tests.inspectdb.pasted_declarations import Paste


def test_a_foreign_key_of_several_columns_says_who_comes_first_unless_it_closes_a_cycle(
    paste: Paste,
) -> None:
    found = paste(
        "create table b (x int, y int, a int, primary key (x, y))",
        "create table a (id int primary key, x int, y int, foreign key (x, y) references b)",
        "create table c (id int primary key, x int, y int, foreign key (x, y) references b)",
        "create table d (x int, y int, up int, primary key (x, y), foreign key (x, up) references d)",
        "alter table b add foreign key (a) references a",
    )

    assert [found[name].after for name in "abcd"] == [(), (), ("b",), ()]
    assert found.links("b") == {"a": Link("a")}


def test_a_row_waits_for_its_parent_only_where_the_source_never_lacks_it(paste: Paste) -> None:
    found = paste(
        "create table parent (id int primary key)",
        """create table child (
            id int primary key, must int not null references parent, may int references parent
        )""",
        "create table doubtful (id int primary key, parent int not null)",
        "insert into doubtful values (1, 404)",
        "alter table doubtful add foreign key (parent) references parent not valid",
    )

    assert found.links("child") == {"must": Link("parent", required=True), "may": Link("parent")}
    assert found.links("doubtful") == {"parent": Link("parent")}


def test_a_link_to_its_own_table_is_deferred_and_waits_for_nothing(paste: Paste) -> None:
    found = paste(
        "create table category (id int primary key, parent int not null references category)"
    )

    assert found.links("category") == {"parent": Link("category", deferred=True)}


def test_of_a_cycle_of_two_tables_the_link_is_deferred_that_a_row_can_do_without(
    paste: Paste,
) -> None:
    found = paste(
        "create table a (id int primary key, b int not null)",
        "create table b (id int primary key, a int references a)",
        "alter table a add foreign key (b) references b",
    )

    assert found.links("a") == {"b": Link("b", required=True)}
    assert found.links("b") == {"a": Link("a", deferred=True)}
    assert found.names == ["b", "a"]


def test_of_cycles_that_share_a_link_only_that_one_is_deferred(paste: Paste) -> None:
    found = paste(
        *(f"create table {name} (id int primary key, x int, y int)" for name in "abcd"),
        "alter table a add foreign key (x) references b",
        "alter table b add foreign key (x) references c, add foreign key (y) references d",
        "alter table c add foreign key (x) references a",
        "alter table d add foreign key (x) references a",
    )

    deferred = {
        (name, column)
        for name in "abcd"
        for column, link in found.links(name).items()
        if link.deferred
    }
    assert deferred == {("a", "x")}
    assert found.names == ["a", "c", "d", "b"]


def test_in_a_cycle_of_three_tables_of_columns_that_all_must_be_filled_one_link_is_deferred(
    paste: Paste,
) -> None:
    found = paste(
        *(f"create table {name} (id int primary key, next int not null)" for name in "abc"),
        "alter table a add foreign key (next) references b",
        "alter table b add foreign key (next) references c",
        "alter table c add foreign key (next) references a",
    )

    links = [found.links(name)["next"] for name in "abc"]
    assert sorted((link.deferred, link.required) for link in links) == [
        (False, True),
        (False, True),
        (True, False),
    ]


def test_what_a_foreign_key_says_beyond_a_link_is_left_to_people(paste: Paste) -> None:
    found = paste(
        "create schema other",
        "create table other.audit (id int primary key)",
        "create table log (id int constraint key unique)",
        "create table one (id int primary key)",
        "create table two (id int primary key)",
        """create table child (
            id int primary key references one references two,
            audit int references other.audit, log int references log (id)
        )""",
    )

    assert found.links("child") == {"id": Link("one", required=True)}
    assert found.undecided == [
        "log: nothing tells its rows apart: key allows several nulls; name the columns that do, if any",
        "child.id: references two (id), and a column points at one entity only",
        "child.audit: references other.audit (id), which is not among these tables",
        "child.log: references log (id), which has no key here",
    ]
