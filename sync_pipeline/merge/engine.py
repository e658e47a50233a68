"""One merge from end to end: stage while fetching, then plan, guard and apply in one short transaction.

A kill at any instant leaves either all of it or none: rows, base, before-images, conflicts, step and
watermark are one commit. Entities that must change together are merged in one call and share it.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.errors import StoppedByGuard, TargetRefused
from sync_pipeline.merge import (
    completeness,
    conflicts,
    guard,
    lookups,
    missing,
    parking,
    partitions,
    plan,
    preflight,
)
from sync_pipeline.merge.accounting import Counts
from sync_pipeline.merge.apply import Writer
from sync_pipeline.merge.bookkeeping import plans, runs, watermarks
from sync_pipeline.merge.preview import FieldChange, field_changes
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.session import Session, Target
from sync_pipeline.merge.stage import Stage
from sync_pipeline.merge.stream import Batch, EntityBatches
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail

log = logging.getLogger(__name__)

PLAN_ROWS = 200  # field changes that are kept with a plan, for people
EXAMPLES = 5  # of rejections, repeated keys and disputed rows that are named in a run's metadata
PROGRESS_EVERY = 5.0  # seconds between two lines of progress


@dataclass
class MergeResult:
    """What one run did to one entity.

    Attributes:
        counts: the terms of the accounting identity.
        status: `planned` is a dry run.
        digest: names the plan, where it was over budget or only planned.
        over_budget: what the guard found, also when it was approved.
        changes: some of the field changes, shortened for people.
        facts: further counts and marks for the run's metadata.
        watermark: where it now stands.
    """

    entity: Entity
    counts: Counts
    status: Literal["completed", "planned"] = "completed"
    digest: str | None = None
    over_budget: list[str] = field(default_factory=list)
    changes: list[FieldChange] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    watermark: dt.datetime | None = None


@dataclass
class _EntityMerge:
    """One entity of a merge on its way through it."""

    stream: EntityBatches
    stage: Stage
    started_at: dt.datetime
    released: int = 0
    looked_up: int = 0
    undelivered: int = 0
    duplicates: int = 0
    repeated: list[str] = field(default_factory=list)
    summary: plan.PlanSummary = field(default_factory=plan.PlanSummary)
    over_budget: list[str] = field(default_factory=list)
    digest: str | None = None
    covered: list[str] | None = None
    changes: list[FieldChange] = field(default_factory=list)
    result: MergeResult | None = None

    @property
    def rel(self) -> Relations:
        return self.stage.relations

    @property
    def entity(self) -> Entity:
        return self.stream.entity

    @property
    def label(self) -> str:
        return f"{self.entity.system}/{self.entity.name}"

    @property
    def complete(self) -> bool:
        """Whether what was not seen is missing.

        Not after a listing that was empty, which is more often a fault than a fact, nor with a record
        whose key could not be read: it may be any row.
        """
        listed = self.stage.read > self.released or self.stream.outcome.confirmed_empty
        return self.stream.outcome.complete and listed and not self.stage.unkeyed

    @property
    def partitions(self) -> Collection[str] | None:
        """The parts that this merge is about; None where it is about the whole."""
        stream = self.stream
        return stream.outcome.partitions or ([stream.partition] if stream.partition else None)

    @property
    def stopped(self) -> bool:
        return bool(self.over_budget) and self.digest not in self.stream.scope.approve


BeforeCommit = Callable[[Connection, Sequence[MergeResult]], None]
"""Something to do in the transaction of a merge, after its rows; it may be done again if that breaks."""


class _OfTheSource(Exception):
    """Carries an error of a source that is a Postgres itself past those of the target."""

    def __init__(self, cause: psycopg.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _HeldBack(Exception):
    """Takes the transaction back: a plan is not to be applied."""


def merge(
    target: Target,
    streams: Sequence[EntityBatches],
    *,
    run_id: UUID,
    parents: Mapping[str, Entity] | None = None,
    before_commit: BeforeCommit | None = None,
) -> list[MergeResult]:
    """Merge streams into the target, all in one transaction.

    Args:
        target: how to reach it.
        streams: one per entity, parents before children.
        run_id: names the run in the bookkeeping.
        parents: entities that required links point at, by name.
        before_commit: what else is to be committed with the rows; not called when nothing is written.

    Raises:
        StoppedByGuard: a plan is over budget and not approved.
        EntityBusy: another run holds one of the entities.
        TargetNotPrepared: a table, column or unique index is missing.
        TargetUnavailable: the target did not come back in time.
        TargetRefused: a permission is missing, or a statement fails for another lasting reason.
        Imbalance: the identity does not hold.
        Exception: whatever the source raises while it is read; nothing is written then.
    """
    entities = [s.entity for s in streams]
    label = ", ".join(f"{e.system}/{e.name}" for e in entities)
    session = Session(target, entities, f"sync_pipeline {label} run {str(run_id)[:8]}"[:63])
    try:
        parts = [_read(session, stream, parents or {}) for stream in streams]
        return _finish(session, parts, run_id, parents or {}, before_commit)
    except _OfTheSource as error:
        raise error.cause from None
    except psycopg.Error as error:
        raise TargetRefused(
            f"{label}: the target refused: {message_with_detail(error)}. Nothing was written."
            " `sync-pipeline doctor` checks tables and indexes; the role in SYNC_TARGET_DSN needs to"
            " read and write them."
        ) from error
    finally:
        session.close()


def _read(session: Session, stream: EntityBatches, parents: Mapping[str, Entity]) -> _EntityMerge:
    """Stage a whole stream, after the records that were waiting for a parent."""
    rel = Relations(stream.entity)
    session.run_autocommit(lambda connection: preflight.check(connection, rel))
    started_at = dt.datetime.now(dt.UTC)
    stage = session.run_autocommit(
        lambda connection: Stage(
            connection,
            stream.entity,
            recover=session.reconnect_stage,
            convert_all=stream.scope.force,
        )
    )
    session.stages.append(stage)
    part = _EntityMerge(stream, stage, started_at)
    waiting = session.run_autocommit(
        lambda connection: list(parking.released(connection, rel, parents))
    )
    part.released = len(waiting)
    stage.add(waiting)
    last = time.monotonic()
    # Closed at once when staging fails: the next entity may be read over the same connection.
    with closing(_batches(stream)) as batches:
        for batch in batches:
            stage.add(batch)
            if time.monotonic() - last > PROGRESS_EVERY:
                last = time.monotonic()
                log.info("%s: %s records read", part.label, f"{stage.read:,}")
    stage.finish()
    return part


def _batches(stream: EntityBatches) -> Generator[Batch]:
    try:
        yield from stream.batches
    except psycopg.Error as error:
        raise _OfTheSource(error) from None


def _finish(
    session: Session,
    parts: list[_EntityMerge],
    run_id: UUID,
    parents: Mapping[str, Entity],
    before_commit: BeforeCommit | None,
) -> list[MergeResult]:
    def work(connection: Connection) -> list[MergeResult]:
        if session.restaged and all(
            runs.has_step(connection, run_id, p.entity, p.started_at) for p in parts
        ):
            # The connection broke between the server's commit and its answer.
            return [p.result for p in parts if p.result]
        results = _merge_all(connection, parts, run_id, parents)
        if before_commit:
            before_commit(connection, results)
        return results

    try:
        return session.run_transaction(work)
    except _HeldBack:
        session.run_transaction(lambda connection: _keep_plans(connection, parts, run_id))
    stopped = [p for p in parts if p.stopped and not p.stream.scope.dry_run]
    if stopped:
        message = "\n".join(guard.refusal(p.rel, p.over_budget, p.digest or "") for p in stopped)
        raise StoppedByGuard(message, digest=stopped[0].digest or "")
    return [_result(p, _tally(p), "planned") for p in parts]


def _merge_all(
    connection: Connection, parts: list[_EntityMerge], run_id: UUID, parents: Mapping[str, Entity]
) -> list[MergeResult]:
    for i, part in enumerate(parts):
        _plan(connection, part, parents, together=[p.entity.name for p in parts[:i]])
    if any(p.stopped or p.stream.scope.dry_run for p in parts):
        raise _HeldBack
    return [_apply(connection, part, run_id) for part in parts]


def _plan(
    connection: Connection,
    part: _EntityMerge,
    parents: Mapping[str, Entity],
    *,
    together: Sequence[str],
) -> None:
    scope, outcome = part.stream.scope, part.stream.outcome
    if part.complete:
        if outcome.partitions is not None:
            read = partitions.non_empty(connection, part.rel, outcome.partitions, part.released)
            part.covered = list(outcome.partitions) if outcome.confirmed_empty else read
        part.undelivered = part.stage.forget_undelivered(part.released, part.covered)
    part.duplicates = part.stage.deduplicate(part.released)
    part.repeated = part.stage.repeated(EXAMPLES) if part.duplicates else []
    part.looked_up = lookups.fill(connection, part.rel, parents, complete=part.complete)
    part.summary = plan.build(
        connection,
        part.rel,
        parents,
        force=scope.force,
        complete=part.complete,
        partitions=part.covered,
        together=together,
    )
    part.over_budget = guard.findings(
        connection, part.rel, part.summary, complete=part.complete, parts=part.partitions
    )
    part.changes = field_changes(
        part.entity, plan.changes(connection, part.rel, part.summary, PLAN_ROWS)
    )
    if part.over_budget or scope.dry_run:
        part.digest = plan.digest(connection, part.rel, part.summary)


def _apply(connection: Connection, part: _EntityMerge, run_id: UUID) -> MergeResult:
    rel, summary = part.rel, part.summary
    disputed = conflicts.record(connection, rel, summary, run_id)
    missing.clear_returned(connection, rel, run_id)
    writer = Writer(connection, rel, summary, run_id)
    writer.write()
    conflicts.withdraw(connection, rel, run_id, list(writer.rejections))
    waiting = parking.park(connection, rel, run_id) if summary.states.get("parked") else []
    rejections = [*part.stage.unkeyed, *part.stage.rejections.values(), *writer.rejections.values()]
    parking.reject(connection, rel, run_id, rejections)
    parking.clear(connection, rel)
    if part.complete:
        parking.forget_undelivered(connection, rel, part.released, part.covered)
    if summary.missing:
        missing.mark_missing(connection, rel, run_id)
    outcome = part.stream.outcome
    told = partitions.write_errors(
        connection, rel, run_id, outcome.partition_errors, outcome.partitions or ()
    )
    counts = _tally(part, writer)
    counts.check(part.label)
    result = _result(part, counts, "completed")
    result.metadata["rejected_examples"] = [r.reason for r in rejections[:EXAMPLES]]
    result.metadata["parked_examples"] = waiting
    result.metadata |= told
    if part.stream.outcome.complete:
        result.metadata |= completeness.leftovers(connection, rel, part.stream.outcome.partitions)
        # Of records without a key there is nothing but their number.
        result.metadata["not_accepted"] += len(part.stage.unkeyed)
    if part.stream.outcome.complete and part.stage.unkeyed:
        result.metadata["not_searched"] = (
            "rows that vanished from the source were not looked for, because any of them may be one of the"
            f" {len(part.stage.unkeyed):,} records without a usable key"
        )
    for kind, count in disputed.items():
        result.metadata[f"{kind}_conflicts"] = count
    if disputed:
        result.metadata["conflict_examples"] = conflicts.examples(connection, rel, run_id, EXAMPLES)
    result.watermark = watermarks.advance(
        connection, part.entity, moment=_moment(connection, part), counts=counts
    )
    if outcome.cursor is not None and part.stream.scope.moves_watermark and not outcome.gaps:
        watermarks.save_cursor(connection, part.entity, outcome.cursor, part.stream.partition)
    _enter_step(connection, part, result, run_id)
    part.result = result
    return result


def _moment(connection: Connection, part: _EntityMerge) -> dt.datetime | None:
    """How far the watermark may go: what was seen, short of what the source may still be hiding."""
    scope, outcome = part.stream.scope, part.stream.outcome
    if not scope.moves_watermark or outcome.gaps:
        return None
    if scope.mode == "full" and not outcome.complete:
        return None
    row = connection.execute(
        sql.SQL("select max(_modified) from {}").format(part.rel.seen)
    ).fetchone()
    highest = row[0] if row else None
    if highest is None or outcome.read_started is None:
        return highest
    return min(highest, outcome.read_started - part.stream.overlap)


def _tally(part: _EntityMerge, writer: Writer | None = None) -> Counts:
    states = dict(part.summary.states)
    refused = writer.rejections if writer else {}
    for state, count in (writer.refused_states if writer else {}).items():
        states[state] -= count
    return Counts(
        read=part.stage.read + part.stream.outcome.duplicates + part.looked_up - part.undelivered,
        inserted=states.get("inserted", 0),
        updated=states.get("updated", 0),
        unchanged=states.get("unchanged", 0) + states.get("stale", 0),
        conflicted=states.get("conflicted", 0),
        owned_elsewhere=states.get("owned_elsewhere", 0),
        deleted_locally=states.get("deleted_locally", 0),
        parked=states.get("parked", 0),
        rejected=len(part.stage.unkeyed) + len(part.stage.rejections) + len(refused),
        duplicates=part.duplicates + part.stream.outcome.duplicates,
    )


def _result(
    part: _EntityMerge, counts: Counts, status: Literal["completed", "planned"]
) -> MergeResult:
    outcome, summary = part.stream.outcome, part.summary
    facts = {
        "api_calls": outcome.calls,
        "bytes": outcome.bytes,
        "scope": part.stream.scope.mode,
        "complete_scan": outcome.complete,
        "missing": summary.missing,
        "released": part.released,
        "looked_up": part.looked_up,
        "duplicate_examples": part.repeated,
        "stale": summary.states.get("stale", 0),
        "blanked": {c: n for c, n in summary.blanked.items() if n},
        "problems": list(outcome.problems),
        **outcome.notes,
    }
    return MergeResult(
        part.entity, counts, status, part.digest, part.over_budget, part.changes, facts
    )


def _enter_step(
    connection: Connection,
    part: _EntityMerge,
    result: MergeResult,
    run_id: UUID,
    *,
    status: runs.StepStatus = "completed",
    error: str | None = None,
) -> None:
    facts = result.metadata | {"watermark": result.watermark, "plan": result.digest}
    runs.add_step(
        connection,
        run_id,
        runs.Step(
            part.entity.system,
            part.entity.name,
            "merge",
            status,
            part.started_at,
            error=error,
            counts=result.counts,
            facts=facts,
            partition=part.stream.partition,
        ),
    )


def _keep_plans(connection: Connection, parts: list[_EntityMerge], run_id: UUID) -> None:
    """Keep what would have been done, so that a person can look at it and approve it."""
    for part in parts:
        verdict = "stopped" if part.stopped else "planned"
        plans.keep(
            connection,
            run_id,
            part.entity,
            part.stream.partition,
            digest=part.digest or "",
            verdict=verdict,
            counts=_tally(part),
            changes=part.changes,
        )
        stopped = part.stopped and not part.stream.scope.dry_run
        result = _result(part, _tally(part), "planned")
        error = " ".join(part.over_budget) if stopped else None
        if error:
            watermarks.mark_failed(connection, part.entity, error)
        status: runs.StepStatus = "stopped" if stopped else "planned"
        _enter_step(connection, part, result, run_id, status=status, error=error)
