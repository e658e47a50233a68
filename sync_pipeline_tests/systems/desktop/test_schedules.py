"""What starts and closes runs of the desktop system: requests, the history of both databases, retention."""

from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest

from sync_pipeline.definitions import defs
from sync_pipeline.merge.bookkeeping import requests, watermarks
from sync_pipeline.merge.bookkeeping import runs as history
from sync_pipeline.merge.bookkeeping.run_lock import RunLock
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.orchestration.run_history import REQUEST_TAG
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.resource import DesktopDatabase
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline_tests.fixtures import daemon
from sync_pipeline_tests.fixtures.dagster_run import SILENT, DagsterRun
from sync_pipeline_tests.fixtures.desktop import Side
from sync_pipeline_tests.fixtures.desktop_system import DesktopSystem
from sync_pipeline_tests.systems.desktop.sample_rows import check, job

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
JOBS, JOBS_BACK = DESKTOP["jobshead"], REVERSE["jobshead"]
FORWARD, BACK = "desktop_sync", "desktop_reverse"


def history_of(side: Side) -> str:
    """The table that holds it: on the desktop, `public` belongs to another program."""
    own = side.value("select to_regclass('sync.sync_history') is not null")
    return "sync.sync_history" if own else "public.sync_history"


def recorded(side: Side, run: UUID | str) -> dict[str, Any] | None:
    """A run's row in the history that a database keeps, if it has one."""
    query = f"select status, items_created, metadata from {history_of(side)} where id = %s"
    rows = side.rows(query, run)
    return rows[0] if rows else None


def status(side: Side, run: UUID | str) -> str | None:
    row = recorded(side, run)
    return row["status"] if row else None


# -- requests


def queue(desktop: DesktopSystem, system: str, entity: str, *keys: str) -> int:
    return requests.queue(desktop.mobile.connection, system, entity, keys, "somebody asked")


def request_row(desktop: DesktopSystem, number: int) -> dict[str, Any]:
    return desktop.mobile.row("select * from sync.request where id = %s", number)


def launched(desktop: DesktopSystem, request: dg.RunRequest) -> DagsterRun:
    """The run that the daemon would make of a sensor's request."""
    assert request.job_name
    selection = list(request.asset_selection or ())
    return desktop.launch(
        request.job_name, dict(request.run_config), selection, tags=dict(request.tags)
    )


def ended(desktop: DesktopSystem, run: DagsterRun) -> None:
    """What the daemon does when a run has ended."""
    sensor = "close_history" if run.success else "close_history_of_failed"
    daemon.notice(desktop.instance, run.result.dagster_run, sensor)


def test_requests_of_either_way_become_runs_of_just_these_rows(desktop: DesktopSystem) -> None:
    for number in (17, 18):
        desktop.desktop.insert("jobshead", **job(number, 3, source="D"))
        desktop.mobile.insert("jobshead", **job(number, 4, source="M"))
    there = queue(desktop, "desktop", "jobshead", "17,3")
    back = queue(desktop, "desktop_reverse", "jobshead", "18,4")

    first, second = daemon.look(desktop.instance, "sync_requests").run_requests

    assert (first.job_name, second.job_name) == ("desktop_partial", "desktop_reverse_partial")
    assert [r.tags[REQUEST_TAG] for r in (first, second)] == [str(there), str(back)]
    assert {r.tags["sync/source"] for r in (first, second)} == {"desktop"}
    for request, entity in ((first, JOBS), (second, JOBS_BACK)):
        run = launched(desktop, request)
        assert run.metadata(entity).items() >= {"read": 1, "inserted": 1, "scope": "keys"}.items()
        ended(desktop, run)
    query = "select job_id, sporg_id from jobshead where source {} order by 1, 2"
    arrived = desktop.mobile.rows(query.format("= 'D'"))
    returned = desktop.desktop.rows(query.format("= 'M'"))
    assert [tuple(row.values()) for row in arrived] == [(17, 3)]
    assert [tuple(row.values()) for row in returned] == [(18, 4)]
    for number in (there, back):
        done = request_row(desktop, number)
        assert (done["error"], done["attempts"]) == (None, 1)
        assert done["finished_at"] is not None
    assert status(desktop.desktop, str(request_row(desktop, back)["run_id"])) == "completed"
    assert status(desktop.mobile, str(request_row(desktop, back)["run_id"])) is None


def test_a_requested_key_may_have_a_part_that_is_null_and_one_with_commas(
    desktop: DesktopSystem,
) -> None:
    for description in ("bills, vouchers", "bills"):
        desktop.desktop.insert("taskchecklist", **check(None, description, source="D"))
    queue(desktop, "desktop", "taskchecklist", ",bills, vouchers")

    [request] = daemon.look(desktop.instance, "sync_requests").run_requests
    launched(desktop, request)

    rows = desktop.mobile.rows("select task_id, checklistdesc from taskchecklist")
    assert rows == [{"task_id": None, "checklistdesc": "bills, vouchers"}]


def test_a_request_with_half_a_key_fails_and_says_what_the_key_is(desktop: DesktopSystem) -> None:
    number = queue(desktop, "desktop_reverse", "jobshead", "18")
    [request] = daemon.look(desktop.instance, "sync_requests").run_requests

    run = launched(desktop, request)
    ended(desktop, run)

    said = "key '18' has 1 parts; the key is job_id, sporg_id, separated by commas"
    assert said in run.failures
    assert status(desktop.desktop, run.id) == "failed"
    assert status(desktop.mobile, run.id) is None
    assert request_row(desktop, number)["finished_at"] is None  # it is tried again


# -- the history


@pytest.mark.parametrize(("name", "into_mobile"), [(FORWARD, True), (BACK, False)])
def test_a_run_that_succeeded_is_closed_where_it_wrote(
    desktop: DesktopSystem, name: str, into_mobile: bool
) -> None:
    desktop.desktop.insert("jobshead", **job(1, source="D"))
    desktop.mobile.insert("jobshead", **job(2, source="M"))
    run = desktop.run(name, JOBS if into_mobile else JOBS_BACK)
    sides = (desktop.mobile, desktop.desktop)
    written, other = sides if into_mobile else sides[::-1]
    assert status(written, run.id) == "running"

    ended(desktop, run)

    closed = recorded(written, run.id)
    assert closed
    assert (closed["status"], closed["items_created"]) == ("completed", 1)
    assert recorded(other, run.id) is None


@pytest.mark.parametrize(("name", "into_mobile"), [(FORWARD, True), (BACK, False)])
def test_a_run_that_failed_before_its_first_table_is_in_the_history_where_it_would_have_written(
    desktop: DesktopSystem, name: str, into_mobile: bool
) -> None:
    run = desktop.run(name, JOBS if into_mobile else JOBS_BACK, mode="keys")  # and no ids
    sides = (desktop.mobile, desktop.desktop)
    written, other = sides if into_mobile else sides[::-1]

    ended(desktop, run)

    closed = recorded(written, run.id)
    assert closed
    assert closed["status"] == "failed"
    assert closed["metadata"]["error"]
    assert recorded(other, run.id) is None


def test_a_run_of_the_target_is_closed_also_while_the_desktop_is_away(
    desktop: DesktopSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = desktop.run(FORWARD, JOBS)
    back = desktop.run(BACK, JOBS_BACK)
    monkeypatch.setenv("DESKTOP_DSN", NOWHERE)

    ended(desktop, there)
    ended(desktop, back)

    assert status(desktop.mobile, there.id) == "completed"
    assert status(desktop.desktop, back.id) == "running"
    monkeypatch.setenv("DESKTOP_DSN", desktop.desktop.dsn)
    desktop.await_alone()
    daemon.look(desktop.instance, "settle_abandoned")
    assert status(desktop.desktop, back.id) == "completed"


def test_a_run_whose_source_is_gone_is_closed_in_the_database_that_it_would_have_written(
    desktop: DesktopSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKTOP_DSN", desktop.desktop.dsn.replace("?", "_gone?"))

    run = desktop.run(FORWARD, JOBS)
    ended(desktop, run)

    assert not run.success
    assert "DESKTOP_DSN" in run.failures
    assert status(desktop.mobile, run.id) == "failed"


def killed(desktop: DesktopSystem, name: str, database: TargetDatabase) -> str:
    """A run that held its run lock and holds it no more."""
    run = desktop.instance.create_run_for_job(
        defs.resolve_job_def(name), status=dg.DagsterRunStatus.STARTED
    )
    with RunLock(database.connect) as lock:
        lock.acquire(UUID(run.run_id), "delta", system="desktop")
    desktop.await_alone()
    return run.run_id


def test_killed_runs_are_closed_in_the_database_that_each_wrote(desktop: DesktopSystem) -> None:
    there = killed(desktop, FORWARD, TargetDatabase())
    back = killed(desktop, BACK, DesktopDatabase())

    tick = daemon.look(desktop.instance, "settle_abandoned")

    assert tick.skip_message == f"closed {there}, {back}"
    assert status(desktop.mobile, there) == status(desktop.desktop, back) == "failed"
    assert status(desktop.mobile, back) is status(desktop.desktop, there) is None
    runs = [desktop.instance.get_run_by_id(run) for run in (there, back)]
    assert [run and run.status for run in runs] == [dg.DagsterRunStatus.FAILURE] * 2


@pytest.mark.parametrize("desktop_dsn", [NOWHERE, ""])
def test_killed_runs_of_the_target_are_closed_also_while_the_desktop_is_away_or_not_named(
    desktop: DesktopSystem, monkeypatch: pytest.MonkeyPatch, desktop_dsn: str
) -> None:
    there = killed(desktop, FORWARD, TargetDatabase())
    monkeypatch.setenv("DESKTOP_DSN", desktop_dsn)

    tick = daemon.look(desktop.instance, "settle_abandoned")

    assert tick.skip_message == f"closed {there}"
    assert status(desktop.mobile, there) == "failed"


# -- retention


def grow_old(desktop: DesktopSystem) -> None:
    """Both databases account for a run of long ago and for one of today."""
    long_ago, today = uuid4(), uuid4()
    for run in (long_ago, today):
        desktop.practice.forward("jobshead", run_id=run)
        desktop.practice.reverse("jobshead", run_id=run)
        for database in (TargetDatabase(), DesktopDatabase()):
            with database.connect() as connection:
                history.open_run(connection, run, "delta")
    for side in (desktop.mobile, desktop.desktop):
        for table, moment, run in (
            ("sync.step", "started_at", "run_id"),
            (history_of(side), "created_at", "id"),
        ):
            past = f"update {table} set {moment} = now() - interval '200 days' where {run} = %s"
            side.run(past, long_ago)


def accounts(side: Side) -> tuple[int, int]:
    """Steps and runs that a database accounts for."""
    return (
        side.value("select count(*) from sync.step"),
        side.value(f"select count(*) from {history_of(side)}"),
    )


def retain(desktop: DesktopSystem) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("retention").execute_in_process(
        instance=desktop.instance, run_config=SILENT
    )


def test_old_bookkeeping_goes_from_both_databases_and_nothing_else(desktop: DesktopSystem) -> None:
    desktop.mobile.insert("jobshead", **job(2, source="M"))
    grow_old(desktop)
    assert accounts(desktop.mobile) == accounts(desktop.desktop) == (2, 2)

    assert retain(desktop).success

    assert accounts(desktop.mobile) == accounts(desktop.desktop) == (1, 1)
    assert desktop.desktop.value("select count(*) from jobshead") == 1
    with DesktopDatabase().connect() as connection:
        assert watermarks.progress(connection, JOBS_BACK).cursor is not None


def test_a_desktop_that_is_away_keeps_nothing_of_the_target_from_going(
    desktop: DesktopSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow_old(desktop)
    monkeypatch.setenv("DESKTOP_DSN", NOWHERE)

    assert retain(desktop).success

    assert accounts(desktop.mobile) == (1, 1)
    assert accounts(desktop.desktop) == (2, 2)
