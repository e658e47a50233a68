"""Partitioned entities: read one account at a time, say."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from sync_pipeline.errors import DeclarationError, StoppedByGuard
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.review import audit, undo
from sync_pipeline.model.entity import Budget, Entity, Field, Limit, Local, Serial, Stamp
from sync_pipeline.model.system import System
from sync_pipeline.model.types import boolean, text, timestamptz, uuid
from sync_pipeline_tests.fixtures.sample_system import GENEROUS, Workbench, counted

NORTH, SOUTH = (str(UUID(int=n)) for n in (1, 2))
LINE = Entity(
    name="line",
    source="Line",
    key=("account", "number"),
    absent="unknown",
    missing="flag",
    missing_flag="lost",
    partition_by="account",
    partition_error="problem",
    budget=GENEROUS,
    columns=(
        Serial("id", uuid),
        Field("account", uuid, "account"),
        Field("number", text, "number", null_means_other_owner=True),
        Field("label", text, "label"),
        Local("lost", boolean),
        Local("problem", text),
        Stamp("synced_at", timestamptz),
    ),
)
LINE = System("own", (LINE,))["line"]


@pytest.fixture
def bench(bench_of: Callable[..., Workbench]) -> Workbench:
    return bench_of(LINE)


def lines(account: str, *numbers: str | None, **fields: Any) -> list[dict[str, Any]]:
    return [{"account": account, "number": n} | fields for n in numbers]


def read(
    bench: Workbench,
    *records: dict[str, Any],
    partitions: tuple[str, ...] = (NORTH, SOUTH),
    errors: dict[str, str] | None = None,
    entity: Entity = LINE,
    complete: bool = True,
    run_id: UUID | None = None,
    duplicates: int = 0,
) -> MergeResult:
    stream = bench.stream(records, entity, complete=complete)
    stream.outcome.partitions, stream.outcome.partition_errors = partitions, errors or {}
    stream.outcome.duplicates = duplicates
    return bench.merge(stream, run_id=run_id)[0]


def lost(bench: Workbench) -> list[str]:
    return [row["number"] for row in bench.rows("select number from line where lost order by 1")]


def problems(bench: Workbench) -> dict[str, str | None]:
    return {r["number"]: r["problem"] for r in bench.rows("select number, problem from line")}


def test_a_complete_read_of_one_partition_proves_nothing_about_the_others(bench: Workbench) -> None:
    read(bench, *lines(NORTH, "1", "2"), *lines(SOUTH, "3", "4"))

    result = read(bench, *lines(NORTH, "1"), partitions=(NORTH,))

    assert lost(bench) == ["2"]
    assert result.metadata["missing"] == 1
    assert (result.metadata["undelivered"], result.metadata["not_accepted"]) == (0, 0)


def test_a_partition_whose_listing_is_empty_loses_nothing(bench: Workbench) -> None:
    read(bench, *lines(NORTH, "1"), *lines(SOUTH, "3"))

    read(bench, *lines(NORTH, "1"))

    assert lost(bench) == []


def test_a_partition_that_failed_loses_nothing(bench: Workbench) -> None:
    read(bench, *lines(NORTH, "1"), *lines(SOUTH, "3", "4"))

    read(
        bench,
        *lines(NORTH, "1"),
        *lines(SOUTH, "3"),
        partitions=(NORTH,),
        errors={SOUTH: "cut off"},
    )

    assert lost(bench) == []


def test_the_guard_compares_missing_rows_with_the_partition(bench: Workbench) -> None:
    entity = bench.entity("line", budget=Budget(missing=Limit(50, 1)))
    read(bench, *lines(NORTH, "1", "2", "3"), *lines(SOUTH, *(f"s{n}" for n in range(20))))

    with pytest.raises(StoppedByGuard, match="2 of 3 rows are no longer at the source"):
        read(bench, *lines(NORTH, "1"), partitions=(NORTH,), entity=entity)


def test_rows_of_a_partition_that_failed_hold_its_error_and_keep_all_else(bench: Workbench) -> None:
    read(bench, *lines(NORTH, "1", label="a"), *lines(SOUTH, "3", label="b"))
    before = bench.row("select synced_at, label from line where number = '3'")

    result = read(
        bench, *lines(NORTH, "1", label="a"), partitions=(NORTH,), errors={SOUTH: "HTTP 400: x"}
    )

    assert problems(bench) == {"1": None, "3": "HTTP 400: x"}
    assert bench.row("select synced_at, label from line where number = '3'") == before
    assert result.metadata["errors_set"] == 1
    assert counted(result) == {"read": 1, "unchanged": 1}


def test_the_same_error_again_writes_nothing(bench: Workbench) -> None:
    read(bench, *lines(SOUTH, "3"))
    read(bench, partitions=(), errors={SOUTH: "HTTP 400: x"})
    writes = bench.writes(*bench.co_owned)

    read(bench, partitions=(), errors={SOUTH: "HTTP 400: x"})

    assert bench.writes(*bench.co_owned) == writes


def test_a_read_that_succeeds_clears_the_error_even_of_an_unchanged_row(bench: Workbench) -> None:
    read(bench, *lines(SOUTH, "3", "4"))
    bench.run("update line set problem = 'of another program', synced_at = null")

    result = read(bench, *lines(SOUTH, "3"), complete=False, partitions=())

    assert problems(bench) == {"3": None, "4": "of another program"}
    assert result.metadata["errors_cleared"] == 1
    assert bench.row("select count(*) from line where synced_at is not null")["count"] == 1


def test_a_partition_that_was_read_to_its_end_clears_the_error_of_rows_that_left_it(
    bench: Workbench,
) -> None:
    read(bench, *lines(SOUTH, "3", "4"))
    read(bench, partitions=(), errors={SOUTH: "HTTP 400: x"})
    before = bench.row("select synced_at from line where number = '4'")

    result = read(bench, *lines(SOUTH, "3"), partitions=(SOUTH,))

    assert problems(bench) == {"3": None, "4": None}
    assert result.metadata["errors_cleared"] == 2
    assert bench.row("select synced_at from line where number = '4'") == before


def test_an_empty_partition_that_the_source_confirms_is_empty(bench: Workbench) -> None:
    read(bench, *lines(NORTH, "1"), *lines(SOUTH, "3"))
    stream = bench.stream([], LINE, complete=True)
    stream.outcome.partitions, stream.outcome.confirmed_empty = (NORTH,), True

    bench.merge(stream)

    assert lost(bench) == ["1"]


def test_what_was_read_before_the_error_is_merged_and_reported_too(bench: Workbench) -> None:
    read(bench, *lines(SOUTH, "3", "4", label="old"))

    read(bench, *lines(SOUTH, "3", label="new"), partitions=(), errors={SOUTH: "cut off"})

    assert problems(bench) == {"3": "cut off", "4": "cut off"}
    assert bench.row("select label from line where number = '3'")["label"] == "new"


def test_undo_takes_the_error_back(bench: Workbench) -> None:
    read(bench, *lines(SOUTH, "3"))
    run_id = uuid4()
    read(bench, partitions=(), errors={SOUTH: "HTTP 400: x"}, run_id=run_id)

    undo.undo(bench.connection, bench.system, run_id, undo_id=uuid4())

    assert problems(bench) == {"3": None}


def test_rows_of_others_without_a_whole_key_are_left_alone(bench: Workbench) -> None:
    bench.run("insert into line (account, label) values (%s, 'a'), (%s, 'b')", NORTH, NORTH)

    result = read(bench, *lines(NORTH, "1", None), partitions=(), errors={NORTH: "x"})

    assert counted(result) == {"read": 2, "inserted": 1, "rejected": 1}
    assert bench.row("select count(*) from line where number is null and problem is null") == {
        "count": 2
    }
    assert audit.repeated_keys(bench.connection, LINE) == 0


def test_repeats_that_the_source_resolved_itself_are_counted(bench: Workbench) -> None:
    result = read(bench, *lines(NORTH, "1"), duplicates=3)

    assert counted(result) == {"read": 4, "inserted": 1, "duplicates": 3}


def test_each_partition_keeps_a_cursor_of_its_own(bench: Workbench) -> None:
    for partition, cursor in ((NORTH, "morning"), (SOUTH, "noon"), (NORTH, "evening")):
        stream = bench.stream(lines(partition, "1"), LINE)
        stream.partition, stream.outcome.cursor = partition, cursor
        bench.merge(stream)

    kept = {p: watermarks.progress(bench.connection, LINE, p).cursor for p in (NORTH, SOUTH, "")}
    assert kept == {NORTH: "evening", SOUTH: "noon", "": None}
    assert [step["part"] for step in bench.steps()] == [NORTH, SOUTH, NORTH]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"partition_by": "label"}, "is not a column of the key"),
        ({"partition_by": ""}, "partition_error needs partition_by"),
        ({"partition_error": "label"}, "must be a Local column"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(
    bench: Workbench, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DeclarationError, match=problem):
        bench.entity("line", **changes)
