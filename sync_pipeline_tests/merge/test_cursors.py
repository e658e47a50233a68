"""What a source leaves to be kept between its reads: committed with the rows, or not at all."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from sync_pipeline.errors import StoppedByGuard, TargetRefused
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Budget, Limit
from sync_pipeline_tests.fixtures.sample_system import DESK, SHOP, Workbench, counted, shop

FIRST = {"page": 1, "seen": ["é", None, 1.5], "deep": {"a": [1, 2]}}
SECOND = {"page": 2}


def synced(bench: Workbench, cursor: Any, *records: dict[str, Any], **how: Any) -> MergeResult:
    """A run whose source leaves a cursor."""
    gaps = how.pop("gaps", False)
    stream = bench.stream(records, how.pop("entity", SHOP), **how)
    stream.outcome.cursor, stream.outcome.has_gaps = cursor, gaps
    return bench.merge(stream)[0]


def kept(bench: Workbench) -> Any:
    return watermarks.progress(bench.connection, SHOP).cursor


@pytest.fixture
def begun(bench: Workbench) -> Workbench:
    """A bench on which one run has landed."""
    synced(bench, FIRST, shop(day=2, Size=1))
    return bench


def test_what_the_last_run_left_is_handed_to_the_next(begun: Workbench) -> None:
    progress = watermarks.progress(begun.connection, SHOP)

    assert progress.cursor == FIRST
    assert progress.watermark == begun.watermark()
    synced(begun, SECOND)
    assert kept(begun) == SECOND


def test_before_the_first_run_there_is_nothing(bench: Workbench) -> None:
    assert watermarks.progress(bench.connection, SHOP) == Progress(None, None)


def test_each_entity_keeps_its_own(begun: Workbench) -> None:
    synced(begun, SECOND, {"shop_id": "s1", "number": 1}, entity=DESK)

    assert kept(begun) == FIRST
    assert watermarks.progress(begun.connection, DESK).cursor == SECOND


def test_a_source_that_leaves_nothing_leaves_the_last_one(begun: Workbench) -> None:
    begun.sync(shop(day=3))

    assert kept(begun) == FIRST


def test_the_same_again_writes_nothing(begun: Workbench) -> None:
    before = begun.writes("sync.cursor")

    synced(begun, dict(reversed(FIRST.items())))

    assert begun.writes("sync.cursor") == before


@pytest.mark.parametrize(
    "how",
    [
        {"dry_run": True},
        {"mode": "keys", "keys": ("s1",)},
        {"mode": "range"},
        {"gaps": True},
    ],
    ids=str,
)
def test_a_run_that_has_not_seen_everything_to_the_end_leaves_the_last_one(
    begun: Workbench, how: dict[str, Any]
) -> None:
    synced(begun, SECOND, shop(day=3, Size=3), **how)

    assert kept(begun) == FIRST


def test_a_run_that_the_guard_stops_leaves_the_last_one(begun: Workbench) -> None:
    careful = dataclasses.replace(SHOP, budget=Budget(updates=Limit(percent=0, floor=0)))

    with pytest.raises(StoppedByGuard) as caught:
        synced(begun, SECOND, shop(day=3, Size=3), entity=careful)

    assert kept(begun) == FIRST
    digest = frozenset({caught.value.digest})
    synced(begun, SECOND, shop(day=3, Size=3), entity=careful, approve=digest)
    assert kept(begun) == SECOND


def test_a_source_that_fails_leaves_the_last_one(begun: Workbench) -> None:
    def broken() -> Iterator[list[dict[str, Any]]]:
        yield [shop(day=3)]
        raise ConnectionError("the source went away")

    stream = begun.stream([])
    stream.batches, stream.outcome.cursor = broken(), SECOND
    with pytest.raises(ConnectionError):
        begun.merge(stream)

    assert kept(begun) == FIRST


@pytest.mark.parametrize("table", ["sync.cursor", "sync.step"])
def test_a_target_that_refuses_at_the_end_keeps_neither_rows_nor_cursor(
    begun: Workbench, table: str
) -> None:
    begun.run("""
        create function refuse() returns trigger language plpgsql as
        $$ begin raise insufficient_privilege; end $$
    """)
    begun.run(f"create trigger no before insert or update on {table} execute function refuse()")

    with pytest.raises(TargetRefused):
        synced(begun, SECOND, shop(day=3, Size=3))

    assert kept(begun) == FIRST
    assert begun.shop()["size"] == 1


def test_rows_of_a_run_that_landed_in_part_come_with_its_cursor(begun: Workbench) -> None:
    result = synced(begun, SECOND, shop(day=3, Size=3), shop("s2", Size="many"))

    assert counted(result) == {"read": 2, "updated": 1, "rejected": 1}
    assert kept(begun) == SECOND
