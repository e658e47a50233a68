"""The interface between a source and the merge: a lazy stream of batches, and the outcome of the read."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope

Record = Mapping[str, Any]
Batch = Sequence[Record]


@dataclass(frozen=True)
class Progress:
    """How far an entity was read by the runs that were committed.

    Attributes:
        watermark: the highest modification time that is known to be merged; None before the first run.
        cursor: what the source stored with its last committed read.
    """

    watermark: dt.datetime | None = None
    cursor: Any = None


@dataclass
class SourceOutcome:
    """Filled by the source while its batches are read; final when they end.

    Attributes:
        complete: the scan is proven to have seen every record that exists, or that exists in `partitions`.
        partitions: of a partitioned entity, the values of `partition_by` that were read; None: all.
        confirmed_empty: an empty listing is a fact, because what was read together with it is not empty.
        partition_errors: errors of partitions that could not be read; the others were.
        duplicates: records of repeated keys that the source itself has resolved and not passed on.
        has_gaps: records older than the newest one seen may have been skipped; the watermark stays.
        read_started: the moment that the read began, by the source's clock.
        calls: requests made.
        bytes: bytes received.
        notes: further entries of the run's metadata.
        problems: what could not be read although the rest was, a line each.
        cursor: how far the source was read, in the source's own form; a JSON value. It is committed with
            the rows and passed to the next read.
    """

    complete: bool = False
    partitions: Collection[str] | None = None
    confirmed_empty: bool = False
    partition_errors: dict[str, str] = field(default_factory=dict)
    duplicates: int = 0
    has_gaps: bool = False
    read_started: dt.datetime | None = None
    calls: int = 0
    bytes: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    cursor: Any = None


@dataclass
class EntityBatches:
    """A lazy stream of one entity's records.

    Attributes:
        entity: what the records are.
        batches: chunks of raw source records; read once, never all in memory.
        scope: what the stream covers.
        outcome: filled while the batches are read.
        overlap: the watermark stays this far before the start of the read, because a source may
            show a record some time after it changed.
        partition: the one that is read, where each has a cursor of its own.
    """

    entity: Entity
    batches: Iterable[Batch]
    scope: Scope = field(default_factory=Scope)
    outcome: SourceOutcome = field(default_factory=SourceOutcome)
    overlap: dt.timedelta = dt.timedelta(minutes=5)
    partition: str = ""
