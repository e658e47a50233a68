"""Values that no record holds, taken from other rows of the target and merged like those of the source."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.review import undo
from sync_pipeline.model.entity import Entity, Field, Link, Local, Lookup, Owner
from sync_pipeline.model.types import integer, text, timestamptz, varchar
from sync_pipeline_tests.fixtures.sample_system import GENEROUS, Workbench, balanced, counted

Maker = Callable[..., Workbench]

JOB = Entity(
    name="job",
    source="Job",
    key=("job_id", "part"),
    absent="cleared",
    budget=GENEROUS,
    columns=(
        Field("job_id", integer, "job"),
        *(Field(name, text, name) for name in ("part", "client", "city")),
    ),
)


def task_of(*columns: Any, **more: Any) -> Entity:
    """Tasks of jobs: the client is that of the job, the city that of the part of the job."""
    facts: dict[str, Any] = {
        "name": "task",
        "source": "Task",
        "key": ("task_id",),
        "absent": "cleared",
        "budget": GENEROUS,
        "columns": (
            Field("task_id", integer, "task"),
            Field("job_id", integer, "job"),
            Field("part", text, "part"),
            Field("label", text, "label"),
            *(columns or (CLIENT, CITY)),
        ),
    }
    return Entity(**(facts | more))


CLIENT = Field("client", text, "", lookup=Lookup("job", by=(("job_id", "job_id"),), take="client"))
SAME_PART = (("job_id", "job_id"), ("part", "part"))
CITY = Field("city", text, "", lookup=Lookup("job", by=SAME_PART, take="city"))
TASK = task_of()


def with_policy(policy: Any) -> Entity:
    """Tasks whose client has another policy than the source's."""
    return task_of(Field("client", text, "", policy=policy, lookup=CLIENT.lookup), CITY)


class Office:
    """A target with jobs and tasks."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench

    def jobs(self, *records: dict[str, Any]) -> MergeResult:
        return self.bench.sync(*records, entity=self.bench.system["job"])

    def tasks(self, *records: dict[str, Any], **how: Any) -> MergeResult:
        result = self.bench.sync(*records, entity=self.bench.system["task"], **how)
        assert balanced(result.counts)
        return result

    def task(self, number: int = 1) -> dict[str, Any]:
        return self.bench.row("select * from task where task_id = %s", number)

    def base(self, number: int = 1) -> dict[str, Any]:
        return self.bench.row("select * from sync_base.own__task where task_id = %s", number)


def job(number: int = 7, part: str = "a", **fields: Any) -> dict[str, Any]:
    return {"job": number, "part": part, "client": "Shah", "city": "Pune"} | fields


def task(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"task": number, "job": 7, "part": "a"} | fields


@pytest.fixture
def office(bench_of: Maker) -> Office:
    """One job, and one task of it."""
    office = Office(bench_of(JOB, TASK))
    office.jobs(job())
    office.tasks(task())
    return office


# -- filled in


def test_a_row_is_inserted_with_what_is_looked_up(office: Office) -> None:
    assert (office.task()["client"], office.task()["city"]) == ("Shah", "Pune")
    assert (office.base()["client"], office.base()["city"]) == ("Shah", "Pune")


def test_what_is_not_found_is_null_until_it_is_there(office: Office) -> None:
    office.tasks(task(2, job=8), task(3, part="b"), task(4, job=None))
    before = [office.task(n)["client"] for n in (2, 3, 4)], office.task(3)["city"]
    office.jobs(job(8, client="Rao"), job(7, "b", client="Other", city="Goa"))

    result = office.tasks()

    assert before == ([None, "Shah", None], None)
    assert counted(result) == {"read": 2, "updated": 2}
    assert [office.task(n)["client"] for n in (1, 2, 3, 4)] == ["Shah", "Rao", "Shah", None]
    assert office.task(3)["city"] == "Goa"


def test_of_several_rows_the_one_of_the_lowest_key_decides(office: Office) -> None:
    office.jobs(job(8, "c", client="Third"), job(8, "b", client="First"), job(8, "bb"))

    office.tasks(task(2, job=8))

    assert office.task(2)["client"] == "First"


def test_a_record_that_moves_to_another_job_takes_that_ones_client(office: Office) -> None:
    office.jobs(job(8, client="Rao", city="Goa"))

    result = office.tasks(task(job=8))

    assert counted(result) == {"read": 1, "updated": 1}
    assert (office.task()["client"], office.task()["city"]) == ("Rao", "Goa")


def test_a_value_looked_up_is_one_that_people_here_may_have_edited(office: Office) -> None:
    office.bench.run("update job set client = 'Edited here'")

    office.tasks(task(2))

    assert office.task(2)["client"] == "Edited here"


# -- followed


def test_a_value_that_moved_is_followed_by_a_run_that_delivers_nothing(office: Office) -> None:
    office.jobs(job(client="Rao"))

    result = office.tasks()

    assert counted(result) == {"read": 1, "updated": 1}
    assert result.metadata["looked_up"] == 1
    assert office.task()["client"] == office.base()["client"] == "Rao"
    assert office.bench.changes()[-1]["before"] == {"client": "Shah"}


@pytest.mark.parametrize("how", [{}, {"complete": True}, {"mode": "keys", "keys": ("1",)}])
def test_a_value_that_moved_is_followed_by_a_record_that_did_not(
    office: Office, how: dict[str, Any]
) -> None:
    office.jobs(job(client="Rao"))

    result = office.tasks(task(), **how)

    assert counted(result) == {"read": 1, "updated": 1}
    assert result.metadata["looked_up"] == 0
    assert office.task()["client"] == "Rao"


def test_two_values_may_move_at_once_or_one_alone(office: Office) -> None:
    office.tasks(task(2, part="b"))
    office.jobs(job(client="Rao", city="Goa"))

    result = office.tasks()

    assert counted(result) == {"read": 2, "updated": 2}
    assert (office.task(1)["client"], office.task(1)["city"]) == ("Rao", "Goa")
    assert (office.task(2)["client"], office.task(2)["city"]) == ("Rao", None)


def test_a_value_that_is_emptied_or_whose_row_is_deleted_is_emptied(office: Office) -> None:
    office.jobs(job(city=None))
    office.tasks()
    assert (office.task()["client"], office.task()["city"]) == ("Shah", None)
    office.bench.run("delete from job")

    result = office.tasks()

    assert counted(result) == {"read": 1, "updated": 1}
    assert result.metadata["blanked"] == {"client": 1}
    assert office.task()["client"] is None


def test_once_it_has_followed_it_writes_nothing_more(office: Office) -> None:
    office.jobs(job(client="Rao"))
    office.tasks()
    before = office.bench.writes(*office.bench.co_owned)

    result = office.tasks()
    whole = office.tasks(task(), complete=True)

    assert counted(result) == {}
    assert counted(whole) == {"read": 1, "unchanged": 1}
    assert office.bench.writes(*office.bench.co_owned) == before


def test_a_dry_run_plans_it_and_writes_nothing(office: Office) -> None:
    office.jobs(job(client="Rao"))

    planned = office.tasks(dry_run=True)

    assert counted(planned) == {"read": 1, "updated": 1}
    assert [(c.column, c.old, c.new) for c in planned.changes] == [("client", "Shah", "Rao")]
    assert office.task()["client"] == "Shah"


def test_a_run_that_followed_can_be_undone(office: Office) -> None:
    run = uuid4()
    office.jobs(job(client="Rao"))
    office.tasks(run_id=run)

    undo.undo(office.bench.connection, office.bench.system, run, undo_id=uuid4())

    assert office.task()["client"] == "Shah"
    assert counted(office.tasks()) == {}


# -- what people here have done


def test_a_local_edit_is_kept_as_long_as_nothing_moves(office: Office) -> None:
    office.bench.run("update task set client = 'Mine'")

    whole = office.tasks(task(), complete=True)
    other = office.tasks(task(label="new"))

    assert counted(whole) == {"read": 1, "unchanged": 1}
    assert counted(other) == {"read": 1, "updated": 1}
    assert (office.task()["client"], office.task()["label"]) == ("Mine", "new")


@pytest.mark.parametrize(
    ("policy", "held", "count", "kept"),
    [
        ("source", "Rao", "updated", "source"),
        ("local", "Mine", "conflicted", "local"),
        ("ask", "Mine", "conflicted", "ask"),
    ],
)
def test_an_edit_of_what_has_moved_is_a_conflict_for_the_policy(
    bench_of: Maker, policy: str, held: str, count: str, kept: str
) -> None:
    office = Office(bench_of(JOB, with_policy(policy)))
    office.jobs(job())
    office.tasks(task())
    office.bench.run("update task set client = 'Mine'")
    office.jobs(job(client="Rao"))

    result = office.tasks()

    assert counted(result) == {"read": 1, count: 1}
    assert office.task()["client"] == held
    [conflict] = office.bench.conflicts()
    assert (conflict["field"], conflict["kept"]) == ("client", kept)
    assert (conflict["base"], conflict["local"], conflict["source"]) == ("Shah", "Mine", "Rao")
    assert counted(office.tasks()) == {}


def test_force_reasserts_what_is_looked_up(office: Office) -> None:
    office.bench.run("update task set client = 'Mine'")

    office.tasks(task(), force=True)

    assert office.task()["client"] == "Shah"


def test_a_row_that_was_there_before_the_sync_keeps_what_is_not_found(office: Office) -> None:
    office.bench.run(
        "insert into task (task_id, job_id, client) values (2, 8, 'Theirs'), (3, 7, 'Old')"
    )

    result = office.tasks(task(2, job=8), task(3))

    assert counted(result) == {"read": 2, "updated": 2}
    assert office.task(2)["client"] == "Theirs"
    assert office.task(3)["client"] == "Shah"


def test_a_row_that_was_deleted_here_is_not_followed(office: Office) -> None:
    office.bench.run("delete from task")
    office.jobs(job(client="Rao"))

    result = office.tasks()
    whole = office.tasks(task(), complete=True)

    assert counted(result) == {}
    assert counted(whole) == {"read": 1, "deleted_locally": 1}
    assert office.bench.conflicts() == []


def test_a_row_of_another_owner_is_not_followed(bench_of: Maker) -> None:
    owned = task_of(CLIENT, CITY, Local("source", varchar(1)), owner=Owner("source", ("D",), "D"))
    office = Office(bench_of(JOB, owned))
    office.jobs(job())
    office.tasks(task())
    office.bench.run("update task set source = 'M'")
    office.jobs(job(client="Rao"))

    result = office.tasks()
    whole = office.tasks(task(label="new"))

    assert counted(result) == {}
    assert counted(whole) == {"read": 1, "owned_elsewhere": 1}
    assert office.task()["client"] == "Shah"
    [conflict] = office.bench.conflicts()
    assert conflict["source"] == {"label": "new"}


# -- scans, and records that wait


def test_a_complete_scan_marks_what_is_missing_although_its_lookup_moved(office: Office) -> None:
    office.tasks(task(2))
    office.jobs(job(client="Rao"))

    result = office.tasks(task(2), complete=True)
    after = office.tasks()

    assert counted(result) == {"read": 1, "updated": 1}
    assert result.metadata["missing"] == 1
    assert office.base(1)["_missing_since"] is not None
    assert (office.task(1)["client"], office.task(2)["client"]) == ("Shah", "Rao")
    assert counted(after) == {}


def test_a_record_delivered_twice_follows_once(office: Office) -> None:
    office.jobs(job(client="Rao"))

    result = office.tasks(task(), task())

    assert counted(result) == {"read": 2, "updated": 1, "duplicates": 1}
    assert office.task()["client"] == "Rao"


def test_a_rejected_record_stays_rejected_although_its_row_follows(office: Office) -> None:
    rejected = office.tasks(task(job="many"))
    office.jobs(job(client="Rao"))

    result = office.tasks()

    assert counted(rejected) == {"read": 1, "rejected": 1}
    assert counted(result) == {"read": 1, "updated": 1}
    assert office.task()["client"] == "Rao"
    assert [r["payload"]["job"] for r in office.bench.rejected()] == ["many"]


def test_a_record_that_is_rejected_in_the_run_in_which_its_row_follows_is_kept(
    office: Office,
) -> None:
    office.jobs(job(client="Rao"))

    result = office.tasks(task(job="many"))

    assert counted(result) == {"read": 2, "updated": 1, "rejected": 1}
    assert [r["payload"]["job"] for r in office.bench.rejected()] == ["many"]


def test_a_parked_record_goes_on_waiting_although_its_row_follows(bench_of: Maker) -> None:
    linked = Field("boss", integer, "boss", link=Link("task", required=True))
    office = Office(bench_of(JOB, task_of(CLIENT, CITY, linked)))
    office.jobs(job())
    office.tasks(task())
    office.tasks(task(label="new", boss=9))
    office.jobs(job(client="Rao"))

    followed = office.tasks()
    waiting = [p["record"]["label"] for p in office.bench.parked()]
    released = office.tasks(task(9)), office.tasks()

    assert counted(followed) == {"read": 1, "updated": 1}
    assert waiting == ["new"]
    assert [counted(r) for r in released] == [{"read": 1, "inserted": 1}, {"read": 1, "updated": 1}]
    assert (office.task()["client"], office.task()["label"]) == ("Rao", "new")
    assert office.bench.parked() == []


def test_a_row_whose_required_parent_was_deleted_follows_all_the_same(bench_of: Maker) -> None:
    linked = Field("boss", integer, "boss", link=Link("task", required=True))
    office = Office(bench_of(JOB, task_of(CLIENT, CITY, linked)))
    office.jobs(job())
    office.tasks(task(9))
    office.tasks(task(boss=9))
    office.bench.run("delete from task where task_id = 9")
    office.jobs(job(client="Rao"))

    result = office.tasks()

    assert counted(result) == {"read": 1, "updated": 1}
    assert office.task()["client"] == "Rao"
    assert office.bench.parked() == []


def test_a_partial_record_leaves_alone_what_it_does_not_hold_and_follows_its_lookup(
    bench_of: Maker,
) -> None:
    office = Office(bench_of(JOB, task_of(absent="unknown")))
    office.jobs(job())
    office.tasks(task(label="first"))
    office.bench.run("update task set label = 'Mine'")
    office.jobs(job(client="Rao"))

    by_itself = office.tasks()
    office.jobs(job(client="Sen"))
    partial = office.tasks(task())

    assert (counted(by_itself), counted(partial)) == (
        {"read": 1, "updated": 1},
        {"read": 1, "updated": 1},
    )
    assert (office.task()["client"], office.task()["label"]) == ("Sen", "Mine")


def test_an_older_version_does_not_hold_back_what_is_looked_up(bench_of: Maker) -> None:
    dated = task_of(CLIENT, Field("modified", timestamptz, "at"), modified="modified")
    office = Office(bench_of(JOB, dated))
    office.jobs(job())
    office.tasks(task(label="new", at="2026-01-02T00:00Z"))
    office.jobs(job(client="Rao"))

    result = office.tasks(task(label="old", at="2026-01-01T00:00Z"))
    after = office.tasks()

    assert counted(result) == {"read": 1, "unchanged": 1}
    assert counted(after) == {"read": 1, "updated": 1}
    assert (office.task()["client"], office.task()["label"]) == ("Rao", "new")


def test_jobs_and_tasks_of_one_run_meet(office: Office) -> None:
    system = office.bench.system

    office.jobs(job(9, client="Sen"))
    result = office.tasks(*(task(n, job=9) for n in range(10, 1500)))

    assert counted(result) == {"read": 1490, "inserted": 1490}
    [count] = office.bench.rows("select count(*) as n from task where client = 'Sen'")
    assert count["n"] == 1490
    assert [e.name for e in system.in_order()] == ["job", "task"]
