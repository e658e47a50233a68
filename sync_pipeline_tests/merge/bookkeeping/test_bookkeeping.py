"""What a run leaves behind beside the rows: images, steps and history; and how that is tidied up."""

import dataclasses
import datetime as dt
from typing import Any
from uuid import uuid4

import pytest

from sync_pipeline.errors import StoppedByGuard
from sync_pipeline.merge.bookkeeping import retention, runs, watermarks
from sync_pipeline.model.entity import Limit
from sync_pipeline_tests.fixtures.sample_system import DESK, GENEROUS, SHOP, Workbench, shop

STRICT = dataclasses.replace(SHOP, budget=dataclasses.replace(GENEROUS, updates=Limit(0, 0)))


def day(number: int) -> dt.datetime:
    return dt.datetime(2026, 1, number, tzinfo=dt.UTC)


# -- before-images


def test_an_image_holds_the_fields_that_were_written_and_no_others(bench: Workbench) -> None:
    run_id = uuid4()
    bench.sync(shop(Size=3, Tags=["a"], Rent=10), shop("s2"))
    bench.edit(rent=11)

    bench.sync(shop(day=2, Size=4, Tags=["a", "b"], Rent=12), shop("s2"), run_id=run_id)

    change = bench.row("select * from sync.change")
    assert (change["run_id"], change["system"], change["entity"]) == (run_id, "shops", "shop")
    assert (change["key"], change["action"]) == ({"shop_id": "s1"}, "update")
    assert change["before"] == {
        "size": 3,
        "tags": ["a"],
        "modified": "2026-01-01T00:00:00+00:00",
    }
    assert change["after"] == {
        "size": 4,
        "tags": ["a", "b"],
        "modified": "2026-01-02T00:00:00+00:00",
    }


def test_each_row_has_its_own_fields_in_its_image(bench: Workbench) -> None:
    bench.sync(shop("s1", Size=1), shop("s2", Rent=1))

    bench.sync(shop("s1", Size=2), shop("s2", Rent=None))

    changes = {c["key"]["shop_id"]: (c["before"], c["after"]) for c in bench.changes()}
    assert changes == {
        "s1": ({"size": 1}, {"size": 2}),
        "s2": ({"rent": 1}, {"rent": None}),
    }


def test_an_inserted_row_is_known_by_its_run_and_has_no_image(bench: Workbench) -> None:
    run_id, later = uuid4(), uuid4()
    bench.sync(shop(), run_id=run_id)
    bench.sync(shop(day=2), run_id=later)

    assert (bench.base()["_inserted_by"], bench.base()["_run"]) == (run_id, later)
    assert len(bench.changes()) == 1


def test_stamps_are_set_on_rows_that_are_written_and_only_then(bench: Workbench) -> None:
    bench.sync(shop(day=1))
    first = bench.shop()
    bench.sync(shop(day=1))
    unchanged = bench.shop()
    bench.sync(shop(day=2))
    written = bench.shop()

    assert unchanged == first
    assert written["created_at"] == first["created_at"]
    assert written["updated_at"] == day(2)
    assert written["last_synced_at"] > first["last_synced_at"]


# -- steps and history


def test_a_merge_enters_one_step_with_its_counts_and_facts(bench: Workbench) -> None:
    run_id = uuid4()
    stream = bench.stream([shop(), shop("s2", Size="many")])
    stream.outcome.calls, stream.outcome.bytes = 7, 1234
    stream.outcome.notes["pages"] = 3

    [result] = bench.merge(stream, run_id=run_id)

    step = bench.row("select * from sync.step")
    assert (step["run_id"], step["entity"], step["action"], step["status"]) == (
        run_id,
        "shop",
        "merge",
        "completed",
    )
    assert step["counts"] == result.counts.as_dict()
    assert step["facts"].items() >= {"api_calls": 7, "bytes": 1234, "pages": 3}.items()
    assert step["facts"]["watermark"].startswith("2026-01-01")
    assert step["started_at"] < step["finished_at"]


def close(bench: Workbench, run_id: Any, **how: Any) -> dict[str, Any]:
    status = runs.close_run(bench.connection, run_id, **how)
    row = bench.row("select * from sync_history where id = %s", run_id)
    assert row["status"] == status
    return row


def test_a_run_in_which_all_landed_is_completed(bench: Workbench) -> None:
    run_id = uuid4()
    runs.open_run(bench.connection, run_id, "full", by="a test")
    runs.open_run(bench.connection, run_id, "delta")
    bench.sync(shop(), shop("s2"), run_id=run_id)
    bench.sync({"shop_id": "s1", "number": 1}, entity=DESK, run_id=run_id)

    row = close(bench, run_id)

    assert (row["sync_type"], row["status"], row["metadata"]["by"]) == (
        "full",
        "completed",
        "a test",
    )
    assert (row["items_processed"], row["items_created"], row["items_failed"]) == (3, 3, 0)
    assert row["duration_ms"] >= 0


@pytest.mark.parametrize("error", ["rejected", "parked", "problem", "failed step", "failed run"])
def test_a_run_in_which_something_did_not_land_is_a_partial_success(
    bench: Workbench, error: str
) -> None:
    run_id = uuid4()
    runs.open_run(bench.connection, run_id, "full")
    bench.sync(shop(), run_id=run_id)
    if error == "rejected":
        bench.sync(shop(Size="many"), run_id=run_id)
    elif error == "parked":
        bench.sync({"shop_id": "s9", "number": 1}, entity=DESK, run_id=run_id)
    elif error == "problem":
        stream = bench.stream([])
        stream.outcome.problems.append("one invoice could not be read")
        bench.merge(stream, run_id=run_id)
    elif error == "failed step":
        failed = runs.Step("shops", "desk", "fetch", "failed", day(1), error="404")
        runs.add_step(bench.connection, run_id, failed)

    row = close(bench, run_id, failed=error == "failed run")

    assert row["status"] == "partial_success"


@pytest.mark.parametrize("failed", [True, False])
def test_a_run_in_which_nothing_landed_is_failed(bench: Workbench, failed: bool) -> None:
    run_id = uuid4()
    runs.open_run(bench.connection, run_id, "full")
    if not failed:
        step = runs.Step("shops", "shop", "fetch", "failed", day(1), error="503")
        runs.add_step(bench.connection, run_id, step)

    assert close(bench, run_id, failed=failed)["status"] == "failed"


def test_a_stopped_run_is_failed_and_claims_no_row(bench: Workbench) -> None:
    run_id = uuid4()
    bench.sync(shop(), entity=STRICT)
    runs.open_run(bench.connection, run_id, "delta")

    with pytest.raises(StoppedByGuard):
        bench.sync(shop(day=2), shop("s2"), entity=STRICT, run_id=run_id)

    row = close(bench, run_id)
    assert (row["status"], row["items_created"], row["items_updated"]) == ("failed", 0, 0)


def test_a_dry_run_is_completed_and_claims_no_row(bench: Workbench) -> None:
    run_id = uuid4()
    runs.open_run(bench.connection, run_id, "delta")
    bench.sync(shop(), run_id=run_id, dry_run=True)

    row = close(bench, run_id)

    assert (row["status"], row["items_processed"], row["items_created"]) == ("completed", 1, 0)


def test_closing_a_run_that_was_never_opened_says_so(bench: Workbench) -> None:
    assert runs.close_run(bench.connection, uuid4()) is None


def test_whatever_a_source_has_said_can_be_kept(bench: Workbench) -> None:
    stream = bench.stream([shop()])
    stream.outcome.notes["example"] = {"nul": "a\x00b", "half": "\ud83d", "when": day(1)}
    stream.outcome.problems.append("it answered \x00\ud83d")

    bench.merge(stream)
    failed = runs.Step("shops", "shop", "fetch", "failed", day(1), error="\x00\ud83d")
    runs.add_step(bench.connection, uuid4(), failed)
    watermarks.mark_failed(bench.connection, SHOP, "\x00\ud83d")

    assert bench.shop()["name"] == "Corner"
    assert bench.steps()[1]["error"] == "\ufffd?"


# -- retention


def test_old_bookkeeping_goes_and_what_waits_for_people_stays(bench: Workbench) -> None:
    bench.sync(shop(Rent=10), shop("s2", Rent=10))
    bench.edit(rent=11)
    bench.edit("s2", rent=11)
    bench.sync(shop(day=2, Rent=12), shop("s2", 2, Rent=12), shop("s3", Size="many"))
    bench.sync({"shop_id": "s9", "number": 1}, entity=DESK)
    bench.sync(shop("s2", 3), dry_run=True)
    runs.open_run(bench.connection, uuid4(), "full")
    bench.run("update sync.conflict set resolved_at = now() where key ->> 'shop_id' = 's2'")
    for table, column in (
        ("sync.change", "changed_at"),
        ("sync.plan", "created_at"),
        ("sync.step", "started_at"),
        ("sync.conflict", "created_at"),
        ("sync.rejected", "first_seen"),
        ("sync.parked", "parked_at"),
        ("sync_history", "created_at"),
    ):
        bench.run(f"update {table} set {column} = now() - interval '100 days'")
    bench.run("update sync.conflict set resolved_at = created_at where resolved_at is not null")

    kept = retention.purge(bench.connection, keep=dt.timedelta(days=101))
    gone = retention.purge(bench.connection, keep=dt.timedelta(days=99))

    assert set(kept.values()) == {0}
    assert gone == {
        "sync.change": 2,
        "sync.plan": 1,
        "sync.step": 4,
        "sync.request": 0,
        "sync.conflict": 1,
        "sync_history": 1,
    }
    assert len(bench.conflicts()) == len(bench.rejected()) == len(bench.parked()) == 1
    assert bench.row("select count(*) from shop") == {"count": 2}
