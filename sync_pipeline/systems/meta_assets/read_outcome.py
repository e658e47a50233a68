"""What the answers to an errand add up to.

A workspace is read to its end only if each of its accounts was; a workspace that failed keeps the
records that were read before, but nothing is concluded about those that were not.
"""

from __future__ import annotations

from sync_pipeline.merge.stream import SourceOutcome
from sync_pipeline.systems.meta_assets.api.client import ReadRequest, ReadResult
from sync_pipeline.systems.meta_assets.api.errors import ErrorKind, GraphError
from sync_pipeline.systems.meta_assets.read_plan import ReadPlan


class OutcomeBuilder:
    """Adds answers up to an outcome.

    Args:
        errand: what was asked.
        outcome: filled when `close` is called.
    """

    def __init__(self, errand: ReadPlan, outcome: SourceOutcome) -> None:
        self._outcome = outcome
        self._missing = set(errand.expected)
        self._problems = list(errand.problems)
        self._open: dict[str, set[str]] = {}
        self._errors: dict[str, GraphError] = {}
        self._anything = False
        for ask in errand.asks:
            if not ask.phone_id:
                self._open.setdefault(ask.workspace_id, set()).add(ask.waba_id)

    def add(self, answer: ReadResult) -> None:
        """Take note of an answer."""
        ask = answer.ask
        if answer.complaint is not None:
            self._complain(ask, answer.complaint)
            return
        self._anything = True
        self._missing -= {(ask.workspace_id, str(r.get("id"))) for r in answer.records}
        if answer.ended and not ask.phone_id:
            self._open[ask.workspace_id].discard(ask.waba_id)

    def _complain(self, ask: ReadRequest, complaint: GraphError) -> None:
        if ask.phone_id and complaint.verdict is ErrorKind.MISSING:
            # The number is gone, which says nothing about its workspace.
            self._problems.append(
                f"phone_numbers {ask.workspace_id}:{ask.phone_id}: {complaint.text}"
            )
            return
        self._errors.setdefault(ask.workspace_id, complaint)

    @property
    def host_is_away(self) -> bool:
        """Nothing at all could be read, and not for a reason that lies with a workspace."""
        failed = self._errors.values()
        return bool(failed) and not self._anything and all(c.of_host for c in failed)

    def close(self) -> None:
        """Write the outcome."""
        outcome = self._outcome
        outcome.partitions = sorted(
            workspace
            for workspace, accounts in self._open.items()
            if not accounts and workspace not in self._errors
        )
        outcome.complete = bool(outcome.partitions)
        outcome.partition_errors = {w: c.text for w, c in sorted(self._errors.items())}
        outcome.problems += sorted(self._problems)
        outcome.problems += [
            f"workspace {w}: {text}" for w, text in outcome.partition_errors.items()
        ]
        outcome.problems += [
            f"phone_numbers {workspace}:{phone}: none of the workspace's accounts has this number"
            for workspace, phone in sorted(self._missing)
            if workspace not in self._errors
        ]
