"""Run history: closes the history row of an ended Dagster run and finishes its request."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import dagster as dg

from sync_pipeline.merge.bookkeeping import requests, runs
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, TARGET_TAG
from sync_pipeline.orchestration.resources import TargetDatabase, with_bookkeeping

REQUEST_TAG = "sync/request"
"""The id of the request in `sync.request` that a run serves."""


def close_everywhere(
    others: Sequence[TargetDatabase], run: dg.DagsterRun, *, failed: bool, error: str = ""
) -> None:
    """Close a run in the history of every database that it may have written."""
    for database in with_bookkeeping(others):
        close(database, run, failed=failed, error=error)


def close(database: TargetDatabase, run: dg.DagsterRun, *, failed: bool, error: str = "") -> None:
    """Close a run's history row and finish its request. Idempotent.

    A sync that failed or was killed before its first merge gets a row with the error, too.
    """
    run_id = UUID(run.run_id)
    into_this = run.tags.get(TARGET_TAG, TargetDatabase.key) == database.key
    with database.connect() as connection, connection.transaction():
        if failed and into_this and SOURCE_TAG in run.tags:
            runs.open_run(connection, run_id, _mode(run), system=run.tags[SOURCE_TAG])
            runs.annotate(connection, run_id, {"error": error})
        runs.close_run(connection, run_id, failed=failed)
        request = run.tags.get(REQUEST_TAG)
        if request and database.key == TargetDatabase.key:
            requests.finish(connection, int(request), run_id, error=error if failed else None)


def _mode(run: dg.DagsterRun) -> str:
    """The mode in a run's config, or the default."""
    config: Any = run.run_config
    for name in ("resources", "scope", "config", "mode"):
        config = config.get(name) if isinstance(config, Mapping) else None
    return config or "delta"


def close_missed_run(database: TargetDatabase, run: dg.DagsterRun) -> None:
    """Close a run that no sensor closed: Dagster reports an end once, and the target may be down then."""
    error = "the run failed; why is in its log in Dagster"
    close(database, run, failed=not run.is_success, error=error)
