"""Launching runs: job, asset selection and run config for a scope, and in-process execution.

Used by the command line and by sensors. The outcome of a run belongs in `run_report`.
"""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import dagster as dg

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.bookkeeping import runs as history
from sync_pipeline.merge.bookkeeping.run_lock import RunLock
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.system import System
from sync_pipeline.orchestration import orphaned_runs, run_report
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, asset_key, patch_key
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.remedies import command_line, is_reverse

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SystemRuns:
    """The jobs of a system by what they are for.

    Attributes:
        partial: some records of one entity.
        package_of: the entity whose records have packages; empty where none has.
        package_range: packages by date range.
        ranges: whether the source filters by modification time.
    """

    system: System
    delta: str
    full: str
    partial: str
    package_of: str = ""
    package: str = ""
    package_range: str = ""
    ranges: bool = True
    database: TargetDatabase = field(default_factory=TargetDatabase)

    def selection(self, entities: Sequence[str]) -> list[dg.AssetKey]:
        """These entities, what is merged together with them, and the patches after them."""
        entities = self.system.together(entities)
        touched = [p for p in self.system.patches if set(p.ends) & set(entities)]
        return [
            *(asset_key(self.system[name]) for name in entities),
            *(patch_key(self.system, patch) for patch in touched),
        ]


@dataclass(frozen=True)
class JobRequest:
    """A run to launch."""

    job: str
    scope: Scope
    selection: list[dg.AssetKey] | None = None
    database: TargetDatabase = field(default_factory=TargetDatabase)

    @property
    def run_config(self) -> dict[str, Any]:
        """Run config that sets the scope."""
        scope = self.scope
        config: dict[str, Any] = {"mode": scope.mode, "ids": list(scope.keys), "of": scope.of}
        config |= {"force": scope.force, "dry_run": scope.dry_run, "approve": sorted(scope.approve)}
        if scope.since:
            config["since"] = scope.since.isoformat()
        if scope.until:
            config["until"] = scope.until.isoformat()
        return {"resources": {"scope": {"config": config}}}


def request_for(runs: SystemRuns, entities: Sequence[str], scope: Scope) -> JobRequest:
    """The job and selection that serve a scope; raises `SettingsError` with what does if no job does."""
    named = list(dict.fromkeys(entities))
    known = {e.name for e in runs.system.entities}
    unknown = [name for name in named if name not in known]
    if unknown:
        raise SettingsError(
            f"{runs.system.name} has no entity {unknown[0]!r}; it has: {', '.join(sorted(known))}"
        )
    selection = runs.selection(named) or None
    if scope.mode in {"keys", "range"} and named in ([], [runs.package_of]) and runs.package_of:
        job = runs.package if scope.mode == "keys" else runs.package_range
        return JobRequest(
            job, dataclasses.replace(scope, of=runs.package_of), database=runs.database
        )
    if scope.mode == "range" and not runs.ranges:
        raise SettingsError(
            f"{runs.system.key_prefix[0]} keeps no modification times, so it cannot filter by date; leave"
            " the dates out (a delta finds what changed), or name records with --keys"
        )
    if scope.mode == "keys" and len(named) != 1 and not runs.system.is_partitioned:
        place, example = runs.system.key_prefix, runs.system.in_order()[-1].name
        command = command_line(f"sync {place[0]} {example} --keys …", reverse=is_reverse(place))
        raise SettingsError(f"keys belong to one entity: name exactly one, such as: {command}")
    job = {"keys": runs.partial, "full": runs.full}.get(scope.mode, runs.delta)
    return JobRequest(job, scope, selection, runs.database)


def execute(
    definitions: dg.Definitions, request: JobRequest, *, trigger: str
) -> run_report.RunReport:
    """Execute a request in this process, as a Dagster run that the UI shows.

    Opens and closes the run's history row, and first closes orphaned runs: without a daemon no sensor
    does either.

    Raises:
        KeyboardInterrupt: a signal ended the run; its history row is closed.
    """
    run_id = uuid4()
    job = definitions.resolve_job_def(request.job)
    database = request.database
    with dg.DagsterInstance.get() as instance, RunLock(database.connect) as lock:
        with database.connect() as connection:
            for orphan in orphaned_runs.close_orphaned(instance, connection, database):
                log.info("run %s was killed before it ended; its history is closed", orphan[:8])
        lock.acquire(
            run_id, request.scope.mode, system=job.tags.get(SOURCE_TAG, ""), trigger=trigger
        )
        result = job.execute_in_process(
            run_id=str(run_id),
            instance=instance,
            run_config=request.run_config
            | {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            asset_selection=request.selection,
            tags={"sync/trigger": trigger},
            raise_on_error=False,
        )
        failures = [] if result.success else run_report.failures(result)
    with database.connect() as connection:
        status = history.close_run(connection, run_id, failed=not result.success)
        if run_report.INTERRUPTED in failures:
            raise KeyboardInterrupt
        found = run_report.report(connection, run_id, status or "failed", failures)
    found.skipped = run_report.skipped(result, job, request.selection or ())
    return found
