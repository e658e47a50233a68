"""Run reports for `sync --json` and `history`, read from the bookkeeping of a run.

Starting runs belongs in `launch`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import dagster as dg

from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.bookkeeping import listings, plans
from sync_pipeline.merge.bookkeeping import runs as history
from sync_pipeline.postgres.connect import Connection

RunStatus = Literal["completed", "partial_success", "failed"]
INTERRUPTED = "interrupted"


@dataclass
class RunReport:
    """The outcome of a run, as `sync --json` prints it.

    Attributes:
        stopped: whether the guard stopped an entity.
        skipped: assets that did not run because an upstream asset failed.
        plans: digests of plans that were not applied, by entity.
        changes: field changes of these plans (a sample): key, state, column, old and new value.
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


def report(
    connection: Connection, run_id: UUID, status: RunStatus, failures: Sequence[str] = ()
) -> RunReport:
    """The report of a run, from its history."""
    row = history.history_row(connection, run_id) or history.HistoryRow(status, 0, {})
    found = RunReport(str(run_id), status, stopped=False, duration_ms=row.duration_ms, api_calls=0)
    found.packages = row.metadata.get("packages")
    for step in listings.steps(connection, run_id):
        _add_step(found, step)
    if found.plans:
        found.changes = plans.changes(connection, run_id)
    errors = dict.fromkeys([*failures, *found.errors])
    # The error of a run often contains those of its steps.
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
        before = found.entities.get(step["entity"], {})  # of another partition of the entity
        found.entities[step["entity"]] = {n: c + before.get(n, 0) for n, c in counts.items()}
        if facts.get("plan"):
            found.plans[_named(step)] = facts["plan"]
    elif step["action"] == "patch":
        found.patches[step["entity"]] = dict(facts)


def skipped(
    result: dg.ExecuteInProcessResult, job: dg.JobDefinition, selection: Iterable[dg.AssetKey]
) -> list[str]:
    """Assets that did not run because an upstream asset failed."""
    started = {event.step_key for event in result.all_events if event.is_step_start}
    layer = job.asset_layer
    steps = {
        key: layer.asset_graph.get(key).assets_def.op.name
        for key in selection or layer.selected_asset_keys
    }
    return sorted(key.path[-1] for key, step in steps.items() if step not in started)


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """The messages of failed steps: the description of a `Failure`, or the message of the exception."""
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
