"""Keys that the desktop repeats: one of the rows counts, always the same one, and the others are named."""

import pytest

from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline_tests.fixtures.desktop import Practice, counted, tables
from sync_pipeline_tests.systems.desktop.sample_rows import check, job, task


@pytest.fixture
def repeated(office: Practice) -> Practice:
    """One job three times, another twice, and one alone."""
    for job_id, work_desc in ((1, "a"), (1, "b"), (1, "c"), (2, "d"), (2, "e"), (3, "f")):
        office.desktop.insert("jobshead", **job(job_id, work_desc=work_desc))
    return office


def on_mobile(practice: Practice) -> list[str]:
    found = practice.mobile.rows("select work_desc from jobshead order by job_id")
    return [row["work_desc"] for row in found]


def test_the_surplus_is_counted_and_named(repeated: Practice) -> None:
    result = repeated.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 6, "inserted": 3, "duplicates": 3}
    assert result.metadata["duplicate_examples"] == ["1, 1001 (3 times)", "2, 1001 (2 times)"]
    assert on_mobile(repeated) == ["c", "e", "f"]


def test_the_same_row_counts_also_when_the_table_lies_in_another_order(repeated: Practice) -> None:
    repeated.forward("jobshead")
    before = repeated.mobile.written(tables(DESKTOP))
    # What is updated moves to the end; the field is none that is synced.
    for work_desc in "fdab":
        repeated.desktop.run(
            "update jobshead set jctincharge = 'Y' where work_desc = %s", work_desc
        )
    repeated.desktop.run("vacuum full jobshead")

    delta = repeated.forward("jobshead")["jobshead"]
    full = repeated.forward("jobshead", mode="full")["jobshead"]

    assert counted(delta) == {}
    assert counted(full) == {"read": 6, "unchanged": 3, "duplicates": 3}
    assert repeated.mobile.written(tables(DESKTOP)) == before


def test_a_change_of_a_row_that_does_not_count_changes_nothing(repeated: Practice) -> None:
    repeated.forward("jobshead")
    repeated.desktop.run("update jobshead set work_desc = 'z' where work_desc = 'd'")

    result = repeated.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 6, "unchanged": 3, "duplicates": 3}
    assert on_mobile(repeated) == ["c", "e", "f"]


def test_a_change_of_the_row_that_counts_arrives(repeated: Practice) -> None:
    repeated.forward("jobshead")
    repeated.desktop.run("update jobshead set work_desc = 'z' where work_desc = 'e'")

    repeated.forward("jobshead")

    assert on_mobile(repeated) == ["c", "z", "f"]


def test_exact_copies_of_a_row_are_surplus_too(office: Practice) -> None:
    for _ in range(2):
        office.desktop.insert("jobtasks", **task())
        office.desktop.insert("taskchecklist", **check(None))

    results = office.forward("jobtasks", "taskchecklist")

    for result in results.values():
        assert counted(result) == {"read": 2, "inserted": 1, "duplicates": 1}
    examples = results["taskchecklist"].metadata["duplicate_examples"]
    assert examples == ["∅, bills obtained (2 times)"]
