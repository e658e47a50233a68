"""One entity's merge: its state on the way through stage, plan and apply, and its result."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.apply import Writer
from sync_pipeline.merge.plan import PlanSummary
from sync_pipeline.merge.preview import FieldChange
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.stage import Stage
from sync_pipeline.merge.stream import EntityBatches
from sync_pipeline.model.entity import Entity


@dataclass
class MergeResult:
    """What one run did to one entity."""

    entity: Entity
    counts: Counts
    status: Literal["completed", "planned"]  # `planned` is a dry run
    digest: str | None  # identifies the plan, where it was over budget or only planned
    over_budget: list[str]  # what the guard found, also when it was approved
    changes: list[FieldChange]  # some of the field changes, shortened for people
    metadata: dict[str, Any]  # further counts and examples for the run's metadata
    watermark: dt.datetime | None = None  # where it now stands


@dataclass
class EntityMerge:
    """The state of one entity's merge, from its stage to its result."""

    stream: EntityBatches
    stage: Stage
    started_at: dt.datetime
    released: int = 0  # parked records that were staged again before the source's
    looked_up: int = 0  # rows that were staged again because of a lookup
    undelivered: int = 0  # released records that a complete scan no longer found
    duplicates: int = 0
    repeated: list[str] = field(default_factory=list)
    summary: PlanSummary = field(default_factory=PlanSummary)
    over_budget: list[str] = field(default_factory=list)
    digest: str | None = None
    proven: list[str] | None = None  # partitions in which what was not seen is missing; None: all
    changes: list[FieldChange] = field(default_factory=list)
    result: MergeResult | None = None

    @property
    def rel(self) -> Relations:
        """The entity's tables."""
        return self.stage.relations

    @property
    def entity(self) -> Entity:
        """What is merged."""
        return self.stream.entity

    @property
    def complete(self) -> bool:
        """Whether what was not seen is missing.

        Not after an empty listing, which is more often a fault than a fact, and not with a record whose
        key could not be read: it may be any row.
        """
        listed = self.stage.read > self.released or self.stream.outcome.confirmed_empty
        return self.stream.outcome.complete and listed and not self.stage.unkeyed

    @property
    def partitions(self) -> Collection[str] | None:
        """The partitions that this merge covers; None where it covers the whole entity."""
        stream = self.stream
        return stream.outcome.partitions or ([stream.partition] if stream.partition else None)

    @property
    def over_and_not_approved(self) -> bool:
        """Whether the plan may not be applied."""
        return bool(self.over_budget) and self.digest not in self.stream.scope.approve

    @property
    def stopped(self) -> bool:
        """Whether the guard fails the run; a dry run is over budget without failing."""
        return self.over_and_not_approved and not self.stream.scope.dry_run

    def count(self, writer: Writer | None = None) -> Counts:
        """The terms of the accounting identity: of the plan, or of what the writer did of it."""
        states = self.summary.states.copy()
        if writer:
            # A row that the target refused is counted as rejected, no longer in its planned state.
            states.subtract(writer.refused_states)
        rejected = [self.stage.unkeyed, self.stage.rejections, writer.rejections if writer else ()]
        repeated_by_source = self.stream.outcome.duplicates
        return Counts(
            read=self.stage.read + repeated_by_source + self.looked_up - self.undelivered,
            inserted=states["inserted"],
            updated=states["updated"],
            unchanged=states["unchanged"] + states["stale"],
            conflicted=states["conflicted"],
            owned_elsewhere=states["owned_elsewhere"],
            deleted_locally=states["deleted_locally"],
            parked=states["parked"],
            rejected=sum(map(len, rejected)),
            duplicates=self.duplicates + repeated_by_source,
        )

    def conclude(self, counts: Counts, status: Literal["completed", "planned"]) -> MergeResult:
        """The result, with what source and plan contribute to the run's metadata."""
        outcome, summary = self.stream.outcome, self.summary
        metadata = {
            "api_calls": outcome.calls,
            "bytes": outcome.bytes,
            "scope": self.stream.scope.mode,
            "complete_scan": outcome.complete,
            "missing": summary.missing,
            "released": self.released,
            "looked_up": self.looked_up,
            "duplicate_examples": self.repeated,
            "stale": summary.states["stale"],
            "blanked": {c: n for c, n in summary.blanked.items() if n},
            "problems": list(outcome.problems),
            **outcome.notes,
        }
        return MergeResult(
            self.entity, counts, status, self.digest, self.over_budget, self.changes, metadata
        )
