"""Run-status sensors: the history row of a run is closed however the run ends."""

from typing import Any
from uuid import uuid4

import dagster as dg

from sync_pipeline.definitions import defs
from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline_tests.fixtures.bubble_system import (
    AGENT,
    BubbleSystem,
)
from sync_pipeline_tests.fixtures.dagster_run import SILENT
from sync_pipeline_tests.orchestration.test_sensors import close, look


def unclosed(bubble_system: BubbleSystem, **scope: Any) -> dg.DagsterRun:
    """A run as a daemon starts it: nobody in its process closes the history."""
    config = {"resources": {"scope": {"config": scope}}}
    result = defs.resolve_job_def("bubble_sync").execute_in_process(
        instance=bubble_system.instance,
        run_config=config | SILENT,
        asset_selection=[dg.AssetKey(["bubble", name]) for name in ("agent", "invoice_item")],
        raise_on_error=False,
    )
    run = bubble_system.instance.get_run_by_id(result.run_id)
    assert run
    return run


def status(bubble_system: BubbleSystem, run: dg.DagsterRun) -> dict[str, Any]:
    return bubble_system.db.row(
        "select status, items_processed, duration_ms, metadata from sync_history where id = %s",
        run.run_id,
    )


def test_a_run_that_succeeded_is_closed_with_its_sums(tiny: BubbleSystem) -> None:
    tiny.edit_there("agent", AGENT, Name="Renamed")
    run = unclosed(tiny)
    assert status(tiny, run)["status"] == "running"

    close(tiny, run, "close_history")

    closed = status(tiny, run)
    assert closed["status"] == "completed"
    assert closed["items_processed"] == 1
    assert closed["duration_ms"] > 0
    assert closed["metadata"]["api_calls"] == 2  # one question for each type


def test_a_run_that_failed_in_part_is_closed_as_partial(tiny: BubbleSystem) -> None:
    tiny.bubble.options.disabled_types = ("invoice_item",)
    run = unclosed(tiny)

    close(tiny, run, "close_history_of_failed")

    closed = status(tiny, run)
    assert closed["status"] == "partial_success"
    assert "invoice_item" in closed["metadata"]["error"]


def test_closing_twice_changes_nothing(tiny: BubbleSystem) -> None:
    run = unclosed(tiny)
    close(tiny, run, "close_history")
    first = status(tiny, run)

    close(tiny, run, "close_history")

    assert status(tiny, run) == first


def test_a_run_that_failed_before_its_first_table_is_in_the_history_with_the_reason(
    tiny: BubbleSystem,
) -> None:
    run = unclosed(tiny, mode="keys")  # and no ids

    close(tiny, run, "close_history_of_failed")

    closed = status(tiny, run)
    assert closed["status"] == "failed"
    assert closed["metadata"]["error"]


def test_a_run_whose_process_was_killed_is_closed_as_failed(tiny: BubbleSystem) -> None:
    run = tiny.instance.create_run_for_job(
        defs.resolve_job_def("bubble_sync"), tags={"sync/source": "bubble"}
    )
    runs.open_run(tiny.db.connection, uuid4(), "delta")  # another run, which goes on
    tiny.db.run(
        "insert into sync_history (id, sync_type, status) values (%s, 'delta', 'running')",
        run.run_id,
    )
    tiny.instance.report_run_failed(run, "run worker unexpectedly exited")

    close(tiny, run, "close_history_of_failed")

    closed = status(tiny, run)
    assert closed["status"] == "failed"
    assert "unexpectedly exited" in closed["metadata"]["error"]
    assert tiny.count("sync_history", "status = 'running'") == 1


def test_a_run_that_ended_unnoticed_is_closed_as_it_ended(tiny: BubbleSystem) -> None:
    ended_unnoticed = unclosed(tiny)

    look(tiny, "settle_abandoned")

    closed = status(tiny, ended_unnoticed)
    assert closed["status"] == "completed"
    assert "error" not in closed["metadata"]


def test_a_run_that_failed_unnoticed_is_closed_as_it_ended(tiny: BubbleSystem) -> None:
    tiny.bubble.options.disabled_types = ("invoice_item",)
    failed_unnoticed = unclosed(tiny)

    look(tiny, "settle_abandoned")

    closed = status(tiny, failed_unnoticed)
    assert closed["status"] == "partial_success"
    assert "failed" in closed["metadata"]["error"]


def test_a_run_that_was_canceled_is_closed_as_failed(tiny: BubbleSystem) -> None:
    run = tiny.instance.create_run_for_job(
        defs.resolve_job_def("bubble_sync"), tags={"sync/source": "bubble"}
    )
    tiny.instance.report_run_canceled(run)

    close(tiny, run, "close_history_of_canceled")

    assert status(tiny, run)["status"] == "failed"
    assert status(tiny, run)["metadata"]["error"] == "canceled"
