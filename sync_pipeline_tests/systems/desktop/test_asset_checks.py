"""The alert list of the source document as asset checks: each fails when it should, and only then."""

from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from sync_pipeline.merge.review import resolve
from sync_pipeline.model.entity import Entity
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline_tests.fixtures.dagster_run import Checks
from sync_pipeline_tests.fixtures.desktop_system import DesktopSystem
from sync_pipeline_tests.systems.desktop.sample_rows import answer, check, client, job, reminder

JOBS, JOBS_BACK = DESKTOP["jobshead"], REVERSE["jobshead"]
EVERYWHERE = {"accounting", "row_count", "freshness", "duration", "errors", "links"}
OF_OWNERS = {"owner_rows", "owner_conflicts", "counts_explained"}


def enter_jobs(desktop: DesktopSystem, count: int, **values: Any) -> None:
    """Jobs 1 to `count` of the only client, on the desktop."""
    desktop.desktop.insert("climaster", **client(source="D"))
    for number in range(1, count + 1):
        desktop.desktop.insert("jobshead", **job(number, source="D") | values)


def failed(checks: Checks) -> dict[str, str]:
    """What each failed check says."""
    return {name: c.description or "" for name, c in checks.items() if not c.passed}


def value(evaluation: dg.AssetCheckEvaluation, name: str) -> Any:
    return evaluation.metadata[name].value


def test_every_check_passes_both_ways_when_all_is_well(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 2)
    desktop.mobile.insert("jobshead", **job(9, source="M"))
    desktop.practice.forward("climaster", "jobshead")
    desktop.practice.reverse("climaster", "jobshead")
    desktop.practice.forward("climaster", "jobshead")

    there, back = desktop.check(JOBS), desktop.check(JOBS_BACK)

    assert failed(there) == failed(back) == {}
    assert set(there) == EVERYWHERE | OF_OWNERS | {
        "unique_index",
        "no_duplicate_keys",
        "owner_marks",
    }
    # The desktop has no indexes and marks no rows of its own; neither is ours to judge.
    assert set(back) == EVERYWHERE | OF_OWNERS


def test_a_table_that_loses_more_than_a_twentieth_of_its_rows_is_found(
    desktop: DesktopSystem,
) -> None:
    enter_jobs(desktop, 40)
    desktop.run("desktop_sync", JOBS, checks=True)
    desktop.mobile.run("delete from jobshead where job_id <= 2")
    bearable = desktop.run("desktop_sync", JOBS, checks=True).checks(JOBS)["row_count"]
    desktop.mobile.run("delete from jobshead where job_id <= 4")

    fell = desktop.run("desktop_sync", JOBS, checks=True).checks(JOBS)["row_count"]

    assert bearable.passed
    assert (fell.passed, fell.description) == (False, "row_count fell from 38 to 36")


def test_a_single_mobile_row_that_is_gone_is_found(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 1)
    for number in range(50, 90):
        desktop.mobile.insert("jobshead", **job(number, source="M"))
    desktop.run("desktop_sync", JOBS, checks=True)
    desktop.mobile.run("delete from jobshead where job_id = 50")

    checks = desktop.run("desktop_sync", JOBS, checks=True).checks(JOBS)

    assert failed(checks)["owner_rows"] == "rows_of_other_owners fell from 40 to 39"
    assert checks["row_count"].passed


def test_a_run_longer_than_ten_minutes_is_found(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 1)
    desktop.practice.forward("jobshead")
    earlier = "update sync.step set started_at = started_at - interval '{} minutes'"
    desktop.mobile.run(earlier.format(9))
    bearable = desktop.check(JOBS)["duration"]
    desktop.mobile.run(earlier.format(2))

    long = desktop.check(JOBS)["duration"]

    assert (bearable.passed, long.passed) == (True, False)
    assert value(long, "minutes") == pytest.approx(11, abs=0.1)


def test_a_run_is_long_too_when_each_of_its_tables_was_quick(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 1)
    desktop.practice.forward("climaster", "jobshead")
    desktop.mobile.run(
        "update sync.step set started_at = started_at - interval '12 minutes',"
        " finished_at = finished_at - interval '12 minutes' where entity = 'climaster'"
    )

    assert desktop.check(DESKTOP["climaster"])["duration"].passed
    late = desktop.check(JOBS)["duration"]
    assert late.description == "the run had been going for 12.0 minutes when this table was merged"


def test_more_than_ten_errors_are_found(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 10, sporg_id=None)
    desktop.practice.forward("jobshead")
    bearable = desktop.check(JOBS)["errors"]
    desktop.desktop.insert("jobshead", **job(11) | {"sporg_id": None})
    desktop.practice.forward("jobshead")

    too_many = desktop.check(JOBS)["errors"]

    assert (bearable.passed, value(bearable, "rejected")) == (True, 10)
    assert (too_many.passed, value(too_many, "rejected")) == (False, 11)
    assert "rejected --entity jobshead" in (too_many.description or "")


def test_a_row_on_the_target_that_does_not_say_whose_it_is_is_found(
    desktop: DesktopSystem,
) -> None:
    enter_jobs(desktop, 3)
    desktop.practice.forward("jobshead")
    assert desktop.check(JOBS)["owner_marks"].passed
    desktop.mobile.run("update jobshead set source = nullif(' ', repeat(' ', job_id::int))")
    desktop.mobile.run("update jobshead set source = 'D' where job_id = 3")

    marks = desktop.check(JOBS)["owner_marks"]

    assert not marks.passed
    assert value(marks, "unmarked") == 2  # one is null, one is blank


def test_a_key_that_the_target_repeats_is_found_also_when_a_part_of_it_is_null(
    desktop: DesktopSystem,
) -> None:
    desktop.mobile.run("drop index taskchecklist_task_id_checklistdesc_key")
    for description in ("bills", "bills", "vouchers"):
        desktop.mobile.insert("taskchecklist", **check(None, description, source="D"))

    checks = desktop.check(DESKTOP["taskchecklist"])

    assert value(checks["no_duplicate_keys"], "repeated_keys") == 1
    assert not checks["no_duplicate_keys"].passed
    assert not checks["unique_index"].passed


def test_a_link_that_dangles_is_named_on_either_side(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 1)
    desktop.desktop.insert("jobshead", **job(2, client_id=404, source="D"))
    desktop.practice.forward("climaster", "jobshead")
    desktop.practice.reverse("climaster", "jobshead")

    for side in (JOBS, JOBS_BACK):
        links = desktop.check(side)["links"]
        assert failed({"links": links}) == {"links": "1 values of client_id point at nothing"}
        assert value(links, "details") == (
            "- client_id: 1 point at no climaster, such as 2, 1001 → 404"
        )


@pytest.mark.parametrize("side", ["source", "local"])
def test_what_the_desktop_wants_of_a_mobile_row_is_open_until_somebody_decides(
    desktop: DesktopSystem, side: resolve.Side
) -> None:
    desktop.mobile.insert("jobshead", **job(9, source="M"))
    desktop.desktop.insert("jobshead", **job(9, work_desc="Another audit", source="D"))
    desktop.practice.forward("jobshead")
    [conflict] = desktop.practice.conflicts()

    open_ = desktop.check(JOBS)["owner_conflicts"]
    resolve.resolve(desktop.mobile.connection, DESKTOP, conflict["id"], side, run_id=uuid4())

    assert (open_.passed, value(open_, "open")) == (False, 1)
    assert (open_.description or "").endswith("differ from the source: 9, 1001")
    assert desktop.check(JOBS)["owner_conflicts"].passed


# -- the difference between the two counts

HELD_BACK = "− parked, rejected, or other owners' rows"
OTHERS = "+ other owners' rows"


def explained(desktop: DesktopSystem, entity: Entity = JOBS) -> dict[str, int]:
    """The table of a passing check without its zeros; whatever happened, it adds up."""
    found = desktop.check(entity)["counts_explained"]
    lines = rows_of(value(found, "explanation"))
    assert found.passed, (found.description, lines)
    return {what: count for what, count in lines.items() if count or what[0] not in "+−"}


def rows_of(explanation: str) -> dict[str, int]:
    """The lines of the table, which has to add up."""
    header, _, *lines = explanation.splitlines()
    assert header == "| | rows |"
    cells = [line.strip("| ").split(" | ") for line in lines]
    rows = {what: int(count.replace(",", "")) for what, count in cells}
    first, *between, last = rows
    assert last == "= on the target"
    assert rows[last] == rows[first] + sum(
        -rows[what] if what.startswith("−") else rows[what] for what in between
    ), explanation
    return rows


def full(desktop: DesktopSystem, *names: str) -> None:
    desktop.practice.forward(*names or ["jobshead"], mode="full")


def test_every_reason_for_a_difference_has_its_line(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 6)
    for _ in range(2):
        desktop.desktop.insert("jobshead", **job(1, source="D"))
    desktop.mobile.insert("jobshead", **job(90, source="M"))
    desktop.mobile.insert("jobshead", **job(91, source="M"))
    desktop.desktop.insert("jobshead", **job(91, source="M"))
    full(desktop)
    desktop.mobile.run("delete from jobshead where job_id = 2")
    desktop.desktop.run("delete from jobshead where job_id = 3")
    desktop.desktop.insert("jobshead", **job(7, loc_id=9, source="D"))
    desktop.desktop.insert("jobshead", **job(8, jobdate="infinity", source="D"))

    full(desktop)

    assert explained(desktop) == {
        "at the source": 10,
        "− repeated keys": 2,
        HELD_BACK: 3,
        "− not on the target: deleted here": 1,
        OTHERS: 2,
        "+ our rows that the source does not have": 1,
        "= on the target": 7,
    }


def test_a_record_that_nothing_accounts_for_is_found(desktop: DesktopSystem) -> None:
    enter_jobs(desktop, 3)
    full(desktop)
    desktop.mobile.run("delete from sync_base.desktop__jobshead where job_id = 2")

    lost = desktop.check(JOBS)["counts_explained"]

    assert not lost.passed
    assert lost.description == "1 record of the source unaccounted for"
    assert rows_of(value(lost, "explanation"))["− unaccounted for"] == 1


def test_a_row_that_its_parent_has_released_is_explained(desktop: DesktopSystem) -> None:
    desktop.desktop.insert("mbremdetail", **answer(source="D"))
    full(desktop, "remdetail")
    assert explained(desktop, DESKTOP["remdetail"])[HELD_BACK] == 1
    desktop.desktop.insert("mbreminder", **reminder(source="D"))

    full(desktop, "reminder", "remdetail")

    assert explained(desktop, DESKTOP["remdetail"])["= on the target"] == 1


def test_rejected_records_are_explained_whatever_else_has_their_key(
    desktop: DesktopSystem,
) -> None:
    enter_jobs(desktop, 1)
    full(desktop)
    # One of a key that landed before; two of one key; one after and one before another that is good.
    desktop.desktop.run("update jobshead set jobdate = 'infinity'")
    for number, day in ((2, "infinity"), (2, "infinity"), (3, None), (3, "infinity")):
        desktop.desktop.insert("jobshead", **job(number, jobdate=day, source="D"))
    for number, day in ((4, "infinity"), (4, None)):
        desktop.desktop.insert("jobshead", **job(number, jobdate=day, source="D"))

    full(desktop)

    assert explained(desktop) == {
        "at the source": 7,
        HELD_BACK: 4,
        "= on the target": 3,
    }


def test_rows_that_are_not_delivered_any_more_are_explained_where_nothing_may_be_concluded(
    desktop: DesktopSystem,
) -> None:
    enter_jobs(desktop, 3)
    full(desktop)
    desktop.desktop.run("delete from jobshead where job_id = 1")
    desktop.desktop.insert("jobshead", **job(4, source="D") | {"sporg_id": None})

    full(desktop)
    beside_one_without_a_key = explained(desktop)
    desktop.desktop.run("delete from jobshead")
    full(desktop)

    assert beside_one_without_a_key == {
        "at the source": 3,
        HELD_BACK: 1,
        "+ not delivered any more, which does not prove them gone": 1,
        "= on the target": 3,
    }
    assert explained(desktop) == {
        "at the source": 0,
        "+ not delivered any more, which does not prove them gone": 3,
        "= on the target": 3,
    }


def test_between_two_reads_of_everything_the_explanation_still_adds_up(
    desktop: DesktopSystem,
) -> None:
    enter_jobs(desktop, 3)
    desktop.desktop.insert("jobshead", **job(1, source="D"))
    full(desktop)
    desktop.desktop.insert("jobshead", **job(2, source="D"))
    desktop.desktop.insert("jobshead", **job(4, source="D"))

    desktop.practice.forward("jobshead")

    assert explained(desktop) == {
        "at the source": 6,
        "− repeated keys": 1,
        "− repeated, held back or gone since everything was last read": 1,
        "= on the target": 4,
    }


def test_in_a_reverse_run_the_rows_of_the_desktop_are_the_difference(
    desktop: DesktopSystem,
) -> None:
    enter_jobs(desktop, 3)
    desktop.mobile.insert("jobshead", **job(90, source="M"))
    desktop.practice.reverse("jobshead")
    assert explained(desktop, JOBS_BACK) == {
        "at the source": 1,
        OTHERS: 3,
        "= on the target": 4,
    }
    desktop.desktop.insert("jobshead", **job(90, source="M"))

    desktop.practice.reverse("jobshead", mode="full")

    assert explained(desktop, JOBS_BACK)["+ rows that repeat a key"] == 1
