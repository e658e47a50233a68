"""Closing the history of a Dagster run that has ended, and settling the request that asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import dagster as dg

from sync_pipeline.merge.bookkeeping import requests, runs
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, TARGET_TAG
from sync_pipeline.orchestration.resources import TargetDatabase

REQUEST_TAG = "sync/request"
"""Runs that a request asked for carry its number."""


def close_everywhere(
    others: Sequence[TargetDatabase], run: dg.DagsterRun, *, failed: bool, error: str = ""
) -> None:
    """Close a run in the target's history and in that of other databases it may have written."""
    close(TargetDatabase(), run, failed=failed, error=error)
    for database in others:
        if database.keeps_account():
            close(database, run, failed=failed, error=error)


def close(database: TargetDatabase, run: dg.DagsterRun, *, failed: bool, error: str = "") -> None:
    """Close a run's history row and settle its request; doing it twice changes nothing.

    A sync that failed before its first merge, or was killed, gets a row too, which says why.
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
    """The mode of a run's scope, which may be left to its default."""
    config: Any = run.run_config
    for name in ("resources", "scope", "config", "mode"):
        config = config.get(name) if isinstance(config, Mapping) else None
    return config or "delta"


def close_missed_run(database: TargetDatabase, run: dg.DagsterRun) -> None:
    """Close a run whose end nobody has noticed: Dagster tells of it once, and the target may be away then."""
    said = "the run failed; why is in its log in Dagster"
    close(database, run, failed=not run.is_success, error=said)
