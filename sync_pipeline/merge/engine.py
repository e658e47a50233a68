"""One merge from end to end: stage while fetching, then plan, guard and apply in one short transaction.

A kill at any instant leaves either all of it or none: rows, base, before-images, conflicts, step and
watermark are one commit. Entities that must change together are merged in one call and share that commit.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.errors import StoppedByGuard, TargetRefused
from sync_pipeline.merge import (
    conflicts,
    duplicates,
    guard,
    lookups,
    missing,
    parking,
    partitions,
    plan,
    preflight,
)
from sync_pipeline.merge.apply import Writer
from sync_pipeline.merge.bookkeeping import plans, runs, watermarks
from sync_pipeline.merge.entity_merge import EntityMerge, MergeResult
from sync_pipeline.merge.field_changes import field_changes
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.session import Session, Target
from sync_pipeline.merge.stage import Stage
from sync_pipeline.merge.stream import Batch, EntityBatches
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection, scalar
from sync_pipeline.postgres.errors import message_with_detail

log = logging.getLogger(__name__)

PLAN_ROWS = 200  # field changes that are kept with a plan, for people
EXAMPLES = 5  # of rejections, repeated keys and conflicts that are named in a run's metadata
PROGRESS_EVERY = 5.0  # seconds between two lines of progress


BeforeCommit = Callable[[Connection, Sequence[MergeResult]], None]
"""Called in the transaction of a merge after its rows; called again if the transaction is retried."""


class _SourceError(Exception):
    """Wraps an error of a source that is itself a Postgres, to keep it apart from errors of the target."""

    def __init__(self, cause: psycopg.Error) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _NotApplied(Exception):
    """Rolls the transaction back: a plan is not to be applied."""


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
        run_id: identifies the run in the bookkeeping.
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
    label = ", ".join(e.label for e in entities)
    session = Session(target, entities, f"sync_pipeline {label} run {str(run_id)[:8]}"[:63])
    try:
        merges = [_read(session, stream, parents or {}) for stream in streams]
        return _finish(session, merges, run_id, parents or {}, before_commit)
    except _SourceError as error:
        raise error.cause from None
    except psycopg.Error as error:
        raise TargetRefused(
            f"{label}: the target refused: {message_with_detail(error)}. Nothing was written."
            " `sync-pipeline doctor` checks tables and indexes; the role in SYNC_TARGET_DSN needs to"
            " read and write them."
        ) from error
    finally:
        session.close()


def _read(session: Session, stream: EntityBatches, parents: Mapping[str, Entity]) -> EntityMerge:
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
    one = EntityMerge(stream, stage, started_at)
    released = session.run_autocommit(
        lambda connection: list(parking.released(connection, rel, parents, stage.types))
    )
    one.released = len(released)
    stage.add(released)
    last = time.monotonic()
    # Closed at once when staging fails: the next entity may be read over the same connection.
    with closing(_batches(stream)) as batches:
        for batch in batches:
            stage.add(batch)
            if time.monotonic() - last > PROGRESS_EVERY:
                last = time.monotonic()
                log.info("%s: %s records read", one.entity.label, f"{stage.read:,}")
    stage.finish()
    return one


def _batches(stream: EntityBatches) -> Generator[Batch]:
    try:
        yield from stream.batches
    except psycopg.Error as error:
        raise _SourceError(error) from None


def _finish(
    session: Session,
    merges: list[EntityMerge],
    run_id: UUID,
    parents: Mapping[str, Entity],
    before_commit: BeforeCommit | None,
) -> list[MergeResult]:
    def work(connection: Connection) -> list[MergeResult]:
        if session.restaged and all(
            runs.has_step(connection, run_id, one.entity, one.started_at) for one in merges
        ):
            # The connection broke between the server's commit and its answer: all of it is done.
            return [one.result for one in merges if one.result]
        results = _merge_all(connection, merges, run_id, parents)
        if before_commit:
            before_commit(connection, results)
        return results

    try:
        return session.run_transaction(work)
    except _NotApplied:
        # In a transaction of its own, since that of the plan is rolled back.
        session.run_transaction(lambda connection: _save_plans(connection, merges, run_id))
    stopped = [one for one in merges if one.stopped]
    if stopped:
        refusals = (guard.refusal(one.rel, one.over_budget, one.digest or "") for one in stopped)
        raise StoppedByGuard("\n".join(refusals), digest=stopped[0].digest or "")
    return [one.conclude(one.count(), "planned") for one in merges]


def _merge_all(
    connection: Connection,
    merges: list[EntityMerge],
    run_id: UUID,
    parents: Mapping[str, Entity],
) -> list[MergeResult]:
    for i, one in enumerate(merges):
        _plan(connection, one, parents, together=[other.entity.name for other in merges[:i]])
    # One plan that is not applied holds all of them back: what shares a transaction changes together.
    if any(one.stopped or one.stream.scope.dry_run for one in merges):
        raise _NotApplied
    return [_apply(connection, one, run_id) for one in merges]


def _plan(
    connection: Connection,
    one: EntityMerge,
    parents: Mapping[str, Entity],
    *,
    together: Sequence[str],
) -> None:
    scope, outcome, rel = one.stream.scope, one.stream.outcome, one.rel
    if one.complete:
        if outcome.partitions is not None:
            read = partitions.non_empty(connection, rel, outcome.partitions, one.released)
            one.proven = list(outcome.partitions) if outcome.confirmed_empty else read
        one.undelivered = parking.exclude_undelivered(connection, rel, one.released, one.proven)
    one.duplicates = duplicates.deduplicate(connection, rel, one.released)
    one.repeated = duplicates.examples(connection, rel, EXAMPLES) if one.duplicates else []
    one.looked_up = lookups.fill(connection, rel, parents, complete=one.complete)
    one.summary = plan.build(
        connection,
        rel,
        parents,
        force=scope.force,
        complete=one.complete,
        partitions=one.proven,
        together=together,
    )
    one.over_budget = guard.findings(
        connection, rel, one.summary, complete=one.complete, partitions=one.partitions
    )
    one.changes = field_changes(connection, rel, one.summary, PLAN_ROWS)
    if one.over_budget or scope.dry_run:
        one.digest = guard.plan_digest(connection, rel, one.summary)


def _apply(connection: Connection, one: EntityMerge, run_id: UUID) -> MergeResult:
    """Write rows, base and bookkeeping; the order of the calls matters."""
    rel, summary, outcome = one.rel, one.summary, one.stream.outcome
    # Before the write, while the target holds local values and the base what was accepted before.
    recorded = conflicts.record(connection, rel, summary, run_id)
    missing.clear_returned(connection, rel, run_id)
    writer = Writer(connection, rel, summary, run_id)
    writer.write()
    conflicts.withdraw(connection, rel, run_id, list(writer.rejections))
    parked = parking.park(connection, rel, run_id) if summary.states["parked"] else []
    rejections = [*one.stage.unkeyed, *one.stage.rejections.values(), *writer.rejections.values()]
    parking.reject(connection, rel, run_id, rejections)
    parking.clear(connection, rel)
    if one.complete:
        parking.delete_undelivered(connection, rel, one.released, one.proven)
    if summary.missing:
        missing.mark_missing(connection, rel, run_id)
    counts = one.count(writer)
    counts.check(one.entity.label)
    result = one.conclude(counts, "completed")
    result.metadata |= {
        "rejected_examples": [r.reason for r in rejections[:EXAMPLES]],
        "parked_examples": parked,
        **partitions.write_errors(
            connection, rel, run_id, outcome.partition_errors, outcome.partitions or ()
        ),
        **(_completeness(connection, one) if outcome.complete else {}),
        **{f"{kind}_conflicts": count for kind, count in recorded.items()},
    }
    if recorded:
        result.metadata["conflict_examples"] = conflicts.examples(connection, rel, run_id, EXAMPLES)
    moment = _watermark(connection, one)
    result.watermark = watermarks.advance(connection, one.entity, moment=moment, counts=counts)
    if outcome.cursor is not None and one.stream.scope.moves_watermark and not outcome.has_gaps:
        watermarks.save_cursor(connection, one.entity, outcome.cursor, one.stream.partition)
    _add_step(connection, one, result, run_id)
    one.result = result
    return result


def _completeness(connection: Connection, one: EntityMerge) -> dict[str, Any]:
    """Metadata of a complete scan: what it left unconfirmed in the base."""
    found: dict[str, Any] = dict(
        missing.leftovers(connection, one.rel, one.stream.outcome.partitions)
    )
    # A record without a usable key is not in `seen`.
    found["not_accepted"] += len(one.stage.unkeyed)
    if one.stage.unkeyed:
        found["not_searched"] = (
            "rows that are missing at the source were not looked for, because any of them may be one of the"
            f" {len(one.stage.unkeyed):,} records without a usable key"
        )
    return found


def _watermark(connection: Connection, one: EntityMerge) -> dt.datetime | None:
    """How far the watermark may move: to the newest time seen, but not into the overlap."""
    scope, outcome = one.stream.scope, one.stream.outcome
    if not scope.moves_watermark or outcome.has_gaps:
        return None
    if scope.mode == "full" and not outcome.complete:
        return None
    highest = scalar(connection, sql.SQL("select max(_modified) from {}").format(one.rel.seen))
    if highest is None or outcome.read_started is None:
        return highest
    # A record that changed while the source was read may appear later with an earlier time.
    return min(highest, outcome.read_started - one.stream.overlap)


def _add_step(
    connection: Connection,
    one: EntityMerge,
    result: MergeResult,
    run_id: UUID,
    *,
    status: runs.StepStatus = "completed",
    error: str | None = None,
) -> None:
    step = runs.Step(
        one.entity.system,
        one.entity.name,
        "merge",
        status,
        one.started_at,
        error=error,
        counts=result.counts,
        facts=result.metadata | {"watermark": result.watermark, "plan": result.digest},
        partition=one.stream.partition,
    )
    runs.add_step(connection, run_id, step)


def _save_plans(connection: Connection, merges: list[EntityMerge], run_id: UUID) -> None:
    for one in merges:
        counts = one.count()
        plans.keep(
            connection,
            run_id,
            one.entity,
            one.stream.partition,
            digest=one.digest or "",
            verdict="stopped" if one.over_and_not_approved else "planned",
            counts=counts,
            changes=one.changes,
        )
        error = " ".join(one.over_budget) if one.stopped else None
        if error:
            watermarks.mark_failed(connection, one.entity, error)
        result = one.conclude(counts, "planned")
        status: runs.StepStatus = "stopped" if one.stopped else "planned"
        _add_step(connection, one, result, run_id, status=status, error=error)
