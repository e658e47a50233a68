"""The client of a task, which the desktop does not keep: it is the client of the task's job on mobile."""

from typing import Any

import pytest

from sync_pipeline_tests.fixtures.desktop import Practice, counted
from sync_pipeline_tests.systems.desktop.sample_rows import job, task


def clients(practice: Practice) -> list[Any]:
    """The client of each task, by job."""
    found = practice.mobile.rows("select client_id from jobtasks order by job_id")
    return [row["client_id"] for row in found]


@pytest.fixture
def two_jobs(office: Practice) -> Practice:
    """Tasks of a job with one client, and of a job that nobody has."""
    office.desktop.insert("jobshead", **job(1, client_id=10001))
    office.desktop.insert("jobtasks", **task(1))
    office.desktop.insert("jobtasks", **task(2))
    office.forward("jobshead", "jobtasks")
    return office


def test_a_task_has_the_client_of_its_job_and_none_where_there_is_no_job(
    two_jobs: Practice,
) -> None:
    assert clients(two_jobs) == [10001, None]


def test_the_client_follows_the_job_although_the_task_has_not_changed(two_jobs: Practice) -> None:
    two_jobs.desktop.run("update jobshead set client_id = 10002")
    two_jobs.desktop.insert("jobshead", **job(2, client_id=10003))

    result = two_jobs.forward("jobshead", "jobtasks")["jobtasks"]
    again = two_jobs.forward("jobshead", "jobtasks")["jobtasks"]

    assert clients(two_jobs) == [10002, 10003]
    assert (counted(result), counted(again)) == ({"read": 2, "updated": 2}, {})
    assert (result.metadata["bytes"] > 0, result.metadata["looked_up"]) == (True, 2)


def test_the_client_follows_a_job_that_was_changed_on_mobile(two_jobs: Practice) -> None:
    two_jobs.mobile.run("update jobshead set client_id = 10009")

    two_jobs.forward("jobtasks")

    assert clients(two_jobs) == [10009, None]


def test_a_client_that_a_person_chose_stays(two_jobs: Practice) -> None:
    two_jobs.mobile.run("update jobtasks set client_id = 77")

    for scope in ("delta", "full"):
        two_jobs.forward("jobtasks", mode=scope)

    assert clients(two_jobs) == [77, 77]


def test_a_client_that_a_person_chose_and_that_the_job_changes_too_is_a_conflict(
    two_jobs: Practice,
) -> None:
    two_jobs.mobile.run("update jobtasks set client_id = 77 where job_id = 1")
    two_jobs.desktop.run("update jobshead set client_id = 10002")

    two_jobs.forward("jobshead", "jobtasks")

    [conflict] = two_jobs.conflicts()
    assert (conflict["entity"], conflict["field"]) == ("jobtasks", "client_id")
    values = conflict["base"], conflict["local"], conflict["source"]
    assert values == (10001, 77, 10002)


def test_of_several_rows_of_a_job_the_one_with_the_lowest_key_decides(office: Practice) -> None:
    for sporg_id, client_id in ((1003, 3), (1001, 1), (1002, 2)):
        office.desktop.insert("jobshead", **job(1, sporg_id, client_id=client_id))
    office.desktop.insert("jobtasks", **task(1))

    office.forward("jobshead", "jobtasks")
    lowest = clients(office)
    office.desktop.run("update jobshead set client_id = 9 where sporg_id = 1002")
    result = office.forward("jobshead", "jobtasks")["jobtasks"]

    assert (lowest, clients(office), counted(result)) == ([1], [1], {})
