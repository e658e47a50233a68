"""How far the watermark moves: what was seen, never past what the source may still hide, never back."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline_tests.fixtures.sample_system import SHOP, Workbench, shop


def day(number: int) -> dt.datetime:
    return dt.datetime(2026, 1, number, tzinfo=dt.UTC)


def test_the_watermark_is_the_highest_moment_seen_and_not_the_clock(bench: Workbench) -> None:
    assert bench.watermark() is None

    result = bench.sync(shop("s1", 2), shop("s2", 5), shop("s3", 3))

    assert result.watermark == bench.watermark() == day(5)


def test_the_watermark_stays_behind_the_start_of_the_read_by_the_overlap(
    bench: Workbench,
) -> None:
    stream = bench.stream([shop("s1", 2), shop("s2", 5)])
    stream.outcome.read_started = day(5)
    stream.overlap = dt.timedelta(hours=6)

    bench.merge(stream)

    assert bench.watermark() == day(5) - dt.timedelta(hours=6)


def test_the_watermark_never_moves_back(bench: Workbench) -> None:
    bench.sync(shop("s1", 5))

    bench.sync(shop("s2", 2))
    bench.sync()

    assert bench.watermark() == day(5)


@pytest.mark.parametrize(
    ("scope", "complete", "moves"),
    [
        ({"mode": "delta"}, False, True),
        ({"mode": "full"}, True, True),
        ({"mode": "full"}, False, False),
        ({"mode": "keys", "keys": ("s1",)}, False, False),
        ({"mode": "range", "since": day(1)}, False, False),
        ({"mode": "delta", "dry_run": True}, False, False),
    ],
)
def test_only_a_run_that_saw_everything_up_to_its_start_moves_the_watermark(
    bench: Workbench, scope: dict[str, Any], complete: bool, moves: bool
) -> None:
    bench.sync(shop("s1", 2))

    bench.sync(shop("s1", 5), complete=complete, **scope)

    assert bench.watermark() == day(5 if moves else 2)


def test_a_read_with_gaps_does_not_move_the_watermark(bench: Workbench) -> None:
    stream = bench.stream([shop("s1", 5)])
    stream.outcome.has_gaps = True

    bench.merge(stream)

    assert bench.watermark() is None
    assert bench.shop()["modified"] == day(5)


def test_a_source_that_fails_midway_leaves_everything_as_it_was(bench: Workbench) -> None:
    bench.sync(shop("s1", 2))
    tables = (*bench.co_owned, "sync.change", "sync.step", "sync.rejected", "public._sync_metadata")
    before = bench.writes(*tables)

    def pages() -> Iterator[list[dict[str, Any]]]:
        yield [shop("s1", 5, Size=1), shop("s2", 5), shop("s3", 5, Size="many")]
        raise ConnectionError("page 2 of 9 answered 503")

    stream = bench.stream([])
    stream.batches = pages()
    with pytest.raises(ConnectionError, match="page 2 of 9"):
        bench.merge(stream)

    assert bench.watermark() == day(2)
    assert bench.writes(*tables) == before


def test_a_failed_run_is_marked_and_keeps_the_watermark(bench: Workbench) -> None:
    bench.sync(shop("s1", 5))

    watermarks.mark_failed(bench.connection, SHOP, "the source was away")
    failed = bench.row("select * from _sync_metadata where table_name = 'shop'")
    bench.sync(shop("s1", 6))
    repaired = bench.row("select * from _sync_metadata where table_name = 'shop'")

    assert (failed["sync_status"], failed["error_message"]) == ("failed", "the source was away")
    assert failed["last_sync_timestamp"] == day(5)
    assert (repaired["sync_status"], repaired["error_message"]) == ("success", None)


def test_a_table_that_failed_before_its_first_success_has_no_watermark(bench: Workbench) -> None:
    watermarks.mark_failed(bench.connection, SHOP, "404")

    assert bench.watermark() is None
