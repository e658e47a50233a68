"""Values on their way from one database to the other: the same value, or the row alone is rejected."""

from typing import Any

import pytest

from sync_pipeline_tests.fixtures.desktop import Practice, Side, counted
from sync_pipeline_tests.systems.desktop.sample_rows import diary, job, staff, task

TIMES = {
    "date": "2024-02-29",
    "timefrom": "2024-10-27 02:30:00.123456",
    "timeto": "1999-12-31 23:59:59",
}


def rejected(side: Side) -> list[tuple[str, str]]:
    rows = side.rows("select entity, reason from sync.rejected order by id")
    return [(row["entity"], row["reason"]) for row in rows]


def leave(learequest_id: int, **values: object) -> dict[str, object]:
    place = {"org_id": 1, "con_id": 1, "loc_id": 1, "learequest_id": learequest_id}
    return place | {"staff_id": 1001, "source": "M"} | values


def test_the_padding_of_a_char_is_no_difference_on_either_way(office: Practice) -> None:
    office.desktop.insert("jobshead", **job(1, job_nature=" ", job_status="P"))
    office.mobile.insert("jobshead", **job(1, job_nature="", job_status="P", source="D"))
    office.mobile.insert("learequest", **leave(7, fhvalue="Y", leavetype="SL"))
    office.desktop.insert("learequest", org_id=1, con_id=1, loc_id=1, learequest_id=7, source="M")
    office.desktop.run("update learequest set fhvalue = 'Y ', leavetype = 'SL'")
    before = office.mobile.images("jobshead"), office.desktop.images("learequest")

    forward, reverse = office.forward("jobshead")["jobshead"], office.reverse("learequest")

    assert counted(forward) == {"read": 1, "unchanged": 1}
    assert counted(reverse["learequest"]) == {"read": 1, "unchanged": 1}
    assert (office.mobile.images("jobshead"), office.desktop.images("learequest")) == before


@pytest.mark.parametrize(
    ("desktop", "mobile"), [("char(2)", "varchar(4)"), ("varchar(4)", "char(2)")]
)
def test_only_one_of_the_sides_pads(office: Practice, desktop: str, mobile: str) -> None:
    office.desktop.run(f"alter table jobshead alter column job_status type {desktop}")
    office.mobile.run(f"alter table jobshead alter column job_status type {mobile}")
    office.desktop.insert("jobshead", **job(1, job_status="P"))
    office.mobile.insert("jobshead", **job(2, job_status="P", source="M"))
    office.forward("jobshead")
    office.reverse("jobshead")
    before = office.desktop.images("jobshead"), office.mobile.images("jobshead")
    # Written again, so that nothing but the values says that nothing has changed.
    office.desktop.run("update jobshead set job_status = 'W'; update jobshead set job_status = 'P'")

    forward = office.forward("jobshead", mode="full", force=True)["jobshead"]
    reverse = office.reverse("jobshead", mode="full", force=True)["jobshead"]

    assert counted(forward) == {"read": 2, "unchanged": 1, "owned_elsewhere": 1}
    assert counted(reverse) == {"read": 1, "unchanged": 1}
    assert office.mobile.images("jobshead") == before[1]
    assert office.conflicts("mobile") == office.conflicts("desktop") == []


def test_a_number_that_fits_the_desktop_but_not_mobile_costs_its_row_alone(
    office: Practice,
) -> None:
    office.desktop.insert("workdiary", **diary(1234567890))
    office.desktop.insert("workdiary", **diary(12345678))
    office.mobile.run("alter table mbstaff alter column desc_id type numeric(3)")
    office.desktop.insert("mbstaff", **staff(1001, desc_id=12345))
    office.desktop.insert("mbstaff", **staff(1002, desc_id=123))

    results = office.forward("mbstaff", "workdiary")

    for result in results.values():
        assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert office.mobile.value("select wd_id from workdiary") == 12345678
    assert office.mobile.value("select staff_id from mbstaff") == 1002
    (_, narrowed), (_, key) = rejected(office.mobile)
    assert narrowed.startswith("1001: numeric field overflow")
    assert key.startswith("1234567890: numeric field overflow")


def test_dates_and_times_arrive_as_they_were_whatever_the_databases_are_set_to(
    office: Practice,
) -> None:
    for side, zone, style in (
        (office.desktop, "Asia/Kolkata", "SQL, DMY"),
        (office.mobile, "America/New_York", "German"),
    ):
        name = side.value("select current_database()")
        side.run(f"""alter database "{name}" set timezone to '{zone}'""")
        side.run(f"""alter database "{name}" set datestyle to '{style}'""")
    office.desktop.insert("workdiary", **diary(1, **TIMES))
    office.mobile.insert("workdiary", **diary(2, **TIMES, source="M"))
    precise: dict[str, Any] = {"actual_man_hrs": "23:59:59.999999", "jobdet_man_hrs": "123456.70"}
    office.desktop.insert("jobtasks", **task(1, **precise))
    office.mobile.insert("jobtasks", **task(2, **precise, source="M"))

    office.forward("workdiary", "jobtasks")
    office.reverse("workdiary", "jobtasks")

    for side in (office.mobile, office.desktop):
        query = "select date::text, timefrom::text, timeto::text from workdiary"
        assert side.rows(query) == [TIMES, TIMES]
        query = "select actual_man_hrs::text, jobdet_man_hrs::text from jobtasks"
        assert side.rows(query) == [precise, precise]


def test_moments_that_no_calendar_has_are_rejected_alone(office: Practice) -> None:
    for job_id, jobdate in enumerate(("infinity", "-infinity", "0044-03-15 BC", "2026-01-31")):
        office.desktop.insert("jobshead", **job(job_id, jobdate=jobdate))
    office.desktop.insert("workdiary", **diary(1, timeto="infinity"))
    office.desktop.insert("workdiary", **diary(2))

    results = office.forward("jobshead", "workdiary")

    assert counted(results["jobshead"]) == {"read": 4, "inserted": 1, "rejected": 3}
    assert counted(results["workdiary"]) == {"read": 2, "inserted": 1, "rejected": 1}
    assert sorted(reason for _, reason in rejected(office.mobile)) == [
        "0, 1001: jobdate → jobdate: 'infinity' is not a date",
        "1, 1001: jobdate → jobdate: '-infinity' is not a date",
        "1: timeto → timeto: 'infinity' is not a date and time",
        "2, 1001: jobdate → jobdate: '0044-03-15 BC' is not a date",
    ]


def test_texts_that_look_like_the_marks_of_the_format_arrive_as_they_are(office: Practice) -> None:
    texts = ["\\N", "a\\b\tc", "line\none", "", " ends in blanks  ", "'quoted' \"twice\"", "{a,b}"]
    for job_id, text in enumerate(texts):
        office.desktop.insert("jobshead", **job(job_id, work_desc=text))
        office.mobile.insert("jobshead", **job(100 + job_id, work_desc=text, source="M"))

    office.forward("jobshead")
    office.reverse("jobshead")

    for side in (office.mobile, office.desktop):
        found = side.rows("select work_desc from jobshead order by job_id")
        assert [row["work_desc"] for row in found] == texts * 2


def test_a_null_in_a_key_is_rejected_where_null_names_nothing(office: Practice) -> None:
    office.desktop.insert("jobshead", **job(1) | {"sporg_id": None})
    office.desktop.insert("jobshead", **job(2))

    result = office.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    [(_, reason)] = rejected(office.mobile)
    assert reason == "job_id '1': sporg_id is empty, and it is part of the key"


def test_a_null_that_counts_is_a_key_like_any_other(office: Practice) -> None:
    office.desktop.run(
        "insert into taskchecklist (org_id, loc_id, checklistdesc) values (1, 1, 'a'), (1, 1, 'b')"
    )
    first = office.forward("taskchecklist")["taskchecklist"]
    office.desktop.run("update taskchecklist set comments = 'new' where checklistdesc = 'a'")

    second = office.forward("taskchecklist")["taskchecklist"]
    third = office.forward("taskchecklist", mode="full", force=True)["taskchecklist"]

    assert counted(first) == {"read": 2, "inserted": 2}
    assert counted(second) == {"read": 2, "updated": 1, "unchanged": 1}
    assert counted(third) == {"read": 2, "unchanged": 2}
    query = "select checklistdesc, comments from taskchecklist order by 1"
    found = [tuple(row.values()) for row in office.mobile.rows(query)]
    assert found == [("a", "new"), ("b", None)]
