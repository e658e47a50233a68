"""When a run keeps the digests that it read, so that a delta makes what a full read would."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipeline.errors import StoppedByGuard
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.model.entity import Budget, Limit
from sync_pipeline.sources.postgres import range_digests
from sync_pipeline_tests.fixtures.properties import examples
from sync_pipeline_tests.fixtures.sample_system import Workbench, await_that, counted
from sync_pipeline_tests.merge.fault_injection import held
from sync_pipeline_tests.sources.postgres.digest_runs import PAIR, RANGE, SIZED, MakeWorkbench
from sync_pipeline_tests.sources.postgres.source_database import Origin

# -- what is kept between runs


def cursor_of(bench: Workbench) -> Any:
    return watermarks.progress(bench.connection, bench.system["item"]).cursor


def test_a_run_that_lands_goes_on_from_there(moved: tuple[Origin, Workbench]) -> None:
    origin, bench = moved

    result = origin.sync(bench)
    again = origin.sync(bench)

    assert counted(result)["updated"] == 1
    assert result.counts.read < 3 * RANGE
    assert counted(again) == {}
    assert again.metadata["ranges_moved"] == 0


def test_a_dry_run_leaves_the_changes_to_the_next_run(moved: tuple[Origin, Workbench]) -> None:
    origin, bench = moved
    before = cursor_of(bench)

    planned = origin.sync(bench, dry_run=True)

    assert counted(planned)["updated"] == 1
    assert cursor_of(bench) == before
    assert counted(origin.sync(bench)) == counted(planned)


def test_a_run_that_the_guard_stops_leaves_the_changes_to_the_next_run(
    moved: tuple[Origin, Workbench],
) -> None:
    origin, bench = moved
    before = cursor_of(bench)
    careful = Budget(updates=Limit(percent=0, floor=0))

    with pytest.raises(StoppedByGuard) as caught:
        origin.sync(bench, entity=bench.entity("item", budget=careful))

    assert cursor_of(bench) == before
    digest = frozenset({caught.value.digest})
    approved = origin.sync(bench, entity=bench.entity("item", budget=careful), approve=digest)
    assert counted(approved)["updated"] == 1
    assert counted(origin.sync(bench)) == {}


def test_a_run_that_is_killed_leaves_the_changes_to_the_next_run(
    moved: tuple[Origin, Workbench],
) -> None:
    origin, bench = moved
    before = cursor_of(bench)
    command = [sys.executable, "-m", KILLED_PROCESS, origin.dsn, bench.dsn]

    with held(bench, "select from _sync_metadata for update"):
        with subprocess.Popen(command) as process:
            await_that(lambda: waiting(bench) == 1)
            process.kill()
        await_that(lambda: waiting(bench) == 0)

    assert cursor_of(bench) == before
    assert counted(origin.sync(bench))["updated"] == 1


KILLED_PROCESS = "sync_pipeline_tests.sources.postgres.killed_process"


def waiting(bench: Workbench) -> int:
    """Merges that wait for somebody's lock."""
    query = (
        "select count(*) as n from pg_stat_activity where application_name like 'sync_pipeline own/%'"
        " and datname = current_database() and wait_event_type = 'Lock'"
    )
    with bench.open() as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row
    return row[0]


def test_a_run_that_names_records_leaves_the_changes_to_the_next_run(
    moved: tuple[Origin, Workbench],
) -> None:
    origin, bench = moved
    before = cursor_of(bench)

    named = origin.sync(bench, mode="keys", keys=("7", "300"))

    assert counted(named) == {"read": 2, "updated": 1, "unchanged": 1}
    assert cursor_of(bench) == before
    assert set(counted(origin.sync(bench))) == {"read", "unchanged"}


def test_a_rejected_record_of_a_range_that_moved_stays_rejected_until_it_changes(
    origin: Origin, bench_of: MakeWorkbench
) -> None:
    bench = bench_of(SIZED)
    origin.run(
        "create table item as select n as id, 'one' as name, '1' as size from generate_series(1, 300) n"
    )
    origin.run("update item set size = 'many' where id = 7")
    first = origin.sync(bench)
    origin.run("update item set name = 'new' where id = 8")
    beside = origin.sync(bench)
    reasons = [r["reason"] for r in bench.rejected()]
    elsewhere = origin.sync(bench)
    origin.run("update item set size = '2' where id = 7")
    fixed = origin.sync(bench)

    assert (first.counts.rejected, beside.counts.rejected) == (1, 1)
    assert beside.counts.updated == 1
    assert reasons == ["7: size → size: 'many' is not a number"]
    assert counted(elsewhere) == {}
    assert (fixed.counts.inserted, fixed.counts.rejected) == (1, 0)
    assert bench.rejected() == []


IDS = st.integers(-6, 16)


PARTS = st.sampled_from(["a", "b", None])


NAMES = st.sampled_from(["x", "y", "", None])


FEW = st.one_of(
    st.tuples(st.just("insert into item values (%s, %s, %s)"), IDS, PARTS, NAMES),
    st.tuples(st.just("insert into item values (null, %s, %s)"), PARTS, NAMES),
    st.tuples(st.just("update item set name = %s where id = %s"), NAMES, IDS),
    st.tuples(st.just("update item set part = %s where id = %s"), PARTS, IDS),
    st.tuples(st.just("update item set id = %s where id = %s"), IDS, IDS),
    st.tuples(st.just("delete from item where id = %s"), IDS),
    st.tuples(
        st.just("delete from item where ctid = (select min(ctid) from item where id = %s)"), IDS
    ),
)


MANY = st.one_of(
    st.tuples(st.just("update item set name = %s, part = %s where id > %s"), NAMES, PARTS, IDS),
    st.tuples(st.just("delete from item where id < %s"), IDS),
    st.tuples(
        st.just("insert into item select n, 'a', %s from generate_series(%s::int, 40) n"),
        NAMES,
        IDS,
    ),
)


STEPS = st.one_of(FEW, FEW, FEW, FEW, MANY, st.just(("sync",)), st.just(("sync",)))


@pytest.fixture
def pairs(bench_of: MakeWorkbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A target, and ranges so small that a few rows are many of them."""
    monkeypatch.setattr(range_digests, "ROWS_PER_RANGE", 3)
    return bench_of(PAIR)


@examples(3, 60)
@given(history=st.lists(STEPS, min_size=15, max_size=25))
def test_after_any_history_deltas_have_made_what_a_full_read_would(
    origin: Origin, pairs: Workbench, history: list[tuple[Any, ...]]
) -> None:
    bench = pairs
    bench.run("truncate item, sync_base.own__item, sync.cursor, sync.rejected")
    origin.run("drop table if exists item")
    origin.run("create table item (id int, part text, name text)")
    origin.run("insert into item select n / 2, 'a', 'x' || n % 2 from generate_series(-10, 30) n")
    origin.sync(bench)
    for statement, *values in history:
        if statement == "sync":
            origin.sync(bench)
            compare(origin, bench)
        else:
            origin.run(statement, *values)

    origin.sync(bench)
    compare(origin, bench)
    whole = origin.sync(bench, mode="full", dry_run=True)
    again = origin.sync(bench)

    assert (whole.counts.inserted, whole.counts.updated) == (0, 0)
    assert counted(again) == {}


def compare(origin: Origin, bench: Workbench) -> None:
    """Of each key at the source the target holds one of its rows."""
    query = "select id, part, name from item where id is not null"
    there = [tuple(row.values()) for row in origin.rows(query)]
    here = {tuple(row.values()) for row in bench.rows(query)}
    assert here & set(there) == {row for row in here if row[:2] in {r[:2] for r in there}}
    assert {row[:2] for row in there} <= {row[:2] for row in here}
