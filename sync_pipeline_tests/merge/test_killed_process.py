"""A merge whose process is killed leaves nothing half done, no lock, and nothing to repair."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sync_pipeline_tests.fixtures.sample_system import Workbench, await_that
from sync_pipeline_tests.merge.fault_injection import (
    PLACES,
    Source,
    before,
    held,
    incoming,
    merged_as_ever,
    sessions,
)

Killed = subprocess.Popen[bytes]


@contextmanager
def another_process(bench: Workbench, *where: str) -> Iterator[Killed]:
    """A process that merges; killed at the end of the block, if not before."""
    command = [sys.executable, "-m", "sync_pipeline_tests.merge.killed_process", bench.dsn, *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def state(bench: Workbench) -> list[list[dict[str, Any]]]:
    """Everything that a merge writes."""
    return [
        bench.rows(f"select * from {table} order by 1")
        for table in (
            "shop",
            "sync_base.shops__shop",
            "sync.change",
            "sync.step",
            "sync.rejected",
            "_sync_metadata",
        )
    ]


def no_lock_is_left(bench: Workbench) -> bool:
    query = (
        "select count(*) as n from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    return bench.row(query)["n"] == 0


def the_next_run_is_as_ever(bench: Workbench) -> None:
    source = Source(incoming())
    [result] = bench.merge(source.stream(bench))
    merged_as_ever(bench, result)


@pytest.fixture
def started(bench: Workbench) -> Workbench:
    bench.sync(*before())
    return bench


def test_killed_while_the_source_is_read(started: Workbench) -> None:
    was = state(started)

    with another_process(started, "source") as process:
        assert process.stdout
        assert process.stdout.readline() == b"reading\n"
        assert not no_lock_is_left(started)

    await_that(lambda: no_lock_is_left(started))
    assert state(started) == was
    the_next_run_is_as_ever(started)


@pytest.mark.parametrize("place", PLACES)
def test_killed_in_the_middle_of_the_merge(started: Workbench, place: str) -> None:
    was = state(started)

    with held(started, PLACES[place]) as holder:
        with another_process(started) as process:
            await_that(lambda: sessions(started, "Lock") == 1)
            process.kill()
        # The lock that held it up is still held: its session must not wait for that to end.
        await_that(lambda: sessions(started) == 0)
        holder.rollback()

    assert no_lock_is_left(started)
    assert state(started) == was
    the_next_run_is_as_ever(started)
