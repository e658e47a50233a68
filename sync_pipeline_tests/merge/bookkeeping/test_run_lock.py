"""Run locks: which runs of the history live, and which are orphaned because their process died."""

from uuid import UUID, uuid4

from sync_pipeline.merge.bookkeeping import run_lock, runs
from sync_pipeline.merge.bookkeeping.run_lock import RunLock
from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.fixtures.command_line import until
from sync_pipeline_tests.fixtures.sample_system import Workbench, shop


def is_orphaned(bench: Workbench, run_id: UUID) -> None:
    # The server notices a moment later that a session has ended.
    until(lambda: run_lock.orphaned(bench.connection) == [run_id], "the lock to be free")


def test_a_run_is_orphaned_when_its_lock_is_released(bench: Workbench) -> None:
    run_id = uuid4()
    with RunLock(lambda: connect(bench.dsn)) as lock:
        lock.acquire(run_id, "full", system="shops")
        lock.acquire(run_id, "full", system="shops")
        assert run_lock.orphaned(bench.connection) == []
    is_orphaned(bench, run_id)


def test_a_run_lock_is_acquired_again_after_its_connection_was_lost(bench: Workbench) -> None:
    run_id = uuid4()
    with RunLock(lambda: connect(bench.dsn, application_name="lock")) as lock:
        lock.acquire(run_id, "full")
        bench.run(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'lock'"
        )
        is_orphaned(bench, run_id)
        lock.acquire(run_id, "full")
        assert run_lock.orphaned(bench.connection) == []


def test_a_run_that_lost_its_lock_lives_while_it_merges(bench: Workbench) -> None:
    run_id = uuid4()
    with RunLock(lambda: connect(bench.dsn)) as lock:
        lock.acquire(run_id, "full")
    name = f"sync_pipeline shops/shop run {str(run_id)[:8]}"
    with connect(bench.dsn, application_name=name):
        assert run_lock.orphaned(bench.connection) == []
    is_orphaned(bench, run_id)


def test_a_run_that_never_held_a_lock_is_left_to_whoever_entered_it(bench: Workbench) -> None:
    runs.open_run(bench.connection, uuid4(), "patch")
    assert run_lock.orphaned(bench.connection) == []


def test_an_orphaned_run_ends_with_its_last_step(bench: Workbench) -> None:
    run_id = uuid4()
    with RunLock(lambda: connect(bench.dsn)) as lock:
        lock.acquire(run_id, "full")
        bench.sync(shop(), run_id=run_id)
    bench.run("update sync_history set created_at = created_at - interval '1 hour'")
    bench.run("update sync.step set finished_at = finished_at - interval '30 minutes'")
    run_lock.close(bench.connection, run_id, "killed")
    row = bench.row("select status, duration_ms, metadata ->> 'error' as why from sync_history")
    assert (row["status"], row["why"]) == ("partial_success", "killed")
    assert 29 * 60_000 < row["duration_ms"] < 31 * 60_000
    assert run_lock.orphaned(bench.connection) == []
