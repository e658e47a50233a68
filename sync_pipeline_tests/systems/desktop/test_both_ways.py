"""Random histories of the practice, both ways: nobody's rows are lost, doubled, re-owned or overwritten."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.sources.postgres import range_digests
from sync_pipeline_tests.fixtures.desktop import Practice, copied, counted
from sync_pipeline_tests.fixtures.properties import examples
from sync_pipeline_tests.fixtures.sample_system import await_that
from sync_pipeline_tests.systems.desktop.fault_injection import Direction
from sync_pipeline_tests.systems.desktop.model_based import PracticeModel
from sync_pipeline_tests.systems.desktop.random_histories import Step, histories

HISTORIES = examples(1, 20)
ENDS = st.sampled_from(["delta", "full"])


@pytest.fixture(scope="module")
def pair(
    server: EmbeddedServer, desktop_server: EmbeddedServer, practice_templates: None
) -> Iterator[Practice]:
    """Both databases with the masters, for one history after the other."""
    with (
        pytest.MonkeyPatch.context() as patch,
        stamina.set_testing(True, attempts=8),  # what is tried again need not wait
        copied(server, desktop_server, "bare") as practice,
    ):
        patch.setattr(range_digests, "ROWS_PER_RANGE", 1)
        practice.forward("orgmaster", "locmaster", "conmaster")
        yield practice


def check_history(
    practice: Practice, names: tuple[str, ...], history: list[Step], mode: str
) -> None:
    model = PracticeModel(practice, names)
    model.begin()
    for step in history:
        model.apply(step)
    model.end(mode)


@HISTORIES
@given(history=histories("jobshead", "jobtasks"), mode=ENDS)
def test_jobs_and_their_tasks(pair: Practice, history: list[Step], mode: str) -> None:
    check_history(pair, ("jobshead", "jobtasks"), history, mode)


@HISTORIES
@given(history=histories("taskchecklist"), mode=ENDS)
def test_checklists_whose_key_may_be_null(pair: Practice, history: list[Step], mode: str) -> None:
    check_history(pair, ("taskchecklist",), history, mode)


@HISTORIES
@given(history=histories("reminder", "remdetail"), mode=ENDS)
def test_reminders_and_their_answers(pair: Practice, history: list[Step], mode: str) -> None:
    check_history(pair, ("reminder", "remdetail"), history, mode)


PLACES = {
    "plan": "lock table public.jobshead in access exclusive mode",
    "commit": "select from _sync_metadata where table_name = 'jobshead' for update",
}
"""What holds up a run in the middle of its merge, as long as a transaction is open on its target."""


@pytest.fixture
def busy(office: Practice) -> PracticeModel:
    """Jobs that have been synced both ways, and since then changed and added on both sides."""
    model = PracticeModel(office, ["jobshead"])
    model.desk_inserts("jobshead", (1, 1), "D", ("work_desc", "a"))
    model.phone_inserts("jobshead", (2, 1), ("work_desc", "a"))
    for _ in range(2):
        model.forward("delta")
        model.reverse("delta")
    model.desk_sets("jobshead", 0, ("work_desc", "b"))
    model.desk_inserts("jobshead", (1, 2), None, ("work_desc", "a"))
    model.phone_sets_own("jobshead", 0, ("work_desc", "b"))
    model.phone_inserts("jobshead", (2, 2), ("work_desc", "a"))
    return model


@contextmanager
def another_process(
    model: PracticeModel, direction: str, *where: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs one way; killed at the end of the block."""
    dsns = [model.practice.desktop.dsn, model.practice.mobile.dsn]
    module = "sync_pipeline_tests.systems.desktop.killed_process"
    command = [sys.executable, "-m", module, *dsns, direction, *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


@contextmanager
def held(direction: Direction, statement: str) -> Iterator[None]:
    """A transaction on a way's target that has run a statement and stays open."""
    with direction.connect("an app") as connection:
        connection.autocommit = False
        connection.execute(statement.encode())
        yield
        connection.rollback()


def sessions(direction: Direction, waiting_for: str = "%") -> int:
    """Sessions of a run on its target, optionally only those that wait for such an event."""
    return direction.target.value(
        "select count(*) from pg_stat_activity where application_name like %s"
        " and datname = current_database() and coalesce(wait_event_type, '') like %s",
        f"sync_pipeline {direction.system.name}/%",
        waiting_for,
    )


def nothing_has_happened(model: PracticeModel, direction: Direction, was: list[list[str]]) -> None:
    await_that(lambda: sessions(direction) == 0)
    assert model.everything() == was


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_a_process_killed_while_it_reads(busy: PracticeModel, name: str) -> None:
    direction, was = busy.directions[name], busy.everything()

    with another_process(busy, name, "source") as process:
        assert process.stdout
        assert process.stdout.readline() == b"reading\n"
        assert sessions(direction) == 1

    nothing_has_happened(busy, direction, was)
    the_loop_goes_on(busy)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_a_process_killed_while_it_merges(busy: PracticeModel, name: str, place: str) -> None:
    direction, was = busy.directions[name], busy.everything()

    with held(direction, PLACES[place]), another_process(busy, name):
        await_that(lambda: sessions(direction, "Lock") == 1)

    nothing_has_happened(busy, direction, was)
    the_loop_goes_on(busy)


def the_loop_goes_on(model: PracticeModel) -> None:
    there = model.forward("delta")["jobshead"]
    back = model.reverse("delta")["jobshead"]

    assert counted(there).items() >= {"inserted": 1, "updated": 1}.items()
    assert counted(back).items() >= {"inserted": 1, "updated": 1}.items()
    model.end("delta")
