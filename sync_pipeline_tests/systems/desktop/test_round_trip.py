"""Forward and back, again and again: nothing doubles, nothing is echoed, everybody's edits stay."""

from typing import Any

import pytest

from sync_pipeline.model.entity import Entity
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline_tests.fixtures.desktop import Practice, Side, counted, tables
from sync_pipeline_tests.systems.desktop.sample_rows import answer, check, job, reminder, task

DOUBLED = ("jobtasks", "taskchecklist", "remdetail")
"""The tables that the practice's earlier sync doubled."""


def there(side: Side, entity: Entity) -> list[dict[str, Any]]:
    """An entity's rows on one side, in its mapped columns and with their owner."""
    rows = side.rows(f"select * from {entity.table}")
    names = [f.column for f in entity.fields if f.sources]
    return [{n: r[n] for n in names} | {"owner": r["source"] or "D"} for r in rows]


def on_mobile(practice: Practice, name: str) -> list[dict[str, Any]]:
    return sorted(there(practice.mobile, DESKTOP[name]), key=str)


def on_desktop(practice: Practice, name: str) -> list[dict[str, Any]]:
    """An entity's rows on the desktop, in the words of the mobile database."""
    names = {f.column: f.sources[0] for f in REVERSE[name].fields}
    rows = there(practice.desktop, REVERSE[name])
    return sorted(({names.get(c, c): v for c, v in row.items()} for row in rows), key=str)


def desktop_round(practice: Practice, number: int) -> None:
    """What the desktop does between two syncs: edits of rows of its own, and new rows."""
    desktop = practice.desktop
    desktop.run("update jobtasks set actual_man_min = %s where task_id = 101", number)
    letter = "update taskchecklist set comments = %s where checklistdesc = 'letter signed'"
    desktop.run(letter, f"seen {number}")
    desktop.insert("jobtasks", **task(24000, 200 + number, source="D"))
    desktop.insert("taskchecklist", **check(200 + number))
    desktop.insert("mbremdetail", **answer(7100 + number))


def mobile_round(practice: Practice, number: int) -> None:
    """What mobile users do: edits of their rows, new ones, and an edit of a row of the desktop's."""
    mobile = practice.mobile
    mobile.run("update jobtasks set actual_man_min = %s where task_id = 8000", number)
    mobile.run("update remdetail set remresponse = %s where remdetid = 8000", f"call {number}")
    mobile.insert("jobtasks", **task(99999, 8000 + number, source="M"))
    mobile.insert("taskchecklist", **check(8000 + number, source="M"))
    mobile.insert("remdetail", **answer(8000 + number, source="M"))
    mobile.run("update jobtasks set task_desc = %s where task_id = 102", f"theirs {number}")


@pytest.fixture
def begun(office: Practice) -> Practice:
    """Rows of both owners on the side where they belong, and a reminder on both that answers name."""
    for side, table in ((office.desktop, "mbreminder"), (office.mobile, "reminder")):
        side.insert(table, **reminder())
    for row in (task(24000, 101), task(24000, 102)):
        office.desktop.insert("jobtasks", **row)
    for row in (check(), check(None, "letter signed")):
        office.desktop.insert("taskchecklist", **row)
    office.desktop.insert("mbremdetail", **answer())
    office.mobile.insert("jobtasks", **task(99999, 8000, source="M"))
    office.mobile.insert("taskchecklist", **check(None, "keys received", source="M"))
    office.mobile.insert("remdetail", **answer(8000, source="M"))
    return office


def test_ten_rounds_with_edits_on_both_sides_converge_and_nothing_doubles(begun: Practice) -> None:
    for number in range(1, 11):
        desktop_round(begun, number)
        mobile_round(begun, number)
        begun.forward(*DOUBLED)
        begun.reverse(*DOUBLED)

    begun.forward(*DOUBLED)
    sizes = {"jobtasks": 3 + 20, "taskchecklist": 3 + 20, "remdetail": 2 + 20}
    for name, size in sizes.items():
        assert (len(on_mobile(begun, name)), len(on_desktop(begun, name))) == (size, size)
    for name in ("taskchecklist", "remdetail"):
        assert on_mobile(begun, name) == on_desktop(begun, name)
    # Only what mobile users edited in a row of the desktop's differs, and stays on mobile.
    [theirs] = (r for r in on_mobile(begun, "jobtasks") if r["task_id"] == 102)
    [desktops] = (r for r in on_desktop(begun, "jobtasks") if r["task_id"] == 102)
    assert (theirs["task_desc"], theirs["owner"]) == ("theirs 10", "D")
    assert desktops == theirs | {"task_desc": "Vouch purchase bills"}
    assert [r for r in on_mobile(begun, "jobtasks") if r != theirs] == [
        r for r in on_desktop(begun, "jobtasks") if r != desktops
    ]
    assert begun.conflicts("mobile") == begun.conflicts("desktop") == []


def test_runs_without_edits_between_them_write_nothing_on_either_side(begun: Practice) -> None:
    begun.forward(*DOUBLED)
    begun.reverse(*DOUBLED)
    begun.forward(*DOUBLED)
    before = begun.mobile.written(tables(DESKTOP)), begun.desktop.written(tables(REVERSE))

    for scope in ("delta", "full"):
        begun.reverse(*DOUBLED, mode=scope)
        begun.forward(*DOUBLED, mode=scope)

    after = begun.mobile.written(tables(DESKTOP)), begun.desktop.written(tables(REVERSE))
    assert after == before


def test_a_reversed_row_comes_back_as_the_mobile_row_that_it_is(office: Practice) -> None:
    office.mobile.insert("jobshead", **job(99999, source="M"))
    before = office.mobile.images("jobshead")

    away = office.reverse("jobshead")["jobshead"]
    back = office.forward("jobshead")["jobshead"]

    assert counted(away) == {"read": 1, "inserted": 1}
    assert counted(back) == {"read": 1, "owned_elsewhere": 1}
    assert office.desktop.value("select source from jobshead") == "M"
    assert office.mobile.images("jobshead") == before
    assert office.conflicts() == []


def test_a_copy_that_lags_behind_is_in_dispute_until_it_has_caught_up(office: Practice) -> None:
    office.mobile.insert("jobshead", **job(99999, source="M"))
    office.reverse("jobshead")
    office.forward("jobshead")
    office.mobile.run("update jobshead set work_desc = 'Visit'")
    office.reverse("jobshead")
    office.mobile.run("update jobshead set work_desc = 'Visit in the afternoon'")

    result = office.forward("jobshead")["jobshead"]
    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert [c["kind"] for c in office.conflicts()] == ["owner"]

    office.reverse("jobshead")
    office.forward("jobshead")
    assert office.conflicts() == []


def test_a_mobile_row_is_no_longer_in_dispute_when_both_sides_agree_again(office: Practice) -> None:
    office.mobile.insert("jobshead", **job(99999, source="M"))
    office.reverse("jobshead")
    office.forward("jobshead")
    office.desktop.run("update jobshead set work_desc = 'Visit'")
    office.forward("jobshead")
    conflicting = len(office.conflicts())
    office.desktop.run("update jobshead set work_desc = 'Tax audit'")

    office.forward("jobshead")

    assert conflicting == 1
    assert office.conflicts() == []


def test_only_rows_that_mobile_owns_go_back(office: Practice) -> None:
    office.desktop.insert("jobshead", **job(24000, source=None))
    office.forward("jobshead")
    office.mobile.run("update jobshead set work_desc = 'edited on mobile'")
    office.mobile.insert("jobshead", **job(24001, source=None))

    result = office.reverse("jobshead", mode="full")["jobshead"]

    assert counted(result) == {}
    assert office.desktop.value("select work_desc from jobshead") == "Tax audit"


def test_rows_without_an_owner_on_the_desktop_are_the_desktops(office: Practice) -> None:
    for job_id, source in ((1, None), (2, " "), (3, "D")):
        office.desktop.insert("jobshead", **job(job_id, source=source))
    office.forward("jobshead")
    office.desktop.run("update jobshead set job_status = 'C'")

    result = office.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 3, "updated": 3}
    found = office.mobile.rows("select distinct source, job_status from jobshead")
    assert found == [{"source": "D", "job_status": "C"}]


def test_a_row_deleted_on_mobile_after_it_was_reversed_does_not_come_back(office: Practice) -> None:
    office.mobile.insert("jobshead", **job(99998, source="M"))
    office.reverse("jobshead")
    office.forward("jobshead")
    office.mobile.insert("jobshead", **job(99999, source="M"))
    office.reverse("jobshead")  # no forward run has seen the copy of this one
    office.mobile.run("delete from jobshead")

    for scope in ("delta", "full"):
        office.forward("jobshead", mode=scope, force=True)
        office.reverse("jobshead", mode=scope)

    assert office.mobile.rows("select * from jobshead") == []
    found = office.desktop.rows("select source from jobshead")
    assert [row["source"] for row in found] == ["M", "M"]


def test_a_row_deleted_on_the_desktop_after_it_was_reversed_stays_deleted_there(
    office: Practice,
) -> None:
    office.mobile.insert("jobshead", **job(99999, source="M"))
    office.reverse("jobshead")
    office.desktop.run("delete from jobshead")
    before = office.mobile.images("jobshead")

    forward = office.forward("jobshead", mode="full")["jobshead"]
    reverse = office.reverse("jobshead", mode="full")["jobshead"]

    assert (counted(forward), counted(reverse)) == ({}, {"read": 1, "deleted_locally": 1})
    assert office.desktop.rows("select * from jobshead") == []
    assert office.mobile.images("jobshead") == before


def test_ids_that_collide_are_conflicts_on_both_sides_and_neither_row_changes(
    office: Practice,
) -> None:
    office.desktop.insert("mbreminder", **reminder(5001, remtitle="Advance tax"))
    office.mobile.insert("reminder", **reminder(5001, remtitle="Call the bank", source="M"))
    before = office.desktop.images("mbreminder"), office.mobile.images("reminder")

    for _ in range(2):
        office.forward("reminder", mode="full", force=True)
        office.reverse("reminder", mode="full", force=True)

    assert (office.desktop.images("mbreminder"), office.mobile.images("reminder")) == before
    for side in ("mobile", "desktop"):
        [conflict] = office.conflicts(side)
        assert (conflict["kind"], conflict["key"]) == ("owner", {"rem_id": 5001})
        assert set(conflict["source"]) == {"remtitle"}


def test_an_edit_on_mobile_arrives_and_an_edit_of_another_field_on_the_desktop_is_kept(
    office: Practice,
) -> None:
    office.mobile.insert("jobshead", **job(99999, source="M"))
    office.reverse("jobshead")
    office.desktop.run("update jobshead set worklocation = 'Branch'")
    office.mobile.run("update jobshead set work_desc = 'Stock count'")

    result = office.reverse("jobshead")["jobshead"]

    assert counted(result) == {"read": 1, "updated": 1}
    row = office.desktop.row("select work_desc, worklocation, source from jobshead")
    assert row == {"work_desc": "Stock count", "worklocation": "Branch", "source": "M"}
    assert office.conflicts("desktop") == []


def test_a_field_that_both_sides_changed_is_a_conflict_that_keeps_both_values(
    office: Practice,
) -> None:
    office.mobile.insert("jobshead", **job(99999, work_desc="Visit", source="M"))
    office.reverse("jobshead")
    office.desktop.run("update jobshead set work_desc = 'Visit by car'")
    office.mobile.run("update jobshead set work_desc = 'Stock count'")

    office.reverse("jobshead")

    [conflict] = office.conflicts("desktop")
    decided = conflict["kind"], conflict["field"], conflict["kept"]
    values = conflict["base"], conflict["local"], conflict["source"]
    assert decided == ("field", "work_desc", "source")
    assert values == ("Visit", "Visit by car", "Stock count")
    assert office.desktop.value("select work_desc from jobshead") == "Stock count"


def test_an_edit_on_mobile_of_a_row_of_the_desktops_is_kept_until_the_desktop_changes_the_field(
    office: Practice,
) -> None:
    office.desktop.insert("jobshead", **job(24000, worklocation="Office"))
    office.forward("jobshead")
    office.mobile.run("update jobshead set worklocation = 'Client site'")
    office.desktop.run("update jobshead set job_status = 'C'")

    office.forward("jobshead")
    kept = office.mobile.row("select worklocation, job_status, source from jobshead")
    office.desktop.run("update jobshead set worklocation = 'Branch'")
    office.forward("jobshead")

    assert kept == {"worklocation": "Client site", "job_status": "C", "source": "D"}
    assert office.mobile.value("select worklocation from jobshead") == "Branch"
    [conflict] = office.conflicts()
    assert (conflict["field"], conflict["local"]) == ("worklocation", "Client site")
