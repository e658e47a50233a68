"""Which job serves which wish, and what came of a run: between the command line and Dagster."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

import dagster as dg

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.bookkeeping import listings, plans
from sync_pipeline.merge.bookkeeping import runs as history
from sync_pipeline.merge.bookkeeping.run_lock import RunLock
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.system import System
from sync_pipeline.orchestration import orphaned_runs
from sync_pipeline.orchestration.asset_keys import SOURCE_TAG, asset_key, patch_key
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import is_reverse, typed

log = logging.getLogger(__name__)

RunStatus = Literal["completed", "partial_success", "failed"]
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class SystemRuns:
    """The jobs of a system by what they are for.

    Attributes:
        delta: what changed since the last run.
        full: everything.
        partial: some records of one entity.
        package_of: the entity whose records have packages; empty where none has.
        package: packages by key.
        package_range: packages by date range.
        ranges: whether the source can tell what was modified between two dates.
        database: the database that the system is merged into.
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
    """A run as somebody asked for it."""

    job: str
    scope: Scope
    selection: list[dg.AssetKey] | None = None
    database: TargetDatabase = field(default_factory=TargetDatabase)

    @property
    def run_config(self) -> dict[str, Any]:
        """The launchpad configuration of the wish."""
        scope = self.scope
        config: dict[str, Any] = {
            "mode": scope.mode,
            "force": scope.force,
            "dry_run": scope.dry_run,
        }
        config |= {"ids": list(scope.keys), "of": scope.of, "approve": sorted(scope.approve)}
        if scope.since:
            config["since"] = scope.since.isoformat()
        if scope.until:
            config["until"] = scope.until.isoformat()
        return {"resources": {"scope": {"config": config}}}


def request_for(runs: SystemRuns, entities: Sequence[str], scope: Scope) -> JobRequest:
    """The job and selection that serve a scope.

    Raises:
        SettingsError: no job serves it; the message says what does.
    """
    named = list(dict.fromkeys(entities))
    known = {e.name for e in runs.system.entities}
    for name in named:
        if name not in known:
            raise SettingsError(
                f"{runs.system.name} has no entity {name!r}; it has: {', '.join(sorted(known))}"
            )
    selection = runs.selection(named) or None
    if scope.mode in {"keys", "range"} and named in ([], [runs.package_of]) and runs.package_of:
        job = runs.package if scope.mode == "keys" else runs.package_range
        return JobRequest(
            job, dataclasses.replace(scope, of=runs.package_of), database=runs.database
        )
    if scope.mode == "range" and not runs.ranges:
        raise SettingsError(
            f"{runs.system.key_prefix[0]} keeps no modification times, so dates mean nothing to it; leave"
            " them out (what changed is found by itself), or name records with --keys"
        )
    if scope.mode == "keys" and len(named) != 1 and not runs.system.is_partitioned:
        place, example = runs.system.key_prefix, runs.system.in_order()[-1].name
        command = typed(f"sync {place[0]} {example} --keys …", reverse=is_reverse(place))
        raise SettingsError(f"keys belong to one entity: name exactly one, such as: {command}")
    job = {"keys": runs.partial, "full": runs.full}.get(scope.mode, runs.delta)
    return JobRequest(job, scope, selection, runs.database)


@dataclass
class RunReport:
    """What came of a run, as `sync --json` prints it.

    Attributes:
        stopped: whether the guard stopped an entity.
        skipped: what was not run, because something that it builds on failed.
        plans: digests of what was only planned, by entity.
        changes: some of the field changes of these plans: key, state, column, old and new value.
    """

    run_id: str
    status: RunStatus
    stopped: bool
    duration_ms: int
    api_calls: int
    errors: list[str] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    entities: dict[str, dict[str, int]] = field(default_factory=dict)
    patches: dict[str, dict[str, Any]] = field(default_factory=dict)
    packages: dict[str, Any] | None = None
    plans: dict[str, str] = field(default_factory=dict)
    changes: dict[str, list[Any]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 success, 1 failed, 3 stopped by the guard, 4 partial success."""
        if self.stopped:
            return 3
        return {"completed": 0, "partial_success": 4, "failed": 1}[self.status]


def execute(definitions: dg.Definitions, wished: JobRequest, *, trigger: str) -> RunReport:
    """Run a wish in this process, as a Dagster run that the UI shows.

    The history row is opened and closed here; where a daemon runs, its sensors find it closed. Runs of
    killed processes are closed here too, because the next run may be the first to pass by.

    Raises:
        KeyboardInterrupt: a signal ended the run; its history row is closed.
    """
    run_id = uuid4()
    job = definitions.resolve_job_def(wished.job)
    database = wished.database
    with dg.DagsterInstance.get() as instance, RunLock(database.connect) as lock:
        with database.connect() as connection:
            for ended in orphaned_runs.settle(instance, connection, database):
                log.info("run %s was killed before it was done; its history is closed", ended[:8])
        lock.acquire(
            run_id, wished.scope.mode, system=job.tags.get(SOURCE_TAG, ""), trigger=trigger
        )
        result = job.execute_in_process(
            run_id=str(run_id),
            instance=instance,
            run_config=wished.run_config
            | {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            asset_selection=wished.selection,
            tags={"sync/trigger": trigger},
            raise_on_error=False,
        )
        failures = [] if result.success else _failures(result)
    with database.connect() as connection:
        status = history.close_run(connection, run_id, failed=not result.success)
        if INTERRUPTED in failures:
            raise KeyboardInterrupt
        found = report(connection, run_id, status or "failed", failures)
    found.skipped = _skipped(result, job, wished.selection or ())
    return found


def _skipped(
    result: dg.ExecuteInProcessResult, job: dg.JobDefinition, selection: Iterable[dg.AssetKey]
) -> list[str]:
    """What was not run, because something that it builds on failed."""
    started = {event.step_key for event in result.all_events if event.is_step_start}
    layer = job.asset_layer
    steps = {
        key: layer.asset_graph.get(key).assets_def.op.name
        for key in selection or layer.selected_asset_keys
    }
    return sorted(key.path[-1] for key, step in steps.items() if step not in started)


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """The descriptions of failed steps: what our own errors say, or the last line of a defect's."""
    found = []
    for event in result.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            found.append(data.user_failure_data.description)
        elif data.error and data.error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
            found.append(INTERRUPTED)
        elif data.error:
            cause = data.error.cause or data.error
            found.append(f"{event.step_key}: {' '.join(cause.message.split())}")
    return found


def report(
    connection: Connection, run_id: UUID, status: RunStatus, failures: Sequence[str] = ()
) -> RunReport:
    """Put a run's report together from its history."""
    row = history.history_row(connection, run_id) or history.HistoryRow(status, 0, {})
    found = RunReport(str(run_id), status, stopped=False, duration_ms=row.duration_ms, api_calls=0)
    found.packages = row.metadata.get("packages")
    for step in listings.steps(connection, run_id):
        _add_step(found, step)
    if found.plans:
        found.changes = plans.changes(connection, run_id)
    errors = dict.fromkeys([*failures, *found.errors])
    # What a step says of itself is often part of what the run says of it.
    found.errors = [e for e in errors if not any(e != other and e in other for other in errors)]
    return found


def _named(step: Mapping[str, Any]) -> str:
    return f"{step['entity']} {step['part']}".rstrip()


def _add_step(found: RunReport, step: Mapping[str, Any]) -> None:
    facts = step["facts"]
    succeeded = step["status"] in {"completed", "planned"}
    found.steps.append(
        {
            "action": f"{step['action']} {_named(step)}",
            "entity": step["entity"],
            "part": step["part"],
            "success": succeeded,
            "status": step["status"],
            "error": step["error"],
            "problems": facts.get("problems", []),
        }
    )
    found.api_calls += facts.get("api_calls", 0)
    found.stopped |= step["status"] == "stopped"
    if step["error"]:
        found.errors.append(step["error"])
    found.errors += facts.get("problems", [])
    found.errors += [
        f"{step['entity']} rejected: {reason}" for reason in facts.get("rejected_examples", [])
    ]
    if step["action"] == "merge":
        counts = Counts(**(step["counts"] or {})).as_dict()
        before = found.entities.get(step["entity"], {})  # of another part of the entity
        found.entities[step["entity"]] = {n: c + before.get(n, 0) for n, c in counts.items()}
        if facts.get("plan"):
            found.plans[_named(step)] = facts["plan"]
    elif step["action"] == "patch":
        found.patches[step["entity"]] = dict(facts)
