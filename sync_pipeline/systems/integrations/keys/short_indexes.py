"""Unique indexes that are shorter than the key of a menu table, and make items of two menus collide.

Earlier repairs created them. One without `source_config_id` serves while each source has one configuration;
one without `wand_source_id`, until a configuration is moved to another source. Then they reject whole menus.
"""

from collections.abc import Sequence

from psycopg import sql

from sync_pipeline.doctor.repair.indexes import drop_indexes, is_plain
from sync_pipeline.doctor.repair.report import Report, listed
from sync_pipeline.doctor.repair.session import fetch_value
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.merge.schema.adopt import MigrationNote
from sync_pipeline.postgres.catalog import Index, Table, exists, read_table
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.fills import source_of
from sync_pipeline.systems.integrations.keys.tables import CONFIGS, MENU_KEYS

SEVERAL = "a source has several configurations, and two sites may sell the same item"
MOVED = (
    "a configuration may be moved to another source, whose items would be refused for the old ones"
)

_SEVERAL_BY_ROWS = sql.SQL("""
select exists (
    select
    from {table}
    group by {source}
    having count(distinct source_config_id) > 1
)
""")
_SEVERAL_BY_REGISTRY = sql.SQL("""
select exists (
    select
    from {configs}
    group by {source}
    having count(*) > 1
)
""")
_MOVED_BY_ROWS = sql.SQL("""
select exists (
    select
    from {table}
    where source_config_id is not null
    group by source_config_id
    having count(distinct wand_source_id) > 1
)
""")
_MOVED_BY_REGISTRY = sql.SQL("""
select exists (
    select
    from {table} t
    join {configs} c on c.id::text = t.source_config_id::text
    where c.wand_source_id::text <> t.wand_source_id::text
)
""")


def colliding_indexes(connection: Connection, keys: Sequence[UniqueKey] = MENU_KEYS) -> list[str]:
    """Names of unique indexes on which items of two menus collide now.

    Rows are read only where there is such an index.

    Args:
        connection: in any state; nothing is written.
        keys: of the tables to look at; a table that does not exist is skipped.

    Returns:
        Valid indexes over all rows, by table and name; none where there are no configurations.
    """
    if not exists(connection, CONFIGS):
        return []
    return [
        index.name
        for key in keys
        for index in _colliding(connection, key)
        if index.valid and not index.condition
    ]


def drop_colliding_indexes(
    connection: Connection, keys: Sequence[UniqueKey] = MENU_KEYS, *, dry_run: bool = False
) -> list[Report]:
    """Drop the unique indexes on which items of two menus collide now; `restore` creates them again.

    Args:
        connection: of the tables' owner; in a transaction of its own, or in the caller's.
        keys: of the tables to look at; a table that does not exist is skipped.
        dry_run: report what would be dropped and drop nothing.

    Returns:
        A report for each table that had one.

    Raises:
        TargetNotPrepared: something depends on an index, or there is no log to enter the repair in.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
        TargetRefused: the role does not own the table; nothing was changed.
    """
    reports: list[Report] = []
    for key in keys:
        found = _colliding(connection, key)
        for moved in (False, True):
            names = {i.name for i in found if omits_source(key, i) is moved}
            if names:
                reports.append(
                    drop_short_indexes(connection, key, names, moved=moved, dry_run=dry_run)
                )
    return reports


def after_migration(connection: Connection) -> list[MigrationNote]:
    """Drop the indexes that collide by now: a source may have got a second configuration since."""
    return [note for report in drop_colliding_indexes(connection) for note in report.notes]


def drop_short_indexes(
    connection: Connection, key: UniqueKey, names: set[str], *, moved: bool, dry_run: bool = False
) -> Report:
    """Drop short indexes by name, and report which columns an ON CONFLICT has to name instead."""
    report = drop_indexes(
        connection,
        key.table_name,
        which=lambda index: index.name in names,
        why=MOVED if moved else SEVERAL,
        dry_run=dry_run,
    )
    report.add_kept(
        "a program that names the columns of a dropped index in ON CONFLICT must name"
        f" {listed(key.columns)} instead"
    )
    return report


def omits_configuration(key: UniqueKey, index: Index) -> bool:
    """Whether it is on part of the key, without the configuration."""
    return _is_short(key, index) and "source_config_id" not in index.columns


def omits_source(key: UniqueKey, index: Index) -> bool:
    """Whether it is on part of the key, with the configuration and without the source."""
    has_configuration = "source_config_id" in index.columns
    return _is_short(key, index) and has_configuration and "wand_source_id" not in index.columns


def _is_short(key: UniqueKey, index: Index) -> bool:
    """Whether it is on fewer columns than the key, and on no others and no expressions."""
    is_unique = index.unique and is_plain(index)
    return is_unique and bool(index.columns) and set(index.columns) < set(key.columns)


def _colliding(connection: Connection, key: UniqueKey) -> list[Index]:
    table = read_table(connection, key.table_name)
    if table is None or not set(key.columns) <= set(table.columns):
        return []
    return [index for index in table.indexes if _collides(connection, table, key, index)]


def _collides(connection: Connection, table: Table, key: UniqueKey, index: Index) -> bool:
    if omits_configuration(key, index):
        has_source = "wand_source_id" in index.columns
        return _has_several(connection, table, each_source=has_source)
    return omits_source(key, index) and _has_moved(connection, table)


def _has_several(connection: Connection, table: Table, *, each_source: bool) -> bool:
    """Whether a source, or all of them together, have several configurations by the registry or the rows."""
    everything = sql.SQL("()")
    by_registry = _SEVERAL_BY_REGISTRY.format(
        configs=CONFIGS.relation,
        source=sql.Identifier("wand_source_id") if each_source else everything,
    )
    if exists(connection, CONFIGS) and fetch_value(connection, by_registry):
        return True
    by_rows = _SEVERAL_BY_ROWS.format(
        table=table.table_name.relation,
        source=source_of(table, alias=None) if each_source else everything,
    )
    return fetch_value(connection, by_rows)


def _has_moved(connection: Connection, table: Table) -> bool:
    name = table.table_name.relation
    if fetch_value(connection, _MOVED_BY_ROWS.format(table=name)):
        return True
    by_registry = _MOVED_BY_REGISTRY.format(table=name, configs=CONFIGS.relation)
    return exists(connection, CONFIGS) and fetch_value(connection, by_registry)
