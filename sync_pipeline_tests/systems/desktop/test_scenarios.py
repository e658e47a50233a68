"""The four scenarios of the source document, and its preservation test on the schema that there is.

The document's preservation test writes a text into `job_status`, a char(1), and leaves out `con_id`, which
must be there; so it could never run. Its job here is the same, with values that fit.
"""

from typing import Any
from uuid import UUID, uuid4

from sync_pipeline.merge.review import resolve
from sync_pipeline.merge.review.undo import undo
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline_tests.fixtures.desktop import Practice, counted
from sync_pipeline_tests.systems.desktop.sample_rows import job


def on_mobile(office: Practice, job_id: int) -> dict[str, Any]:
    return office.mobile.row(
        "select work_desc, job_status, source from jobshead where job_id = %s", job_id
    )


def accepted(office: Practice) -> UUID:
    """The run in which a person takes the desktop's side of the only conflict."""
    [conflict] = office.conflicts()
    run_id = uuid4()
    resolve.resolve(office.mobile.connection, DESKTOP, conflict["id"], "source", run_id=run_id)
    return run_id


def conflicting(office: Practice) -> Practice:
    """Scenario 4: a mobile job has been to the desktop, and there somebody has made it their own."""
    office.mobile.insert("jobshead", **job(99999, work_desc="Visit", job_status="W", source="M"))
    office.reverse("jobshead")
    office.desktop.run("update jobshead set job_status = 'C', source = 'D'")
    return office


def test_scenario_1_a_new_desktop_record_is_inserted_as_the_desktops(office: Practice) -> None:
    office.desktop.insert("jobshead", **job(50000, work_desc="Audit", source="D"))

    result = office.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 1, "inserted": 1}
    expected = {"work_desc": "Audit", "job_status": "P", "source": "D"}
    assert on_mobile(office, 50000) == expected


def test_scenario_2_a_record_changed_on_the_desktop_is_updated(office: Practice) -> None:
    office.desktop.insert("jobshead", **job(24000, job_status="P", source="D"))
    office.forward("jobshead")
    office.desktop.run("update jobshead set job_status = 'C'")

    result = office.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 1, "updated": 1}
    assert on_mobile(office, 24000)["job_status"] == "C"
    assert on_mobile(office, 24000)["source"] == "D"


def test_scenario_3_a_record_that_only_mobile_has_is_left_as_it_is(office: Practice) -> None:
    office.desktop.insert("jobshead", **job(24000))
    office.mobile.insert("jobshead", **job(99999, source="M"))
    before = office.mobile.images("jobshead", "source = 'M'")

    incremental = office.forward("jobshead")["jobshead"]
    full = office.forward("jobshead", mode="full", force=True)["jobshead"]

    assert counted(incremental) == {"read": 1, "inserted": 1}
    assert counted(full) == {"read": 1, "unchanged": 1}
    assert office.mobile.images("jobshead", "source = 'M'") == before


def test_scenario_4_a_mobile_record_changed_on_the_desktop_keeps_the_mobile_version(
    office: Practice,
) -> None:
    conflicting(office)
    before = office.mobile.images("jobshead")

    result = office.forward("jobshead")["jobshead"]

    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert office.mobile.images("jobshead") == before
    [conflict] = office.conflicts()
    assert (conflict["kind"], conflict["kept"]) == ("owner", "local")
    assert conflict["key"] == {"job_id": 99999, "sporg_id": 1001}
    assert (conflict["local"], conflict["source"]) == ({"job_status": "W"}, {"job_status": "C"})
    assert result.metadata["owner_conflicts"] == 1
    assert result.metadata["conflict_examples"] == ["owner 99999, 1001: job_status"]


def test_scenario_4_holds_also_where_the_desktop_leaves_the_mark_of_mobile(
    office: Practice,
) -> None:
    office.mobile.insert("jobshead", **job(99999, job_status="W", source="M"))
    office.reverse("jobshead")
    office.forward("jobshead")
    office.desktop.run("update jobshead set job_status = 'C'")

    result = office.forward("jobshead")["jobshead"]
    accepted(office)

    assert counted(result) == {"read": 1, "owned_elsewhere": 1}
    assert result.metadata["conflict_examples"] == ["owner 99999, 1001: job_status"]
    assert on_mobile(office, 99999)["job_status"] == "C"


def test_scenario_4_a_person_may_accept_the_desktops_version_and_the_record_stays_mobiles(
    office: Practice,
) -> None:
    conflicting(office).forward("jobshead")

    accepted(office)

    assert on_mobile(office, 99999) == {
        "work_desc": "Visit",
        "job_status": "C",
        "source": "M",
    }
    assert office.conflicts() == []


def test_scenario_4_what_was_accepted_is_echoed_neither_way(office: Practice) -> None:
    conflicting(office).forward("jobshead")
    accepted(office)
    before = office.desktop.images("jobshead"), office.mobile.images("jobshead")

    for _ in range(2):
        office.reverse("jobshead")
        office.forward("jobshead")

    assert (office.desktop.images("jobshead"), office.mobile.images("jobshead")) == before
    assert office.conflicts("mobile") == office.conflicts("desktop") == []


def test_scenario_4_undo_takes_the_acceptance_back_and_can_be_undone_too(office: Practice) -> None:
    conflicting(office).forward("jobshead")
    acceptance, undoing = accepted(office), uuid4()

    undone = undo(office.mobile.connection, DESKTOP, acceptance, undo_id=undoing)
    taken_back = on_mobile(office, 99999)
    undo(office.mobile.connection, DESKTOP, undoing, undo_id=uuid4())

    assert undone["jobshead"].restored == 1
    assert (taken_back["job_status"], taken_back["source"]) == ("W", "M")
    assert on_mobile(office, 99999)["job_status"] == "C"


def test_the_preservation_test_of_the_document(office: Practice) -> None:
    office.mobile.run(
        "insert into jobshead (job_id, sporg_id, client_id, con_id, loc_id, org_id, job_status, source,"
        " created_at, updated_at) values (99999, 1, 1, 1, 1, 1, 'T', 'M', now(), now())"
    )
    before = office.mobile.images("jobshead")

    office.forward(mode="full")

    assert office.mobile.images("jobshead") == before
    assert on_mobile(office, 99999)["source"] == "M"
