"""Cases in which a row was once lost, or written although nobody asked for it: each stays fixed."""

import threading
from uuid import uuid4

import pytest

from sync_pipeline.errors import Imbalance, StoppedByGuard, TargetNotPrepared, TargetRefused
from sync_pipeline.merge.review import resolve
from sync_pipeline.model.entity import Budget, Limit
from sync_pipeline_tests.fixtures.sample_system import Workbench, await_that, counted, shop


def open_conflict(bench: Workbench) -> int:
    [row] = bench.rows("select id from sync.conflict where resolved_at is null")
    return row["id"]


def partition_shops(bench: Workbench) -> None:
    """The table as partitions, in which a row's place names several rows."""
    bench.run("create table parted (like shop including defaults) partition by hash (shop_id)")
    bench.run("alter table parted alter id drop default")
    bench.run("drop table shop")
    bench.run("alter table parted rename to shop")
    for rest in range(4):
        bench.run(
            f"create table shop_{rest} partition of shop for values with (modulus 4, remainder {rest})"
        )
    bench.run("create unique index on shop (shop_id)")


def test_resolving_a_conflict_writes_one_row_of_a_partitioned_table(bench: Workbench) -> None:
    partition_shops(bench)
    keys = [f"k{n}" for n in range(12)]
    records = [shop(key, Owner="Ann") for key in keys]
    for number, record in enumerate(records):
        bench.run(
            "insert into shop (id, shop_id, owner_name, modified) values (%s, %s, 'Ann', '2026-01-01')",
            number,
            record["_id"],
        )
    bench.sync(*records)
    for key in keys:
        bench.edit(key, owner_name=f"Local {key}")
    bench.sync(shop("k0", day=2, Owner="Cid"))

    resolve.resolve(bench.connection, bench.system, open_conflict(bench), "source", run_id=uuid4())

    assert [r["shop_id"] for r in bench.rows("select * from shop where owner_name = 'Cid'")] == [
        "k0"
    ]


def test_resolving_a_conflict_waits_for_an_app_that_has_the_row_open(bench: Workbench) -> None:
    bench.sync(shop(Owner="Ann"))
    bench.edit(owner_name="Bob")
    bench.sync(shop(day=2, Owner="Cid"))
    conflict, resolver = open_conflict(bench), bench.open()

    with bench.open() as app, resolver:
        app.execute("begin")
        app.execute("update shop set note = 'open'")
        thread = threading.Thread(
            target=resolve.resolve,
            args=(resolver, bench.system, conflict, "source"),
            kwargs={"run_id": uuid4()},
        )
        thread.start()
        waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s"
        await_that(lambda: bool(bench.rows(waiting, resolver.info.backend_pid)))
        app.execute("commit")
        thread.join()

    assert (bench.shop()["owner_name"], bench.shop()["note"]) == ("Cid", "open")


def test_a_conflict_is_not_resolved_over_a_value_that_it_never_saw(bench: Workbench) -> None:
    bench.sync(shop())
    bench.edit(name="Local")
    bench.sync(shop(day=2, Name="Second"))
    bench.sync(shop(day=3, Name="Third"))

    with pytest.raises(LookupError, match="name has changed since and now holds Third"):
        resolve.resolve(
            bench.connection, bench.system, open_conflict(bench), "local", run_id=uuid4()
        )

    assert bench.shop()["name"] == "Third"
    assert open_conflict(bench)


def test_a_row_that_a_trigger_swallows_at_the_second_try_is_no_inserted_row(
    bench: Workbench,
) -> None:
    bench.run("create sequence tries")
    bench.run(
        "create function moody() returns trigger language plpgsql as $$ begin"
        " if new.shop_id <> 'bad' then return new; end if;"
        " if nextval('tries') < 3 then raise 'busy'; end if; return null; end $$"
    )
    bench.run("create trigger moody before insert on shop for each row execute function moody()")

    with pytest.raises(Imbalance, match="does a trigger on the table return null"):
        bench.sync(shop("s1"), shop("bad"))

    assert bench.rows("select * from shop") == []
    assert bench.rows("select * from sync_base.shops__shop") == []


def test_a_key_too_long_for_an_index_is_rejected_alone(bench: Workbench) -> None:
    long = "".join(f"{n:x}" for n in range(3_000, 6_000))  # does not compress into an index page

    result = bench.sync(shop("s1"), shop(long))

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert bench.sync(shop("s1"), shop(long)).counts.rejected == 1
    assert len(bench.rejected()) == 1


@pytest.mark.parametrize("kind", ["real", "double precision"])
def test_a_binary_column_for_a_decimal_field_is_refused_before_it_looks_edited(
    bench: Workbench, kind: str
) -> None:
    bench.run(f"alter table shop alter rent type {kind}")

    with pytest.raises(TargetNotPrepared, match=f"column rent is {kind}"):
        bench.sync(shop(Rent=0.1))


def test_an_offset_is_kept_where_the_column_has_no_time_zone(bench: Workbench) -> None:
    bench.run("alter table shop alter modified type timestamp")

    bench.sync(shop() | {"Modified Date": "2026-01-01T08:00:00+08:00"})

    assert str(bench.shop()["modified"]) == "2026-01-01 00:00:00"


def test_a_missing_row_with_a_note_in_a_local_column_is_a_conflict_and_not_deleted(
    bench: Workbench,
) -> None:
    entity = bench.entity(missing="delete")
    bench.sync(shop("s1"), shop("s2"), entity=entity)
    bench.edit("s1", note="call back on Monday")

    bench.sync(shop("s2"), entity=entity, complete=True)

    assert bench.shop("s1")["note"] == "call back on Monday"
    assert [c["kind"] for c in bench.conflicts()] == ["missing"]


def test_a_missing_row_that_reappears_is_no_longer_a_conflict(bench: Workbench) -> None:
    entity = bench.entity(missing="delete")
    bench.sync(shop("s1"), shop("s2"), entity=entity)
    bench.edit("s1", note="keep")
    bench.sync(shop("s2"), entity=entity, complete=True)

    bench.sync(shop("s1"), shop("s2"), entity=entity, complete=True)

    assert bench.conflicts() == []


def test_an_approval_does_not_cover_an_edit_made_since(bench: Workbench) -> None:
    entity = bench.entity(budget=Budget(updates=Limit(percent=0, floor=0)))
    bench.sync(shop())
    bench.edit(name="One")
    with pytest.raises(StoppedByGuard) as stopped:
        bench.sync(shop(), entity=entity, force=True)
    bench.edit(name="Two")

    with pytest.raises(StoppedByGuard):
        bench.sync(shop(), entity=entity, force=True, approve=frozenset({stopped.value.digest}))

    assert bench.shop()["name"] == "Two"


def test_rows_that_a_policy_hides_are_refused_and_not_taken_for_deleted(bench: Workbench) -> None:
    bench.sync(shop())
    name = bench.connection.info.dbname
    bench.run("create role hidden_from login")
    try:
        bench.run("grant all on all tables in schema public, sync, sync_base to hidden_from")
        bench.run("grant usage on schema sync, sync_base to hidden_from")
        bench.run("alter table shop enable row level security")
        bench.run(f"alter role postgres in database {name} set role hidden_from")

        with pytest.raises(TargetRefused, match="row-level security"):
            bench.sync(shop(day=2, Name="New"))
    finally:
        bench.run(f"alter role postgres in database {name} reset role")
        bench.run("drop owned by hidden_from")
        bench.run("drop role hidden_from")

    assert bench.conflicts() == []
