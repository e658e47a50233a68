"""What a system that is read in parts tells of them: which there are, and who keeps account of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import dagster as dg

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.engine import BeforeCommit
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True)
class Partition:
    """One part.

    Attributes:
        key: its partition in Dagster, readable.
        value: what the entities' `part` column holds in its rows.
        name: what people call it.
        closed: why it is not synced; empty when it is.
    """

    key: str
    value: str
    name: str
    closed: str = ""


class PartitionLog(Protocol):
    """Keeps account of the sync of one part, beside the merge's own bookkeeping."""

    def __call__(
        self, target: TargetDatabase, run_id: UUID, part: Partition
    ) -> AbstractContextManager[BeforeCommit]:
        """For the length of a sync; yields what is to be committed with the rows."""
        ...


@dataclass(frozen=True)
class PartitionSet:
    """The parts of a system.

    Attributes:
        partitions: Dagster's, a part each.
        known: all parts, by what the target says.
        account: keeps account of the sync of one.
        word: what a part is called in messages.
    """

    partitions: dg.DynamicPartitionsDefinition
    known: Callable[[Connection], Sequence[Partition]]
    account: PartitionLog
    word: str = "part"

    @property
    def partitions_name(self) -> str:
        """The name under which the instance keeps the partitions."""
        assert self.partitions.name
        return self.partitions.name

    def wanted(self, connection: Connection, named: Sequence[str]) -> list[Partition]:
        """The parts that somebody named, or all that are synced.

        Args:
            connection: to the target.
            named: keys, values or names of parts; empty means all.

        Raises:
            SettingsError: there is none of that name, or it is not synced; the message says why.
        """
        parts = self.known(connection)
        if not named:
            return [part for part in parts if not part.closed]
        by_name: Mapping[str, Partition] = {
            n.lower(): part for part in parts for n in (part.name, part.value, part.key)
        }
        found = [by_name.get(name.lower()) for name in named]
        for name, part in zip(named, found, strict=True):
            if part is None:
                known = ", ".join(p.key for p in parts) or "there are none"
                raise SettingsError(f"no {self.word} is called {name!r}; known: {known}")
            if part.closed:
                raise SettingsError(f"{part.name} ({part.value}): {part.closed}")
        return list(dict.fromkeys(part for part in found if part))
