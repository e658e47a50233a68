"""People who enter rows while a run is at work: they are seen before anything of theirs is overwritten."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.fixtures.desktop import Practice, Results, Side, counted
from sync_pipeline_tests.fixtures.sample_system import await_that
from sync_pipeline_tests.systems.desktop.sample_rows import reminder

WAITING = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and wait_event_type = 'Lock' and application_name like 'sync_pipeline%%'"
)


@contextmanager
def entering(side: Side, table: str, **values: object) -> Iterator[Callable[[], None]]:
    """Somebody enters a row, and commits it when the given function is called."""
    with connect(side.dsn) as app:
        own = Side.__new__(Side)
        own.dsn, own.connection = side.dsn, app
        app.autocommit = False
        own.insert(table, **values)
        yield app.commit


def caught_in_the_act(side: Side, run: Callable[[], Results], then: Callable[[], None]) -> Results:
    """The results of a run that has planned and waits for somebody when something happens."""
    with ThreadPoolExecutor(1) as threads:
        work: Future[Results] = threads.submit(run)
        await_that(lambda: work.done() or side.value(WAITING) > 0)
        assert not work.done(), work.result()
        then()
        return work.result()


def test_a_mobile_row_that_is_committed_after_the_plan_was_made_is_not_overwritten(
    office: Practice,
) -> None:
    office.desktop.insert("mbreminder", **reminder(5001, remtitle="Advance tax"))

    theirs = reminder(5001, remtitle="Call the bank", source="M")
    with entering(office.mobile, "reminder", **theirs) as commit:
        results = caught_in_the_act(office.mobile, lambda: office.forward("reminder"), commit)

    assert counted(results["reminder"]) == {"read": 1, "owned_elsewhere": 1}
    row = office.mobile.row("select remtitle, source from reminder")
    assert row == {"remtitle": "Call the bank", "source": "M"}
    [conflict] = office.conflicts()
    assert conflict["source"] == {"remtitle": "Advance tax"}


def test_a_desktop_row_that_is_committed_while_a_run_goes_back_is_not_doubled(
    office: Practice,
) -> None:
    office.mobile.insert("reminder", **reminder(5001, remtitle="Call the bank", source="M"))

    theirs = reminder(5001, remtitle="Advance tax")
    with entering(office.desktop, "mbreminder", **theirs) as commit:
        results = caught_in_the_act(office.desktop, lambda: office.reverse("reminder"), commit)

    assert counted(results["reminder"]) == {"read": 1, "owned_elsewhere": 1}
    assert office.desktop.rows("select remtitle from mbreminder") == [{"remtitle": "Advance tax"}]
