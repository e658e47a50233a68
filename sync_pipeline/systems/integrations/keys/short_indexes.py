"""Unique sets that are shorter than the key of a menu's table, and make items of two menus collide.

Earlier mendings made them. One without `source_config_id` serves while each source has one configuration;
one without `wand_source_id`, until a configuration is moved to another source. Then they reject whole menus.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from sync_pipeline.doctor.repair.index_definitions import Index, indexes
from sync_pipeline.doctor.repair.report import Report, listed
from sync_pipeline.doctor.repair.secondary_indexes import drop_indexes
from sync_pipeline.doctor.repair.session import fetch_value
from sync_pipeline.doctor.repair.table_layout import column_names, exists
from sync_pipeline.merge.schema.adopt import MigrationNote
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.fills import source_of
from sync_pipeline.systems.integrations.keys.tables import CONFIGS, TABLES, MenuTable

SEVERAL = "a source has several configurations, and two sites may sell the same item"
MOVED = (
    "a configuration may be moved to another source, whose items would be refused for the old ones"
)

_SEVERAL_BY_ROWS = sql.SQL("""
select exists (select from {table} group by {source} having count(distinct source_config_id) > 1)
""")
_SEVERAL_BY_REGISTRY = sql.SQL("""
select exists (select from {configs} group by {source} having count(*) > 1)
""")
_MOVED_BY_ROWS = sql.SQL("""
select exists (
    select from {table} where source_config_id is not null
    group by source_config_id having count(distinct wand_source_id) > 1
)
""")
_MOVED_BY_REGISTRY = sql.SQL("""
select exists (
    select from {table} t join {configs} c on c.id::text = t.source_config_id::text
    where c.wand_source_id::text <> t.wand_source_id::text
)
""")


def colliding(connection: Connection, tables: Sequence[MenuTable] = TABLES) -> list[str]:
    """Names of unique indexes on which items of two menus collide now.

    Rows are read only where there is such an index.

    Args:
        connection: in any state; nothing is written.
        tables: to look at; one that does not exist is passed over.

    Returns:
        Valid indexes over all rows, by table and name; none where there are no configurations.
    """
    if not exists(connection, CONFIGS):
        return []
    return [
        index.name
        for items in tables
        if _is_complete(connection, items)
        for index in indexes(connection, items.place)
        if index.valid and index.total and _collides(connection, items, index)
    ]


def drop_colliding(
    connection: Connection, tables: Sequence[MenuTable] = TABLES, *, dry_run: bool = False
) -> list[Report]:
    """Drop the unique indexes on which items of two menus collide now; `restore` makes them again.

    Args:
        connection: of the tables' owner; in a transaction of its own, or in the caller's.
        tables: to look at; one that does not exist is passed over.
        dry_run: say what would be dropped and drop nothing.

    Returns:
        A report for each table that had one.

    Raises:
        TargetNotPrepared: something depends on an index, or there is no account to enter it in.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
        TargetRefused: the role does not own the table; nothing was changed.
    """
    reports: list[Report] = []
    for items in tables:
        if not _is_complete(connection, items):
            continue
        found = [i for i in indexes(connection, items.place) if _collides(connection, items, i)]
        for without_source in (False, True):
            names = {i.name for i in found if lacks_source(items, i) is without_source}
            if names:
                reports.append(
                    drop_sets(connection, items, names, moved=without_source, dry_run=dry_run)
                )
    return reports


def after_migration(connection: Connection) -> list[MigrationNote]:
    """Drop the indexes that collide by now: a source may have got a second configuration since."""
    return [note for report in drop_colliding(connection) for note in report.notes]


def drop_sets(
    connection: Connection, items: MenuTable, names: set[str], *, moved: bool, dry_run: bool = False
) -> Report:
    """Drop shorter sets by name, and say which columns an ON CONFLICT has to name instead."""
    report = drop_indexes(
        connection,
        items.place,
        which=lambda index: index.name in names,
        why=MOVED if moved else SEVERAL,
        dry_run=dry_run,
    )
    report.kept(
        "a program that names the columns of a dropped index in ON CONFLICT must name"
        f" {listed(items.key.columns)} instead"
    )
    return report


def lacks_configuration(items: MenuTable, index: Index) -> bool:
    """Whether it is a part of the key without the configuration."""
    return _is_part(items, index) and "source_config_id" not in index.columns


def lacks_source(items: MenuTable, index: Index) -> bool:
    """Whether it is a part of the key with the configuration and without the source."""
    has_configuration = "source_config_id" in index.columns
    return _is_part(items, index) and has_configuration and "wand_source_id" not in index.columns


def _is_part(items: MenuTable, index: Index) -> bool:
    """Whether it is on fewer columns than the key, and on no others and no expressions."""
    sound = index.unique and index.plain
    return sound and bool(index.columns) and set(index.columns) < set(items.key.columns)


def _is_complete(connection: Connection, items: MenuTable) -> bool:
    return set(items.key.columns) <= column_names(connection, items.place)


def _collides(connection: Connection, items: MenuTable, index: Index) -> bool:
    if lacks_configuration(items, index):
        return has_several(connection, items, each_source="wand_source_id" in index.columns)
    return lacks_source(items, index) and _has_moved(connection, items)


def has_several(connection: Connection, items: MenuTable, *, each_source: bool = True) -> bool:
    """Whether a source, or all of them together, have several configurations by the registry or the rows."""
    table = items.place.relation
    everything = sql.SQL("()")
    by_registry = _SEVERAL_BY_REGISTRY.format(
        configs=CONFIGS.relation,
        source=sql.Identifier("wand_source_id") if each_source else everything,
    )
    if exists(connection, CONFIGS) and fetch_value(connection, by_registry):
        return True
    source = source_of(connection, items.place, alias=None) if each_source else everything
    return fetch_value(connection, _SEVERAL_BY_ROWS.format(table=table, source=source))


def _has_moved(connection: Connection, items: MenuTable) -> bool:
    table = items.place.relation
    if fetch_value(connection, _MOVED_BY_ROWS.format(table=table)):
        return True
    by_registry = _MOVED_BY_REGISTRY.format(table=table, configs=CONFIGS.relation)
    return exists(connection, CONFIGS) and fetch_value(connection, by_registry)
