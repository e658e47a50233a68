"""What rows of the menus lack, and where it is found: in the registry of sources, or in the row itself."""

from __future__ import annotations

from psycopg import sql

from sync_pipeline.doctor.repair.table_layout import column_names, exists, layout, parent_of
from sync_pipeline.doctor.repair.unique_key import Fill, TableName, UniqueKey
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.tables import CONFIGS, LEVELS

_UUID = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_AND = sql.SQL(" and ")


def menu_fills(connection: Connection, key: UniqueKey) -> list[Fill]:
    """What completes the rows of a menu's table, as far as this database knows it."""
    present = layout(connection, key.place).types
    fills = []
    registered = exists(connection, CONFIGS)
    ways: list[sql.Composable] = []
    if registered:
        ways.append(
            sql.SQL(
                "(select c.wand_source_id::text from {} c where c.id::text = t.source_config_id::text)"
            ).format(CONFIGS.relation)
        )
    if "source_id" in present:
        ways.append(_own_source(connection, key.place, is_uuid=present["wand_source_id"] == "uuid"))
    if ways:
        value = sql.SQL("coalesce({})").format(sql.SQL(", ").join(ways))
        fills.append(Fill("wand_source_id", value, "from the configuration, else from source_id"))
    if registered:
        fills.append(
            Fill(
                "source_config_id",
                _configuration(connection, key.place),
                "the configuration for the same site, or else the only configuration of its source",
            )
        )
    if "path_id" in key.columns:
        fills.append(Fill("path_id", sql.SQL("t.external_id"), "the external id is the path"))
    return fills


def _own_source(connection: Connection, place: TableName, *, is_uuid: bool) -> sql.Composable:
    """The `source_id` of a row, whether or not a registry knows it, unless a foreign key forbids it."""
    if parent := parent_of(connection, place, "wand_source_id"):
        table, column = parent
        query = "(select s.{0}::text from {1} s where s.{0}::text = t.source_id::text)"
        return sql.SQL(query).format(sql.Identifier(column), table.relation)
    if is_uuid:
        return sql.SQL("case when t.source_id::text ~ {} then t.source_id::text end").format(_UUID)
    return sql.SQL("t.source_id::text")


def _configuration(connection: Connection, place: TableName) -> sql.Composable:
    """The only configuration of a row's source for what the row is for, where the row says it."""
    both = column_names(connection, place) & column_names(connection, CONFIGS)
    levels = [name for name in LEVELS if name in both]
    only = sql.SQL(
        "(select min(c.id::text) from {} c where c.wand_source_id::text = {} and {} having count(*) = 1)"
    )
    source = source_of(connection, place, alias="t")
    alone = only.format(CONFIGS.relation, source, sql.SQL("true"))
    if not levels:
        return alone
    same = [
        sql.SQL("coalesce(c.{0}::text = t.{0}::text, c.{0} is null)").format(sql.Identifier(name))
        for name in levels
    ]
    said = [
        sql.SQL("num_nonnulls({}) > 0").format(
            sql.SQL(", ").join(sql.Identifier(alias, name) for name in levels)
        )
        for alias in ("t", "c")
    ]
    query = "case when {} then {} else {} end"
    fitting = only.format(CONFIGS.relation, source, _AND.join([*same, said[1]]))
    return sql.SQL(query).format(said[0], fitting, alone)


def source_of(connection: Connection, place: TableName, *, alias: str | None) -> sql.Composable:
    """The source of a row, by whichever column says it."""
    present = column_names(connection, place)
    names = [name for name in ("wand_source_id", "source_id") if name in present]
    parts = (sql.Identifier(alias, n) if alias else sql.Identifier(n) for n in names)
    return sql.SQL("coalesce({})").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(part) for part in parts)
    )
