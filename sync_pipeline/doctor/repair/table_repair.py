"""A system's own repair of a table, for keys that the general repair cannot restore by itself."""

from collections.abc import Iterable
from typing import Protocol

from sync_pipeline.doctor.repair.report import Report
from sync_pipeline.postgres.catalog import TableName
from sync_pipeline.postgres.connect import Connection


class TableRepair(Protocol):
    """Declared by a system, listed in `systems.migration_hooks`, passed to the doctor by the command line."""

    @property
    def table(self) -> TableName:
        """The table that it repairs."""
        ...

    @property
    def collision(self) -> str:
        """Why the colliding indexes refuse rows that the key allows, for a finding: `… lacks …`."""
        ...

    @property
    def cost(self) -> str:
        """What happens while such an index stands."""
        ...

    def colliding_indexes(self, connection: Connection) -> list[str]:
        """Names of unique indexes that refuse rows which the key allows, and that `repair` drops."""
        ...

    def repair(self, connection: Connection, *, dry_run: bool = False) -> list[Report]:
        """Restore the table's key; in a dry run, report the same and write nothing.

        Returns:
            What was dropped, then as the last report what was done to the key.

        Raises:
            SyncError: the rows or the role do not allow it; nothing was changed.
        """
        ...


def repair_of(repairs: Iterable[TableRepair], table: TableName) -> TableRepair | None:
    """The repair that a system declares for a table; None where the general one does."""
    return next((r for r in repairs if r.table == table), None)
