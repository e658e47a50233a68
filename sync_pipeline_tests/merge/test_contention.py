"""Others write at the same moment: two runs take turns, and no app loses what it has written."""

import datetime as dt
import threading
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from sync_pipeline.errors import EntityBusy, TargetUnavailable
from sync_pipeline.merge.session import Target
from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.fixtures.sample_system import Workbench, await_that, counted, shop
from sync_pipeline_tests.merge.fault_injection import (
    PLACES,
    Source,
    await_blocked,
    before,
    held,
    in_background,
    incoming,
)

SOON = dt.timedelta(milliseconds=150)


@pytest.fixture
def started(bench: Workbench) -> Workbench:
    bench.sync(*before())
    return bench


# -- another run of the same entity


def test_a_second_run_waits_for_the_first_and_reads_nothing_until_then(bench: Workbench) -> None:
    go_on = threading.Event()
    first = Source([shop(Size=1)], go_on.wait)
    second = Source([shop(day=2, Size=2)])

    with in_background(lambda: bench.merge(first.stream(bench))) as one:
        try:
            await_that(lambda: first.asked == 1)
            with in_background(lambda: bench.merge(second.stream(bench))) as two:
                try:
                    await_blocked(bench, two)
                    assert second.asked == 0
                finally:
                    go_on.set()
        finally:
            go_on.set()
        counts = [counted(work.result()[0]) for work in (one, two)]

    assert second.asked == 1
    assert counts == [{"read": 1, "inserted": 1}, {"read": 1, "updated": 1}]
    assert bench.shop()["size"] == 2


def test_a_run_that_has_waited_long_enough_names_the_holder(bench: Workbench) -> None:
    go_on = threading.Event()
    source = Source([shop()], go_on.wait)
    holder = UUID("0123abcd-0000-4000-8000-000000000000")

    with in_background(lambda: bench.merge(source.stream(bench), run_id=holder)) as first:
        try:
            await_that(lambda: source.asked == 1)
            with pytest.raises(EntityBusy) as caught:
                bench.merge(bench.stream([shop("s2")]), target=bench.target(lock_wait=SOON))
        finally:
            go_on.set()
        first.result()

    message = str(caught.value)
    assert "shops/shop is being synced by another run" in message
    assert "sync_pipeline shops/shop run 0123abcd" in message
    assert "\n" not in message
    assert bench.rows("select shop_id from shop") == [{"shop_id": "s1"}]


def test_runs_of_different_entities_do_not_wait_for_each_other(bench: Workbench) -> None:
    bench.sync(shop())
    go_on = threading.Event()
    source = Source([shop("s2")], go_on.wait)

    with in_background(lambda: bench.merge(source.stream(bench))) as first:
        try:
            await_that(lambda: source.asked == 1)
            other = bench.sync({"shop_id": "s1", "number": 1}, entity=bench.system["desk"])
        finally:
            go_on.set()
        first.result()

    assert counted(other) == {"read": 1, "inserted": 1}


# -- an app that writes the same rows


def merged_beside(bench: Workbench, statement: str) -> dict[str, int]:
    """Counts of a merge that finds a row written by an app, whose commit comes while it waits."""
    source = Source(incoming())
    with (
        held(bench, statement) as app,
        in_background(lambda: bench.merge(source.stream(bench))) as work,
    ):
        await_blocked(bench, work)
        app.commit()
        [result] = work.result()
    assert source.asked == 1
    return counted(result)


def test_a_local_edit_committed_during_the_merge_is_not_lost(started: Workbench) -> None:
    counts = merged_beside(
        started, "update shop set rent = 9, note = 'ours', size = 7 where shop_id = 's1'"
    )

    row = started.shop("s1")
    assert (row["rent"], row["note"], row["size"]) == (Decimal(9), "ours", 2)
    assert counts["updated"] == 1
    # Planned anew, the edit of `size` is seen: it lost by policy and is on record.
    [conflict] = started.conflicts()
    assert (conflict["base"], conflict["local"], conflict["source"]) == (1, 7, 2)
    assert started.changes()[0]["before"]["size"] == 7


def test_a_row_inserted_locally_during_the_merge_is_first_contact(started: Workbench) -> None:
    counts = merged_beside(
        started, "insert into shop (shop_id, name, note) values ('s3', 'Ours', 'mine')"
    )

    row = started.shop("s3")
    assert (row["name"], row["note"]) == ("Corner", "mine")
    assert counts == {"read": 4, "updated": 2, "unchanged": 1, "rejected": 1}
    assert {"name": "Ours", "modified": None} in [c["before"] for c in started.changes()]


def test_a_row_deleted_locally_during_the_merge_stays_deleted(started: Workbench) -> None:
    counts = merged_beside(started, "delete from shop where shop_id = 's1'")

    assert counts["deleted_locally"] == 1
    assert started.rows("select * from shop where shop_id = 's1'") == []
    assert [c["kind"] for c in started.conflicts()] == ["deleted"]


def test_a_unique_value_taken_locally_during_the_merge_rejects_only_its_record(
    started: Workbench,
) -> None:
    source = Source([shop("s1", 2, Code="A"), shop("s2", 2, Size=2)])

    with (
        held(started, "insert into shop (shop_id, code) values ('mine', 'A')") as app,
        in_background(lambda: started.merge(source.stream(started))) as work,
    ):
        await_blocked(started, work)
        app.commit()
        [result] = work.result()

    assert counted(result) == {"read": 2, "updated": 1, "rejected": 1}
    assert started.rejected()[0]["constraint"] == "shop_code_key"


def test_two_transactions_that_wait_for_each_other_both_come_through(started: Workbench) -> None:
    def connect_with_short_timeouts(name: str) -> psycopg.Connection[Any]:
        connection = connect(started.dsn, application_name=name)
        connection.execute("set deadlock_timeout = '300ms'")
        return connection

    def deadlocks() -> int:
        query = "select deadlocks from pg_stat_database where datname = current_database()"
        return started.row(query)["deadlocks"]

    source = Source(incoming())
    target = Target(connect_with_short_timeouts)
    with (
        held(started, PLACES["commit"]) as app,
        in_background(lambda: started.merge(source.stream(started), target=target)) as work,
    ):
        app.execute("set local deadlock_timeout = '20s'")
        await_blocked(started, work)  # it has updated s1 and waits for its watermark
        with suppress(psycopg.errors.DeadlockDetected):
            app.execute("update shop set note = 'ours' where shop_id = 's1'")
            app.commit()
        app.rollback()
        [result] = work.result()

    assert counted(result) == {
        "read": 4,
        "inserted": 1,
        "updated": 1,
        "unchanged": 1,
        "rejected": 1,
    }
    assert started.shop("s1")["size"] == 2
    assert source.asked == 1
    await_that(lambda: deadlocks() == 1)


# -- an app that does not let go


def test_a_row_that_stays_locked_fails_the_run_with_one_line(started: Workbench) -> None:
    limits = {"lock_timeout": SOON, "outage": dt.timedelta(milliseconds=400)}

    with (
        held(started, PLACES["update"]),
        pytest.raises(
            TargetUnavailable, match="other sessions kept writing the same rows"
        ) as caught,
    ):
        started.merge(started.stream(incoming()), target=started.target(**limits))

    assert "canceling statement due to lock timeout" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert started.shop("s1")["size"] == 1


@pytest.mark.parametrize("place", ["staging", "plan", "commit"])
def test_a_statement_that_takes_too_long_fails_the_run_with_one_line(
    started: Workbench, place: str
) -> None:
    with (
        held(started, PLACES[place]),
        pytest.raises(TargetUnavailable, match="SYNC_STATEMENT_TIMEOUT") as caught,
    ):
        started.merge(started.stream(incoming()), target=started.target(statement_timeout=2 * SOON))

    assert "canceling statement due to statement timeout" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert started.shop("s1")["size"] == 1


def test_a_base_that_stays_locked_fails_the_run_while_it_stages(started: Workbench) -> None:
    with held(started, PLACES["staging"]), pytest.raises(TargetUnavailable, match="lock timeout"):
        started.merge(started.stream(incoming()), target=started.target(lock_timeout=SOON))

    assert counted(started.sync(*incoming()))["inserted"] == 1


def test_waiting_for_another_run_is_not_bounded_by_the_time_for_a_statement(
    bench: Workbench,
) -> None:
    go_on = threading.Event()
    source = Source([shop()], go_on.wait)

    def second_run() -> None:
        hasty = bench.target(statement_timeout=dt.timedelta(seconds=1))
        bench.merge(bench.stream([shop("s2")]), target=hasty)

    with in_background(lambda: bench.merge(source.stream(bench))) as first:
        try:
            await_that(lambda: source.asked == 1)
            with in_background(second_run) as second:
                try:
                    await_blocked(bench, second)
                    threading.Event().wait(1.2)
                finally:
                    go_on.set()
        finally:
            go_on.set()
        first.result()
        second.result()

    assert len(bench.rows("select * from shop")) == 2
