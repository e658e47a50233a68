"""Rows and tables missing on the desktop: nothing on mobile is deleted for it."""

import pytest

from sync_pipeline.errors import StoppedByGuard
from sync_pipeline_tests.fixtures.desktop import Practice, counted
from sync_pipeline_tests.systems.desktop.sample_rows import job, reminder


@pytest.fixture
def sixty_jobs(office: Practice) -> Practice:
    office.desktop.run(
        "insert into jobshead (org_id, con_id, loc_id, job_id, sporg_id, client_id)"
        " select 1, 1, 1, 24000 + n, 1001, 10001 from generate_series(1, 60) n"
    )
    office.forward("jobshead")
    return office


def test_a_table_that_is_empty_on_the_desktop_leaves_mobiles_rows_alone(office: Practice) -> None:
    office.mobile.insert("jobshead", **job(1, source="D"))
    office.mobile.insert("jobshead", **job(2, source="M"))
    before = office.mobile.images("jobshead")

    result = office.forward("jobshead", mode="full")["jobshead"]

    assert counted(result) == {}
    assert office.mobile.images("jobshead") == before


@pytest.mark.parametrize("mode", ["delta", "full"])
def test_a_table_that_was_emptied_is_not_skipped_and_deletes_nothing(
    sixty_jobs: Practice, mode: str
) -> None:
    before = sixty_jobs.mobile.images("jobshead")
    sixty_jobs.desktop.run("create table kept as select * from jobshead; delete from jobshead")

    emptied = sixty_jobs.forward("jobshead", mode=mode)["jobshead"]
    sixty_jobs.desktop.run("insert into jobshead select * from kept")
    sixty_jobs.desktop.insert("jobshead", **job(25000))
    filled = sixty_jobs.forward("jobshead", mode=mode)["jobshead"]

    assert (counted(emptied), emptied.metadata["missing"]) == ({}, 0)
    assert emptied.metadata["source_rows"] == 0
    assert counted(filled) == {"read": 61, "inserted": 1, "unchanged": 60}
    assert sixty_jobs.mobile.images("jobshead", "job_id < 25000") == before


def test_a_missing_row_stays_on_mobile_and_is_counted_as_missing(
    sixty_jobs: Practice,
) -> None:
    before = sixty_jobs.mobile.images("jobshead")
    sixty_jobs.desktop.run("delete from jobshead where job_id = 24030")

    result = sixty_jobs.forward("jobshead", mode="full")["jobshead"]

    assert (counted(result), result.metadata["missing"]) == ({"read": 59, "unchanged": 59}, 1)
    assert sixty_jobs.mobile.images("jobshead") == before


def test_a_table_with_too_many_missing_rows_is_stopped_and_the_others_go_on(
    sixty_jobs: Practice,
) -> None:
    before = sixty_jobs.mobile.images("jobshead")
    sixty_jobs.desktop.run("delete from jobshead where job_id > 24035")
    sixty_jobs.desktop.run("update jobshead set work_desc = 'changed'")
    sixty_jobs.desktop.insert("mbreminder", **reminder())

    with pytest.raises(StoppedByGuard, match="25 of 60 rows are no longer at the source") as stop:
        sixty_jobs.forward("jobshead", mode="full")
    others = sixty_jobs.forward("reminder", mode="full")

    assert sixty_jobs.mobile.images("jobshead") == before
    assert counted(others["reminder"]) == {"read": 1, "inserted": 1}
    approved = frozenset({stop.value.digest})
    result = sixty_jobs.forward("jobshead", mode="full", approve=approved)["jobshead"]
    assert (counted(result), result.metadata["missing"]) == ({"read": 35, "updated": 35}, 25)
    assert sixty_jobs.mobile.value("select count(*) from jobshead") == 60
