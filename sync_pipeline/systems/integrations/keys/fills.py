"""Values that rows of the menu tables lack, from the registry of sources or from the row itself."""

from psycopg import sql

from sync_pipeline.doctor.repair.session import read_plain_table
from sync_pipeline.doctor.repair.unique_key import Fill, UniqueKey
from sync_pipeline.postgres.catalog import Table, column_types, exists
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.tables import CONFIGS, LEVELS

_UUID = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"

_SOURCE_OF_CONFIG = sql.SQL("""(
    select c.wand_source_id::text
    from {configs} c
    where c.id::text = t.source_config_id::text
)""")

_KNOWN_SOURCE = sql.SQL("""(
    select s.{column}::text
    from {sources} s
    where s.{column}::text = t.source_id::text
)""")

_ONLY_CONFIG = sql.SQL("""(
    select min(c.id::text)
    from {configs} c
    where c.wand_source_id::text = {source} and {condition}
    having count(*) = 1
)""")


def menu_fills(connection: Connection, key: UniqueKey) -> list[Fill]:
    """What completes the rows of a menu table, as far as this database holds it."""
    table = read_plain_table(connection, key.table_name)
    has_registry = exists(connection, CONFIGS)
    fills: list[Fill] = []
    sources: list[sql.Composable] = []
    if has_registry:
        sources.append(_SOURCE_OF_CONFIG.format(configs=CONFIGS.relation))
    if "source_id" in table.columns:
        sources.append(_own_source(table))
    if sources:
        value = sql.SQL("coalesce({})").format(sql.SQL(", ").join(sources))
        fills.append(Fill("wand_source_id", value, "from the configuration, else from source_id"))
    if has_registry:
        fills.append(
            Fill(
                "source_config_id",
                _configuration(connection, table),
                "the configuration for the same site, or else the only configuration of its source",
            )
        )
    if "path_id" in key.columns:
        fills.append(Fill("path_id", sql.SQL("t.external_id"), "the external id is the path"))
    return fills


def _own_source(table: Table) -> sql.Composable:
    """The `source_id` of a row, registered or not, unless a foreign key forbids an unknown source."""
    parents = (k for k in table.foreign_keys if k.columns == ("wand_source_id",))
    if parent := min(parents, key=lambda k: k.parent, default=None):
        column = sql.Identifier(parent.parent_columns[0])
        return _KNOWN_SOURCE.format(column=column, sources=parent.parent.relation)
    if table.columns["wand_source_id"].type == "uuid":
        return sql.SQL("case when t.source_id::text ~ {} then t.source_id::text end").format(_UUID)
    return sql.SQL("t.source_id::text")


def _configuration(connection: Connection, table: Table) -> sql.Composable:
    """The only configuration of a row's source for the row's level; of rows without one, the only one."""
    configs = column_types(connection, CONFIGS.relation.as_string(connection))
    levels = [name for name in LEVELS if name in table.columns and name in configs]
    source = source_of(table, alias="t")
    only = _ONLY_CONFIG.format(configs=CONFIGS.relation, source=source, condition=sql.SQL("true"))
    if not levels:
        return only
    matches = [
        sql.SQL("coalesce(c.{0}::text = t.{0}::text, c.{0} is null)").format(sql.Identifier(name))
        for name in levels
    ]
    has_level = {
        alias: sql.SQL("num_nonnulls({}) > 0").format(
            sql.SQL(", ").join(sql.Identifier(alias, name) for name in levels)
        )
        for alias in ("t", "c")
    }
    fitting = _ONLY_CONFIG.format(
        configs=CONFIGS.relation,
        source=source,
        condition=sql.SQL(" and ").join([*matches, has_level["c"]]),
    )
    return sql.SQL("case when {} then {} else {} end").format(has_level["t"], fitting, only)


def source_of(table: Table, *, alias: str | None) -> sql.Composable:
    """The source of a row, from whichever of its columns is filled."""
    names = [name for name in ("wand_source_id", "source_id") if name in table.columns]
    columns = (sql.Identifier(alias, n) if alias else sql.Identifier(n) for n in names)
    return sql.SQL("coalesce({})").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(column) for column in columns)
    )
