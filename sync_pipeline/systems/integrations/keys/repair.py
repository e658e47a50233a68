"""The tables of the menus, mended: their columns, the key of an item, and the indexes around it.

What the tables and their keys are is in `menu_tables`; what the rows lack, and where it is found, in
`menu_fills`; which unique sets of earlier mendings have to go, in `menu_sets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from sync_pipeline.doctor.repair.deduplicate import repair
from sync_pipeline.doctor.repair.index_definitions import indexes
from sync_pipeline.doctor.repair.report import Report, listed
from sync_pipeline.doctor.repair.secondary_indexes import add_index
from sync_pipeline.doctor.repair.session import settled
from sync_pipeline.doctor.repair.table_layout import layout
from sync_pipeline.doctor.repair.unique_key import TableName
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.fills import menu_fills
from sync_pipeline.systems.integrations.keys.short_indexes import (
    colliding,
    drop_colliding,
    drop_sets,
    lacks_configuration,
    lacks_source,
)
from sync_pipeline.systems.integrations.keys.tables import TABLES, MenuTable

__all__ = ["TABLES", "MenuTable", "colliding", "drop_colliding", "rekey"]

COLUMNS: dict[str, LiteralString] = {
    "wand_source_id": "uuid",
    "source_config_id": "uuid",
    "path_id": "text",
    "last_synced_at": "timestamptz default now()",
}


def repair_table(connection: Connection, items: MenuTable) -> list[Report]:
    """Give a menu's table its columns, its key and its indexes.

    Args:
        connection: of the table's owner, in the caller's transaction.
        items: the table, which exists.

    Returns:
        What was done and what was left, in order.

    Raises:
        TargetNotPrepared: rows stand against it; the message names them.
        TargetUnavailable: other sessions held the table for too long.
    """
    with settled(connection, items.place):
        reports = [_add_columns(connection, items)]
        outgrown = {i.name for i in indexes(connection, items.place) if lacks_source(items, i)}
        if outgrown:
            reports.append(drop_sets(connection, items, outgrown, moved=True))
        reports += rekey(connection, items)
        reports.append(_say_kept(connection, items))
        if "source_id" in layout(connection, items.place).types:
            columns = ["source_id", *items.item]
            reports.append(add_index(connection, items.place, items.backward, columns, unique=True))
        reports += (
            add_index(connection, items.place, name, [column])
            for name, column in items.fast.items()
        )
    return reports


def rekey(connection: Connection, items: MenuTable, *, dry_run: bool = False) -> list[Report]:
    """Give a menu's table its key: drop what collides with it, complete the rows, merge those that repeat.

    Args:
        connection: of the table's owner; in a transaction of its own, or in the caller's.
        items: the table, with the columns of its key.
        dry_run: say all of it and write nothing.

    Returns:
        What was dropped, then what was repaired.

    Raises:
        TargetNotPrepared: rows stand against it, such as items of two sources or sites that lack what tells
            them apart; the message names them, and nothing was changed.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
        TargetRefused: the role lacks a permission; nothing was changed.
    """
    with settled(connection, items.place):
        reports = drop_colliding(connection, [items], dry_run=dry_run)
        fills = menu_fills(connection, items.key)
        return [*reports, repair(connection, items.key, dry_run=dry_run, fills=fills)]


def _add_columns(connection: Connection, items: MenuTable) -> Report:
    report = Report(str(items.place))
    present = layout(connection, items.place).types
    wanted = (*items.key.columns, *items.fast.values())
    for name in dict.fromkeys(wanted):
        if name in COLUMNS and name not in present:
            statement = sql.SQL("alter table {} add column {} {}").format(
                items.place.relation, sql.Identifier(name), sql.SQL(COLUMNS[name])
            )
            connection.execute(statement)
            report.did(f"column {name} added")
    return report


def _say_kept(connection: Connection, items: MenuTable) -> Report:
    """Shorter sets that serve for now; programs may name them in ON CONFLICT."""
    report = Report(str(items.place))
    for index in indexes(connection, items.place):
        if lacks_configuration(items, index):
            report.kept(
                f"unique index {index.name} on {listed(index.columns)} stays while each source has one"
                " configuration; when one has a second, run sync-pipeline doctor --fix, which drops it"
            )
    return report


@dataclass(frozen=True)
class MenuTableRepair:
    """The repair of one menu table, as the doctor calls it."""

    items: MenuTable
    collision: str = "lacks what tells items of two menus apart, and there are several menus by now"
    cost: str = "items of one menu are rejected because the other menu has them"

    @property
    def table(self) -> TableName:
        """The table that it repairs."""
        return self.items.place

    def colliding_indexes(self, connection: Connection) -> list[str]:
        """Unique indexes that are shorter than the key, and on which items of two menus collide now."""
        return colliding(connection, [self.items])

    def repair(self, connection: Connection, *, dry_run: bool = False) -> list[Report]:
        """Drop the colliding indexes and restore the key."""
        return rekey(connection, self.items, dry_run=dry_run)


MENU_REPAIRS = tuple(MenuTableRepair(items) for items in TABLES)
