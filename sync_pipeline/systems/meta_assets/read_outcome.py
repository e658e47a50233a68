"""The outcome of a read plan.

A workspace is complete only if each of its accounts was read to the end. Records of a workspace that failed
are merged, but none is concluded to be missing.
"""

from sync_pipeline.merge.stream import SourceOutcome
from sync_pipeline.systems.meta_assets.api.client import ReadRequest, ReadResult
from sync_pipeline.systems.meta_assets.api.errors import ErrorKind, GraphError
from sync_pipeline.systems.meta_assets.read_plan import ReadPlan


class OutcomeBuilder:
    """Builds an outcome from results.

    Args:
        plan: the requests.
        outcome: filled when `close` is called.
    """

    def __init__(self, plan: ReadPlan, outcome: SourceOutcome) -> None:
        self._outcome = outcome
        self._missing = set(plan.expected)
        self._problems = list(plan.problems)
        self._open: dict[str, set[str]] = {}
        self._errors: dict[str, GraphError] = {}
        self._has_result = False
        for request in plan.requests:
            if not request.phone_id:
                self._open.setdefault(request.workspace_id, set()).add(request.waba_id)

    def add(self, result: ReadResult) -> None:
        """Add a result."""
        request = result.request
        if result.error is not None:
            self._add_error(request, result.error)
            return
        self._has_result = True
        self._missing -= {(request.workspace_id, str(r.get("id"))) for r in result.records}
        if result.ended and not request.phone_id:
            self._open[request.workspace_id].discard(request.waba_id)

    def _add_error(self, request: ReadRequest, error: GraphError) -> None:
        if request.phone_id and error.kind is ErrorKind.MISSING:
            # A missing number is no error of its workspace.
            self._problems.append(
                f"phone_numbers {request.workspace_id}:{request.phone_id}: {error.text}"
            )
            return
        self._errors.setdefault(request.workspace_id, error)

    @property
    def host_is_down(self) -> bool:
        """Nothing could be read, and every error is the host's."""
        errors = self._errors.values()
        return bool(errors) and not self._has_result and all(e.of_host for e in errors)

    def close(self) -> None:
        """Write the outcome."""
        outcome = self._outcome
        outcome.partitions = sorted(
            workspace
            for workspace, accounts in self._open.items()
            if not accounts and workspace not in self._errors
        )
        outcome.complete = bool(outcome.partitions)
        outcome.partition_errors = {w: e.text for w, e in sorted(self._errors.items())}
        outcome.problems += sorted(self._problems)
        outcome.problems += [
            f"workspace {w}: {text}" for w, text in outcome.partition_errors.items()
        ]
        outcome.problems += [
            f"phone_numbers {workspace}:{phone}: none of the workspace's accounts has this number"
            for workspace, phone in sorted(self._missing)
            if workspace not in self._errors
        ]
