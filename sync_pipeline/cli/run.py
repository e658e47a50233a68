"""From typed options to a run: its scope, the job that serves it, and its execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sync_pipeline.cli.framework import log_progress
from sync_pipeline.errors import SettingsError
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.system import System

if TYPE_CHECKING:
    from sync_pipeline.orchestration.launch import JobRequest
    from sync_pipeline.orchestration.run_report import RunReport


def scope_of(**config: Any) -> Scope:
    """The scope of a run, from its launchpad configuration; raises `UsageError` for a contradiction."""
    from sync_pipeline.orchestration.resources import SyncScope

    try:
        scope = SyncScope(**config).resolve()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    if scope.since and scope.until and scope.since > scope.until:
        raise click.UsageError(f"--from {config['since']} is later than --to {config['until']}")
    return scope


def job_request(system: System, entities: Sequence[str], scope: Scope) -> JobRequest:
    """The job that serves a scope; raises `UsageError` if none does."""
    from sync_pipeline.orchestration.launch import request_for
    from sync_pipeline.systems.definitions import RUNS

    try:
        return request_for(RUNS[system.name], entities, scope)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def run(request: JobRequest, trigger: str) -> RunReport:
    """Run it in this process."""
    from sync_pipeline.definitions import defs
    from sync_pipeline.orchestration import launch

    log_progress(f"running {request.job}: {_description(request.scope)}")
    return launch.execute(defs, request, trigger=trigger)


def _description(scope: Scope) -> str:
    records = "1 record" if len(scope.keys) == 1 else f"{len(scope.keys):,} records"
    what = {
        "delta": "what changed since the last run",
        "full": "everything",
        "keys": f"{records} by key",
        "range": f"what was modified from {scope.since} to {scope.until or 'now'}",
    }[scope.mode]
    options = [what, *["forcing the source"] * scope.force, *["only planning"] * scope.dry_run]
    return ", ".join(options)
