"""Rows whose parents are not there: held back where the mobile database insists, loaded where it does not."""

from sync_pipeline.merge.review import audit
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline_tests.fixtures.desktop import Practice, counted
from sync_pipeline_tests.systems.desktop.sample_rows import (
    answer,
    client,
    diary,
    job,
    reminder,
    staff,
)


def waiting(practice: Practice) -> list[tuple[str, str, str]]:
    query = "select entity, parent, parent_key from sync.parked order by id"
    return [tuple(row.values()) for row in practice.mobile.rows(query)]


def test_a_client_of_an_organisation_or_a_location_that_is_not_there_waits_for_it(
    office: Practice,
) -> None:
    office.desktop.insert("climaster", **client(1, org_id=2))
    office.desktop.insert("climaster", **client(2, loc_id=9))
    office.desktop.insert("climaster", **client(3))

    first = office.forward("climaster")["climaster"]
    parked = waiting(office)
    office.desktop.run("insert into orgmaster values (2, 'Rao', null)")
    office.desktop.run("insert into locmaster values (1, 9, 'Nashik', null)")
    later = office.forward("orgmaster", "locmaster", "climaster")["climaster"]

    assert counted(first) == {"read": 3, "inserted": 1, "parked": 2}
    assert parked == [("climaster", "orgmaster", "2"), ("climaster", "locmaster", "9")]
    assert counted(later) == {"read": 2, "inserted": 2}
    assert later.metadata["released"] == 2
    assert waiting(office) == []


def test_an_answer_waits_for_its_reminder(office: Practice) -> None:
    office.desktop.insert("mbremdetail", **answer(7001, rem_id=5001))
    first = office.forward("reminder", "remdetail")["remdetail"]
    office.desktop.insert("mbreminder", **reminder(5001))

    later = office.forward("reminder", "remdetail")["remdetail"]

    assert (counted(first), counted(later)) == (
        {"read": 1, "parked": 1},
        {"read": 1, "inserted": 1},
    )
    assert first.metadata["parked_examples"] == ['{"remdetid": 7001} waits for reminder 5001']


def test_an_answer_to_a_reminder_of_a_mobile_user_need_not_wait(office: Practice) -> None:
    office.desktop.insert("mbremdetail", **answer(7001, rem_id=80_000_001))
    office.mobile.insert("reminder", **reminder(80_000_001, source="M"))

    result = office.forward("remdetail")["remdetail"]

    assert counted(result) == {"read": 1, "inserted": 1}


def test_a_diary_entry_waits_for_its_staff_and_its_task_in_turn(office: Practice) -> None:
    office.desktop.insert("workdiary", **diary(1, staff_id=1001, task_id=101, con_id=1))
    office.desktop.insert("workdiary", **diary(2))
    first = office.forward("workdiary")["workdiary"]
    office.desktop.insert("mbstaff", **staff(1001))

    second = office.forward("mbstaff", "workdiary")["workdiary"]
    still = waiting(office)
    office.desktop.run(
        "insert into taskmaster (org_id, con_id, loc_id, task_id) values (1, 1, 1, 101)"
    )
    third = office.forward("taskmaster", "workdiary")["workdiary"]

    assert counted(first) == {"read": 2, "inserted": 1, "parked": 1}
    assert (counted(second), still) == (
        {"read": 1, "parked": 1},
        [("workdiary", "taskmaster", "101")],
    )
    assert counted(third) == {"read": 1, "inserted": 1}


def test_links_that_mobile_does_not_insist_on_load_and_are_reported(office: Practice) -> None:
    office.desktop.insert("climaster", **client(10001, con_id=0))
    office.desktop.insert("jobshead", **job(1, client_id=500001, con_id=77))
    office.desktop.insert("jobshead", **job(2, client_id=10001))
    office.desktop.insert("mbreminder", **reminder(5001, staff_id=1999, client_id=10001))

    results = office.forward("climaster", "jobshead", "reminder")

    assert sum(result.counts.inserted for result in results.values()) == 4
    connection = office.mobile.connection
    found = {
        (name, link.column): link.examples
        for name in results
        for link in audit.dangling_links(connection, DESKTOP, DESKTOP[name])
        if link.values
    }
    assert found == {
        ("climaster", "con_id"): ["10001 → 0"],
        ("jobshead", "con_id"): ["1, 1001 → 77"],
        ("jobshead", "client_id"): ["1, 1001 → 500001"],
        ("reminder", "staff_id"): ["5001 → 1999"],
    }
