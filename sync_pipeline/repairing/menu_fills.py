"""What rows of the menus lack, and where it is found: in the registry of sources, or in the row itself."""

from __future__ import annotations

from psycopg import sql

from sync_pipeline.repairing.catalog import exists, layout
from sync_pipeline.repairing.key import Fill, Place, UniqueKey
from sync_pipeline.repairing.session import Connection, fetch_value

SOURCES = Place("public", "wand_integration_sources")
CONFIGS = Place("public", "integration_source_configs")


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
        ways.append(_known_source(connection))
    if ways:
        value = sql.SQL("coalesce({})").format(sql.SQL(", ").join(ways))
        fills.append(Fill("wand_source_id", value, "from the configuration, else from source_id"))
    if registered:
        only = sql.SQL(
            "(select min(c.id::text) from {} c where c.wand_source_id::text = {} having count(*) = 1)"
        ).format(CONFIGS.relation, source_of(connection, key.place, alias="t"))
        fills.append(Fill("source_config_id", only, "the only configuration of its source"))
    if "path_id" in key.columns:
        fills.append(Fill("path_id", sql.SQL("t.external_id"), "the external id is the path"))
    return fills


def _known_source(connection: Connection) -> sql.Composable:
    """The `source_id` of a row, as far as it names a source of the registry, where there is one."""
    is_there = exists(connection, SOURCES) and fetch_value(
        connection, sql.SQL("select exists (select from {})").format(SOURCES.relation)
    )
    if not is_there:
        return sql.SQL("t.source_id::text")
    query = "(select s.id::text from {} s where s.id::text = t.source_id::text)"
    return sql.SQL(query).format(SOURCES.relation)


def source_of(connection: Connection, place: Place, *, alias: str | None) -> sql.Composable:
    """The source of a row, by whichever column says it."""
    present = layout(connection, place).types
    names = [name for name in ("wand_source_id", "source_id") if name in present]
    parts = (sql.Identifier(alias, n) if alias else sql.Identifier(n) for n in names)
    return sql.SQL("coalesce({})").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(part) for part in parts)
    )
