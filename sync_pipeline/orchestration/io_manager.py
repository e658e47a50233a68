"""IO manager: `handle_output` merges an entity asset's stream, `load_input` reads its table.

Streams are consumed here and nowhere else: errors of the source, of the guard and of the target become a
failed step with a message, and a row in the history.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeGuard
from uuid import UUID

import dagster as dg

from sync_pipeline.errors import SyncError
from sync_pipeline.merge import engine
from sync_pipeline.merge.bookkeeping import runs, watermarks
from sync_pipeline.merge.bookkeeping.run_lock import RunLock
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.review import audit
from sync_pipeline.merge.stream import EntityBatches
from sync_pipeline.merge.table_reader import Relation
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.system import System
from sync_pipeline.orchestration import metadata
from sync_pipeline.orchestration.asset_keys import asset_key
from sync_pipeline.orchestration.resources import SyncScope, TargetDatabase

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class MergeIOManager(dg.IOManager):
    """Merges streams and DataFrames into the target, and reads tables back."""

    def __init__(
        self, database: TargetDatabase, systems: Sequence[System], scope: SyncScope
    ) -> None:
        self._database = database
        self._scope = scope
        self._run_lock = RunLock(database.connect)
        self._entities = {asset_key(e): (s, e) for s in systems for e in s.entities}

    def handle_output(self, context: dg.OutputContext, obj: EntityBatches | pd.DataFrame) -> None:
        """Merge what an asset returned.

        Raises:
            dagster.Failure: the merge did not happen; the description says why and what to do.
            TypeError: the asset returned something else.
        """
        system, entity = self._entity(context.asset_key)
        if _is_frame(obj):
            obj = from_frame(entity, obj, self._scope.resolve())
        if not isinstance(obj, EntityBatches):
            raise TypeError(
                f"{context.asset_key.to_user_string()} returned {type(obj).__name__}; return EntityBatches"
                " (as MaterializeResult(value=...)) or a pandas DataFrame"
            )
        try:
            [result] = self.merge(system, [obj], UUID(context.run_id))
        except SyncError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        context.add_output_metadata(self.describe(result))

    def merge(
        self,
        system: System,
        streams: Sequence[EntityBatches],
        run_id: UUID,
        before_commit: engine.BeforeCommit | None = None,
    ) -> list[engine.MergeResult]:
        """Merge streams, parents before children, in one transaction with `before_commit`; record a failure.

        Raises:
            SyncError: nothing was written.
        """
        started_at = dt.datetime.now(dt.UTC)
        parents = {e.name: e for e in system.entities}
        try:
            self._run_lock.acquire(run_id, streams[0].scope.mode, system=system.name)
            results = engine.merge(
                self._database.target(),
                streams,
                run_id=run_id,
                parents=parents,
                before_commit=before_commit,
            )
        except SyncError as error:
            for stream in streams:
                self.note_failure(stream, run_id, started_at, error)
            raise
        for result in results:
            log.info("%s", summary_line(result))
        return results

    def close(self) -> None:
        """Release the run's lock."""
        self._run_lock.release()

    def _entity(self, key: dg.AssetKey) -> tuple[System, Entity]:
        try:
            return self._entities[key]
        except KeyError:
            raise TypeError(
                f"{key.to_user_string()} is no declared entity; use another IO manager"
            ) from None

    def describe(self, result: engine.MergeResult) -> dict[str, Any]:
        """The metadata of a merge and of its table."""
        entity = result.entity
        rel = Relations(entity)
        with self._database.connect() as connection:
            rows = Relation(connection, entity).count()
            found = metadata.merged(result, rows=rows, overrides=audit.overrides(connection, rel))
            if entity.owner:
                found["rows_of_other_owners"] = audit.foreign_rows(connection, entity)
            return found

    def note_failure(
        self, stream: EntityBatches, run_id: UUID, started_at: dt.datetime, error: SyncError
    ) -> None:
        """Record a failure in the history, unless the guard has recorded its own."""
        if isinstance(error, engine.StoppedByGuard):
            return
        entity = stream.entity
        step = runs.Step(
            entity.system,
            entity.name,
            "merge",
            "failed",
            started_at,
            error=str(error),
            facts={"api_calls": stream.outcome.calls, "bytes": stream.outcome.bytes},
            partition=stream.partition,
        )
        try:
            with self._database.connect() as connection, connection.transaction():
                runs.add_step(connection, run_id, step)
                watermarks.mark_failed(connection, entity, str(error))
        except SyncError as unreachable:
            log.warning("the failure could not be recorded in the history: %s", unreachable)

    def load_input(self, context: dg.InputContext) -> pd.DataFrame | Relation:
        """A table as a DataFrame or, if the parameter is annotated `Relation`, as a lazy relation."""
        _, entity = self._entity(context.asset_key)
        relation = Relation(self._database.connect(), entity)
        if context.dagster_type.typing_type is Relation:
            return relation
        with relation:
            return relation.frame()


def merge_io_manager(
    systems: Sequence[System], target: str = TargetDatabase.key
) -> dg.IOManagerDefinition:
    """The IO manager for these systems; it needs the resource `scope` and that of the database."""

    @dg.io_manager(  # pyright: ignore[reportArgumentType]  Dagster takes generators, its types do not
        required_resource_keys={target, "scope"}, description="Three-way merge into the target."
    )
    def build(context: dg.InitResourceContext) -> Iterator[MergeIOManager]:
        resources = context.resources
        database = getattr(resources, target)
        with closing(MergeIOManager(database, systems, resources.scope)) as manager:
            yield manager

    return build


def _is_frame(value: object) -> TypeGuard[pd.DataFrame]:
    # An asset that returns a DataFrame has imported pandas; the import takes other runs too long.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def from_frame(entity: Entity, frame: pd.DataFrame, scope: Scope) -> EntityBatches:
    """A DataFrame as a stream; its columns are source names or target columns.

    A frame need not be complete. So it is merged as a scope of keys, which moves no watermark and marks
    nothing missing, and columns that it lacks are left alone. The force, dry run and approvals of the scope
    apply.

    Raises:
        TypeError: a column is not mapped, occurs twice, or is missing from the key.
    """
    names = {f.column: f.sources[0] for f in entity.fields if f.sources}
    known = {name for f in entity.fields for name in f.sources}
    unmapped = [str(c) for c in frame.columns if c not in names and c not in known]
    if unmapped:
        raise TypeError(
            f"{entity.name}: the DataFrame has columns that are not mapped: {', '.join(unmapped)}"
        )
    renamed = frame.rename(columns=names)
    duplicated = [str(c) for c in renamed.columns[renamed.columns.duplicated()]]
    if duplicated:
        raise TypeError(f"{entity.name}: the DataFrame names {', '.join(duplicated)} twice")
    missing_key = [f.column for f in entity.key_fields if f.sources[0] not in renamed.columns]
    if missing_key:
        raise TypeError(f"{entity.name}: the DataFrame lacks the key: {', '.join(missing_key)}")
    scope = dataclasses.replace(scope, mode="keys", keys=(), of="")
    partial = dataclasses.replace(entity, absent="unknown")
    return EntityBatches(partial, _records(renamed), scope)


def _records(frame: pd.DataFrame, size: int = 4000) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(frame), size):
        chunk = frame.iloc[start : start + size].astype(object)
        # NaN, NaT and pd.NA all become None, the only null of the merge.
        yield chunk.where(chunk.notna(), None).to_dict("records")


def summary_line(result: engine.MergeResult) -> str:
    """The counts of a merge in one line, without the zeros."""
    counts = result.counts.as_dict()
    text = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n)
    missing = result.metadata.get("missing", 0)
    text += f"; {missing:,} more are no longer at the source" if missing else ""
    text += f"; {result.metadata['not_searched']}" if "not_searched" in result.metadata else ""
    dry = " (dry run: nothing written)" if result.status == "planned" else ""
    return f"{result.entity.system}/{result.entity.name}: {text or 'nothing to do'}{dry}"
