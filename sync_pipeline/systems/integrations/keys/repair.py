"""The repair of a menu table's key: drops short indexes, fills values, merges duplicates."""

from dataclasses import dataclass

from sync_pipeline.doctor.repair import deduplicate
from sync_pipeline.doctor.repair.report import Report
from sync_pipeline.doctor.repair.session import transaction
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.postgres.catalog import TableName
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.fills import menu_fills
from sync_pipeline.systems.integrations.keys.short_indexes import (
    colliding_indexes,
    drop_colliding_indexes,
)
from sync_pipeline.systems.integrations.keys.tables import MENU_KEYS


def rekey(connection: Connection, key: UniqueKey, *, dry_run: bool = False) -> list[Report]:
    """Restore the key of a menu table: drop what collides with it, fill values, merge duplicates.

    Args:
        connection: of the table's owner; in a transaction of its own, or in the caller's.
        key: of the table, which has its columns.
        dry_run: report all of it and write nothing.

    Returns:
        What was dropped, then what was repaired.

    Raises:
        TargetNotPrepared: rows forbid it, such as items of two sources or sites that lack what
            distinguishes them; the message names them, and nothing was changed.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
        TargetRefused: the role lacks a permission; nothing was changed.
    """
    with transaction(connection, key.table_name):
        reports = drop_colliding_indexes(connection, [key], dry_run=dry_run)
        fills = menu_fills(connection, key)
        return [*reports, deduplicate.repair(connection, key, dry_run=dry_run, fills=fills)]


@dataclass(frozen=True)
class MenuTableRepair:
    """The repair of one menu table, as the doctor calls it."""

    key: UniqueKey
    collision: str = (
        "lacks what distinguishes items of two menus, and there are several menus by now"
    )
    cost: str = "items of one menu are rejected because the other menu has them"

    @property
    def table(self) -> TableName:
        """The table that it repairs."""
        return self.key.table_name

    def colliding_indexes(self, connection: Connection) -> list[str]:
        """Unique indexes that are shorter than the key, and on which items of two menus collide now."""
        return colliding_indexes(connection, [self.key])

    def repair(self, connection: Connection, *, dry_run: bool = False) -> list[Report]:
        """Drop the colliding indexes and restore the key."""
        return rekey(connection, self.key, dry_run=dry_run)


MENU_REPAIRS = tuple(MenuTableRepair(key) for key in MENU_KEYS)
