"""Records that the table refuses: failing rows are found, the others are written, nothing is half done."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from sync_pipeline.errors import Imbalance, SourceBroken, TargetRefused
from sync_pipeline.merge import apply, stage
from sync_pipeline.merge.session import Target
from sync_pipeline_tests.fixtures.sample_system import Workbench, counted, shop

RAISING = """
create function veto() returns trigger language plpgsql as $$
begin
    if new.name = 'Vetoed' then raise exception 'not in this town' {using}; end if;
    return new;
end $$;
create trigger veto before insert or update on shop for each row execute function veto();
"""
SWALLOWING = """
create function swallow() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger swallow before {event} on shop for each row execute function swallow();
"""


def many(count: int, bad: dict[int, dict[str, Any]], *, day: int = 1) -> list[dict[str, Any]]:
    """Good records but for those at the given places."""
    return [shop(f"s{i}", day, **({"Code": f"c{i}"} | bad.get(i, {}))) for i in range(count)]


def reasons(bench: Workbench) -> dict[str | None, str]:
    return {r["key"]["shop_id"] if r["key"] else None: r["reason"] for r in bench.rejected()}


def test_several_failing_rows_in_one_batch_are_found_and_all_others_are_written(
    bench: Workbench,
) -> None:
    bench.run("alter table shop add constraint size_check check (size >= 0)")
    bench.run("alter table shop alter name set not null")
    bench.sync(*many(4000, {}))
    bad = {i: {"Size": -1} for i in range(0, 8000, 1000)} | {4001: {"Name": None}}
    fresh = {i: {"Size": 1} | bad.get(i, {}) for i in range(8000)}

    result = bench.sync(*many(8000, fresh, day=2))

    assert counted(result) == {
        "read": 8000,
        "inserted": 4000 - 5,
        "updated": 4000 - 4,
        "rejected": 9,
    }
    assert reasons(bench).keys() == {f"s{i}" for i in bad}
    assert {r["constraint"] for r in bench.rejected()} == {"size_check", None}
    assert bench.shop("s1000")["size"] is None
    assert bench.row("select count(size) from shop") == {"count": 8000 - 9}


def test_a_collision_on_a_second_unique_index_names_the_index(bench: Workbench) -> None:
    bench.sync(shop("s1", Code="A"))

    result = bench.sync(shop("s2", Code="A"), shop("s3", Code="B"), shop("s4", Code="B"))

    assert counted(result) == {"read": 3, "inserted": 1, "rejected": 2}
    assert [(r["key"], r["constraint"]) for r in bench.rejected()] == [
        ({"shop_id": "s2"}, "shop_code_key"),
        ({"shop_id": "s4"}, "shop_code_key"),
    ]
    assert "shop_code_key" in reasons(bench)["s2"]


def test_a_unique_value_handed_on_from_row_to_row_lands_in_one_run(bench: Workbench) -> None:
    bench.sync(*[shop(f"s{i}", Code=f"c{i}") for i in range(4)])

    result = bench.sync(*[shop(f"s{i}", 2, Code=f"c{i + 1}") for i in range(4)])

    assert counted(result) == {"read": 4, "updated": 4}
    assert bench.rejected() == []


def test_a_foreign_key_that_does_not_hold_rejects_the_record(bench: Workbench) -> None:
    bench.run("create table street (name text primary key)")
    bench.run("insert into street values ('Main')")
    bench.run("alter table shop add constraint on_street foreign key (name) references street")

    result = bench.sync(shop("s1", Name="Main"), shop("s2", Name="Nowhere"))

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert bench.rejected()[0]["constraint"] == "on_street"


def test_a_deferred_foreign_key_rejects_the_record_and_not_the_run(bench: Workbench) -> None:
    bench.run("create table street (name text primary key)")
    bench.run(
        "alter table shop add constraint on_street foreign key (name) references street"
        " deferrable initially deferred"
    )

    result = bench.sync(shop("s1", Name=None), shop("s2", Name="Nowhere"))

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}


@pytest.mark.parametrize(
    "using", ["", "using errcode = 'SHOP1'", "using errcode = 'no_data_found'"]
)
def test_a_trigger_that_objects_rejects_only_its_record(bench: Workbench, using: str) -> None:
    bench.run(RAISING.format(using=using))

    result = bench.sync(*many(20, {7: {"Name": "Vetoed"}}))

    assert counted(result) == {"read": 20, "inserted": 19, "rejected": 1}
    assert reasons(bench) == {"s7": "s7: not in this town"}


def test_a_value_too_large_for_an_index_rejects_only_its_record(bench: Workbench) -> None:
    bench.run("create index on shop (name)")
    noise = "".join(f"{i:x}" for i in range(20_000))

    result = bench.sync(shop("s1"), shop("s2", Name=noise))

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert "index row" in reasons(bench)["s2"]


def test_a_rejected_update_leaves_row_base_and_conflicts_as_they_were(bench: Workbench) -> None:
    bench.run("alter table shop add constraint size_check check (size >= 0)")
    bench.sync(shop(Size=1, Rent=10), shop("s2"))
    bench.edit(rent=11)
    bench.sync(shop(day=2, Size=1, Rent=12), shop("s2"))
    row, base, conflicts = bench.shop(), bench.base(), bench.conflicts()

    result = bench.sync(shop(day=3, Size=-1, Rent=13), shop("s2", 3))

    assert counted(result) == {"read": 2, "updated": 1, "rejected": 1}
    assert (bench.shop(), bench.base(), bench.conflicts()) == (row, base, conflicts)
    assert len(conflicts) == 1


def test_a_rejected_record_is_planned_again_when_it_is_delivered_again(bench: Workbench) -> None:
    bench.run("alter table shop add constraint size_check check (size >= 0)")
    bench.sync(shop(Size=-1))
    bench.run("alter table shop drop constraint size_check")

    result = bench.sync(shop(Size=-1))

    assert counted(result) == {"read": 1, "inserted": 1}
    assert bench.rejected() == []


# -- when it is not the record


@pytest.mark.parametrize("event", ["insert", "update"])
def test_a_trigger_that_swallows_rows_is_an_imbalance_and_nothing_is_written(
    bench: Workbench, event: str
) -> None:
    bench.sync(shop("s1"))
    bench.run(SWALLOWING.format(event=event))
    before = bench.shop("s1"), bench.base("s1")

    with pytest.raises(Imbalance, match="does a trigger on the table return null"):
        bench.sync(shop("s1", 2), shop("s2"))

    assert (bench.shop("s1"), bench.base("s1")) == before
    assert bench.row("select count(*) from shop") == {"count": 1}
    assert bench.watermark().day == 1  # pyright: ignore[reportOptionalMemberAccess]


def test_a_mapping_that_no_longer_fits_stops_the_run(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MOST_REJECTIONS", 100)

    with pytest.raises(
        SourceBroken, match=r"more than 100 records were rejected, the first with: s0"
    ):
        bench.sync(*[shop(f"s{i}", Size="many") for i in range(150)])

    assert bench.rejected() == []


def test_a_table_that_refuses_every_row_stops_the_run(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "MOST_REJECTIONS", 20)
    bench.run("alter table shop add constraint closed check (name = 'Elsewhere')")

    with pytest.raises(TargetRefused, match=r"shop: more than 20 rows were refused") as caught:
        bench.sync(*many(50, {}))

    assert "closed" in str(caught.value)
    assert bench.rejected() == []


def test_a_row_that_needs_one_written_after_it_is_written_beside_a_failing_row(
    bench: Workbench,
) -> None:
    bench.run("alter table shop add constraint beside foreign key (name) references shop (code)")
    bench.run("alter table shop add constraint size_check check (size >= 0)")
    chain = {i: {"Name": f"c{i + 1}" if i < 9 else None} for i in range(10)}

    result = bench.sync(*many(10, chain | {5: {"Name": None, "Size": -1}}))

    # s4 names s5, which is refused; and so on down the chain.
    assert counted(result) == {"read": 10, "inserted": 4, "rejected": 6}
    assert reasons(bench).keys() == {f"s{i}" for i in range(6)}


def test_an_error_that_no_record_causes_fails_the_run_with_one_line(bench: Workbench) -> None:
    bench.run("create role reader")
    bench.run("grant usage on schema public, sync, sync_base to reader")
    bench.run("grant select on all tables in schema public, sync, sync_base to reader")

    def connect_as_reader(name: str) -> psycopg.Connection[Any]:
        connection = bench.target().connect(name)
        connection.execute("set role reader")
        return connection

    with pytest.raises(TargetRefused) as caught:
        bench.merge(bench.stream([shop()]), target=Target(connect_as_reader))

    bench.run("drop owned by reader")
    bench.run("drop role reader")
    assert "permission denied for table" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_of_a_source_that_is_a_postgres_is_not_taken_for_one_of_the_target(
    bench: Workbench,
) -> None:
    def rows() -> Iterator[list[dict[str, Any]]]:
        yield [shop()]
        raise psycopg.errors.QueryCanceled("the source's own timeout")

    stream = bench.stream([])
    stream.batches = rows()
    with pytest.raises(psycopg.errors.QueryCanceled, match="the source's own timeout"):
        bench.merge(stream)
