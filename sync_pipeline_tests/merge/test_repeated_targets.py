"""Tables of another program, without a unique index: looked at before anything is inserted, and locked."""

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from sync_pipeline.errors import TargetUnavailable
from sync_pipeline.merge.review import resolve, undo
from sync_pipeline.merge.review.resolve import Side
from sync_pipeline.merge.review.undo import Undone
from sync_pipeline.model.entity import Entity, Field, Local, Lookup, Owner
from sync_pipeline.model.types import boolean, char, integer, numeric, text
from sync_pipeline_tests.fixtures.sample_system import GENEROUS, Workbench, await_that, counted
from sync_pipeline_tests.merge.fault_injection import held, in_background

Maker = Callable[..., Workbench]

NOTE = Entity(
    name="note",
    source="Note",
    key=("job", "line"),
    absent="cleared",
    budget=GENEROUS,
    unique_key=False,
    owner=Owner("source", ours=("M",), mark="M", unmarked_is_ours=False),
    columns=(
        Field("job", integer, "job"),
        Field("line", text, "line", nulls_not_distinct=True),
        Field("words", text, "words"),
        Field("hours", numeric(8, 2), "hours"),
        Local("source", char(1)),
        Local("remark", text),
    ),
)


def note(job: int = 1, line: str | None = "a", **fields: Any) -> dict[str, Any]:
    return {"job": job, "line": line, "words": "ours"} | fields


@pytest.fixture
def notes(bench_of: Maker) -> Workbench:
    return without_index(bench_of(NOTE))


def without_index(bench: Workbench) -> Workbench:
    """The table as another program has made it."""
    bench.run("drop index note_job_line_key")
    bench.run("alter table note alter job drop not null")
    return bench


def sync(bench: Workbench, *records: dict[str, Any], **how: Any) -> dict[str, int]:
    return counted(bench.sync(*records, entity=bench.system["note"], **how))


def there(bench: Workbench) -> list[tuple[Any, ...]]:
    """All rows, as key, words and owner."""
    rows = bench.rows("select job, line, words, source from note order by 1, 2, 3, 4")
    return [tuple(row.values()) for row in rows]


def enter(bench: Workbench, *rows: tuple[Any, ...]) -> None:
    """Rows as the other program enters them."""
    for row in rows:
        bench.run("insert into note (job, line, words, source) values (%s, %s, %s, %s)", *row)


# -- insert only what is absent


def test_what_is_absent_is_inserted_once(notes: Workbench) -> None:
    first = sync(notes, note(1), note(2, None))
    second = sync(notes, note(1), note(2, None), force=True)
    third = sync(notes, note(1), note(2, None), complete=True)

    assert first == {"read": 2, "inserted": 2}
    assert second == third == {"read": 2, "unchanged": 2}
    assert there(notes) == [(1, "a", "ours", "M"), (2, None, "ours", "M")]


def test_a_table_without_an_owner_may_repeat_keys_too(bench_of: Maker) -> None:
    notes = without_index(bench_of(dataclasses.replace(NOTE, owner=None)))
    enter(notes, (2, "a", "theirs", None), (2, "a", "theirs", None))

    result = sync(notes, note(1), note(2))

    assert result == {"read": 2, "inserted": 1, "conflicted": 1}
    assert [row[2] for row in there(notes)] == ["ours", "theirs", "theirs"]


def test_one_key_twice_in_a_run_is_inserted_once(notes: Workbench) -> None:
    assert sync(notes, note(words="x"), note(words="y")) == {
        "read": 2,
        "inserted": 1,
        "duplicates": 1,
    }
    assert there(notes) == [(1, "a", "y", "M")]


def test_a_row_of_ours_is_updated_and_only_that(notes: Workbench) -> None:
    sync(notes, note(1), note(1, "b"))
    notes.run("update note set remark = 'theirs'")

    result = sync(notes, note(1, words="new"), note(1, "b"))

    assert result == {"read": 2, "updated": 1, "unchanged": 1}
    assert there(notes) == [(1, "a", "new", "M"), (1, "b", "ours", "M")]
    assert notes.row("select count(*) as n from note where remark = 'theirs'")["n"] == 2


def test_a_row_of_the_other_program_is_neither_written_nor_repeated(notes: Workbench) -> None:
    enter(notes, (1, "a", "theirs", None), (2, "a", "theirs", " "), (3, "a", "theirs", "D"))

    result = sync(notes, note(1), note(2), note(3))

    assert result == {"read": 3, "owned_elsewhere": 3}
    assert [row[2] for row in there(notes)] == ["theirs"] * 3
    assert [c["kind"] for c in notes.conflicts()] == ["owner"] * 3


def test_a_row_of_another_owner_with_the_key_of_a_missing_one_is_not_flagged(
    bench_of: Maker,
) -> None:
    columns = (*NOTE.columns, Local("absent_there", boolean))
    flagged = dataclasses.replace(
        NOTE, columns=columns, missing="flag", missing_flag="absent_there"
    )
    notes = without_index(bench_of(flagged))
    flags = "select source, absent_there from note where job = 1 order by source"
    sync(notes, note(1), note(2), complete=True)
    enter(notes, (1, "a", "theirs", "D"))

    sync(notes, note(2), complete=True)

    assert notes.rows(flags) == [
        {"source": "D", "absent_there": None},
        {"source": "M", "absent_there": True},
    ]
    [change] = notes.rows("select before, after from sync.change where action = 'update'")
    assert change == {"before": {"absent_there": None}, "after": {"absent_there": True}}


def test_a_row_that_one_record_makes_fail_does_not_cost_the_others(notes: Workbench) -> None:
    result = sync(notes, note(1), note(2, hours=10**6), note(3))

    assert result == {"read": 3, "inserted": 2, "rejected": 1}
    assert [row[0] for row in there(notes)] == [1, 3]


# -- keys that the table repeats


def test_a_key_that_the_table_repeats_is_a_conflict_and_is_not_written(notes: Workbench) -> None:
    enter(notes, (1, "a", "one", "M"), (1, "a", "two", "M"), (1, "a", "two", "M"))
    before = there(notes)

    result = sync(notes, note(1), note(2))
    forced = sync(notes, note(1), note(2), force=True)

    assert result == {"read": 2, "conflicted": 1, "inserted": 1}
    assert forced == {"read": 2, "conflicted": 1, "unchanged": 1}
    assert there(notes)[:3] == before
    [conflict] = notes.conflicts()
    assert (conflict["kind"], conflict["key"]) == ("repeated", {"job": 1, "line": "a"})
    assert conflict["local"] == {"rows": 3}
    assert conflict["source"] == {"words": "ours", "hours": None}


def test_a_key_that_is_null_may_be_repeated_too(notes: Workbench) -> None:
    enter(notes, (1, None, "one", "M"), (1, None, "two", "M"))

    assert sync(notes, note(1, None)) == {"read": 1, "conflicted": 1}
    assert len(there(notes)) == 2


def test_the_same_record_again_is_no_new_conflict(notes: Workbench) -> None:
    enter(notes, (1, "a", "one", "M"), (1, "a", "two", "M"))
    sync(notes, note())

    again = [sync(notes, note()), sync(notes, note(), complete=True)]

    assert again == [{"read": 1, "conflicted": 1}] * 2
    assert len(notes.rows("select * from sync.conflict")) == 1


def test_a_key_that_is_repeated_no_more_is_taken_up_by_the_next_read(notes: Workbench) -> None:
    enter(notes, (1, "a", "one", "M"), (1, "a", "two", "M"))
    sync(notes, note())
    notes.run("delete from note where words = 'two'")

    result = sync(notes, note())

    assert result == {"read": 1, "updated": 1}
    assert there(notes) == [(1, "a", "ours", "M")]


def test_a_row_of_another_owner_decides_for_all_of_its_key(notes: Workbench) -> None:
    enter(notes, (1, "a", "ours", "M"), (1, "a", "theirs", "D"), (1, "a", "ours too", "M"))
    before = there(notes)

    result = sync(notes, note(words="new"))

    assert result == {"read": 1, "owned_elsewhere": 1}
    assert there(notes) == before
    [conflict] = notes.conflicts()
    assert (conflict["kind"], conflict["local"]) == ("owner", {"words": "theirs"})


def test_a_copy_that_an_app_makes_of_our_row_stops_our_updates(notes: Workbench) -> None:
    sync(notes, note())
    notes.run("insert into note select * from note")

    result = sync(notes, note(words="new"))

    assert result == {"read": 1, "conflicted": 1}
    assert [row[2] for row in there(notes)] == ["ours", "ours"]


def test_a_looked_up_value_of_a_repeated_key_is_one_conflict(bench_of: Maker) -> None:
    job = Entity(
        name="job",
        source="Job",
        key=("id",),
        absent="cleared",
        columns=(Field("id", integer, "id"), Field("client", text, "client")),
    )
    lookup = Lookup("job", by=(("job", "id"),), take="client")
    columns = (*NOTE.columns, Field("client", text, "", lookup=lookup))
    bench = without_index(bench_of(job, dataclasses.replace(NOTE, columns=columns)))
    bench.sync({"id": 1, "client": "Shah"}, entity=bench.system["job"])
    sync(bench, note())
    bench.run("insert into note select * from note")
    bench.run("update job set client = 'Rao'")

    result = sync(bench)

    assert result == {"read": 1, "conflicted": 1}
    assert [c["kind"] for c in bench.conflicts()] == ["repeated"]


# -- others who write


def test_a_row_inserted_while_the_run_waits_for_the_table_is_seen(notes: Workbench) -> None:
    with (
        held(notes, "insert into note (job, line, words) values (1, 'a', 'theirs')") as app,
        in_background(lambda: sync(notes, note(1), note(2))) as work,
    ):
        await_waiting(notes, "relation")
        app.commit()
        result = work.result()

    assert result == {"read": 2, "owned_elsewhere": 1, "inserted": 1}
    assert there(notes) == [(1, "a", "theirs", None), (2, "a", "ours", "M")]


def test_a_run_that_holds_the_table_lets_others_read_but_not_write(notes: Workbench) -> None:
    sync(notes, note(1))
    query = "insert into note (job, line, words) values (2, 'a', 'theirs')"

    with (
        held(notes, "select from _sync_metadata for update") as app,
        in_background(lambda: sync(notes, note(1), note(2))) as work,
        notes.open() as other,
    ):
        await_waiting(notes)
        other.execute("set lock_timeout = '50ms'")
        seen = other.execute("select count(*) from note").fetchone()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(query.encode())
        app.rollback()
        result = work.result()
        other.execute(query.encode())

    assert seen == (1,)
    assert result == {"read": 2, "inserted": 1, "unchanged": 1}


def test_a_table_that_an_app_keeps_locked_fails_the_run_in_one_line(notes: Workbench) -> None:
    limits = {
        "lock_timeout": dt.timedelta(milliseconds=100),
        "outage": dt.timedelta(milliseconds=200),
    }
    stream = notes.stream([note()], notes.system["note"])

    with (
        held(notes, "insert into note (job, line) values (9, 'z')"),
        pytest.raises(TargetUnavailable) as caught,
    ):
        notes.merge(stream, target=notes.target(**limits))

    message = str(caught.value)
    assert "other sessions kept writing the same rows" in message
    assert "canceling statement due to lock timeout" in message
    assert "\n" not in message
    assert there(notes) == []
    assert sync(notes, note()) == {"read": 1, "inserted": 1}


def await_waiting(bench: Workbench, what: str = "%") -> None:
    """Wait until somebody waits for such a lock."""
    query = (
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and wait_event_type = 'Lock' and wait_event like %s"
    )

    def blocked() -> bool:
        with bench.open() as connection:
            row = connection.execute(query, [what]).fetchone()
        return row is not None and row[0] > 0

    await_that(blocked)


# -- undo


def test_rows_that_a_run_inserted_are_deleted_by_undo(notes: Workbench) -> None:
    run = uuid4()
    enter(notes, (1, "a", "theirs", "D"))
    sync(notes, note(1), note(2), note(3), run_id=run)
    notes.run("update note set words = 'edited' where job = 3")

    undone = take_back(notes, run)

    assert (undone["note"].deleted, undone["note"].kept) == (1, 1)
    assert there(notes) == [(1, "a", "theirs", "D"), (3, "a", "edited", "M")]


@pytest.mark.parametrize("copied", [False, True])
def test_a_row_whose_key_has_been_repeated_since_is_left_as_it_is(
    notes: Workbench, copied: bool
) -> None:
    inserted, updated = uuid4(), uuid4()
    sync(notes, note(), run_id=inserted)
    sync(notes, note(words="new"), run_id=updated)
    if copied:
        notes.run("insert into note select * from note")
    before = there(notes)

    take_back(notes, updated)
    after = there(notes)
    take_back(notes, inserted)

    assert after == (before if copied else [(1, "a", "ours", "M")])
    assert there(notes) == after


def test_an_undone_insertion_can_be_undone_too(notes: Workbench) -> None:
    run, back = uuid4(), uuid4()
    sync(notes, note(), run_id=run)
    undo.undo(notes.connection, notes.system, run, undo_id=back)

    take_back(notes, back)

    assert there(notes) == [(1, "a", "ours", "M")]


def take_back(bench: Workbench, run: UUID) -> dict[str, Undone]:
    return undo.undo(bench.connection, bench.system, run, undo_id=uuid4())


def test_undoing_waits_for_an_app_that_is_writing(notes: Workbench) -> None:
    run = uuid4()
    sync(notes, note(), run_id=run)

    with (
        notes.open() as connection,
        held(notes, "update note set words = 'edited'") as app,
        in_background(lambda: undo.undo(connection, notes.system, run, undo_id=uuid4())) as work,
    ):
        await_waiting(notes, "relation")
        app.commit()
        undone = work.result()

    assert undone["note"].kept == 1
    assert there(notes) == [(1, "a", "edited", "M")]


# -- resolve


def resolve_conflict(bench: Workbench, side: Side) -> str:
    number = bench.row("select id from sync.conflict where resolved_at is null")["id"]
    return resolve.resolve(bench.connection, bench.system, number, side, run_id=uuid4())


@pytest.mark.parametrize("side", ["source", "local"])
def test_a_repeated_key_can_be_resolved_and_nothing_is_written(
    notes: Workbench, side: Side
) -> None:
    enter(notes, (1, "a", "one", "M"), (1, "a", "two", "M"))
    sync(notes, note())
    before = there(notes)

    message = resolve_conflict(notes, side)

    assert message.endswith("row unchanged")
    assert there(notes) == before
    assert notes.conflicts() == []


def test_a_row_of_another_owner_can_be_given_to_the_source(notes: Workbench) -> None:
    enter(notes, (1, "a", "theirs", "D"))
    sync(notes, note(words="ours"))

    resolve_conflict(notes, "source")

    assert there(notes) == [(1, "a", "ours", "D")]


def test_a_conflict_over_a_key_that_is_repeated_by_now_is_not_resolved(notes: Workbench) -> None:
    enter(notes, (1, "a", "theirs", "D"))
    sync(notes, note(words="ours"))
    enter(notes, (1, "a", "theirs", "D"))

    with pytest.raises(LookupError, match="note has 2 rows of this key; make them one first"):
        resolve_conflict(notes, "source")

    assert [row[2] for row in there(notes)] == ["theirs", "theirs"]


def test_a_row_that_was_deleted_here_can_be_brought_back(notes: Workbench) -> None:
    sync(notes, note())
    notes.run("delete from note")
    sync(notes, note(words="new"))

    resolve_conflict(notes, "source")

    assert there(notes) == [(1, "a", "new", "M")]


def test_a_row_that_was_deleted_and_is_there_again_is_not_repeated(notes: Workbench) -> None:
    sync(notes, note())
    notes.run("delete from note")
    sync(notes, note(words="new"))
    enter(notes, (1, "a", "theirs", "D"))

    message = resolve_conflict(notes, "source")

    assert there(notes) == [(1, "a", "theirs", "D")]
    assert message.endswith("row unchanged")
