"""Dynamic partitions of systems whose source is read in several independent reads.

The system supplies the list of its partitions and the record of each sync; `multi_assets` runs them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

import dagster as dg

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.engine import BeforeCommit
from sync_pipeline.orchestration.resources import TargetDatabase
from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True)
class Partition:
    """One partition, by Dagster's partition key.

    Attributes:
        value: what the entities' `partition_by` column holds in its rows.
        closed: why it is not synced; empty when it is.
    """

    key: str
    value: str
    name: str
    closed: str = ""


RecordSync = Callable[[TargetDatabase, UUID, Partition], AbstractContextManager[BeforeCommit]]
"""Records the sync of one partition for the length of a block; yields what to commit with its rows."""


@dataclass(frozen=True)
class PartitionSet:
    """The partitions of a system; `known` lists them as the target has them, `label` is for messages."""

    definition: dg.DynamicPartitionsDefinition
    known: Callable[[Connection], Sequence[Partition]]
    record_sync: RecordSync
    label: str = "partition"

    @property
    def name(self) -> str:
        """The name of the definition, under which the instance keeps the partition keys."""
        assert self.definition.name
        return self.definition.name

    def select(self, connection: Connection, named: Sequence[str]) -> list[Partition]:
        """The partitions with these keys, values or names; without any, all that are not closed.

        Raises:
            SettingsError: a name is unknown, or its partition is closed; the message says why.
        """
        partitions = self.known(connection)
        if not named:
            return [partition for partition in partitions if not partition.closed]
        by_name: Mapping[str, Partition] = {
            n.lower(): p for p in partitions for n in (p.name, p.value, p.key)
        }
        found: dict[Partition, None] = {}
        for name in named:
            partition = by_name.get(name.lower())
            if partition is None:
                known = ", ".join(p.key for p in partitions) or "there are none"
                raise SettingsError(f"no {self.label} is called {name!r}; known: {known}")
            if partition.closed:
                raise SettingsError(f"{partition.name} ({partition.value}): {partition.closed}")
            found[partition] = None
        return list(found)
