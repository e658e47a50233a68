"""The tables of the menus, mended: their columns, the key of an item, and the indexes around it.

A row belongs to one configuration of a source: two sites sell the same item at prices of their own. The
key therefore has `source_config_id`, and nulls are equal in it, because rows of earlier syncs lack parts.
The shorter set of an earlier mending, without the configuration, serves where each source has one
configuration; where one has several, it would make their rows overwrite or reject each other.

What the rows lack, and where it is found, is in `menu_fills`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from sync_pipeline.repairing.catalog import exists, layout
from sync_pipeline.repairing.further import add_index, drop_indexes
from sync_pipeline.repairing.indexes import indexes
from sync_pipeline.repairing.key import Place, UniqueKey
from sync_pipeline.repairing.menu_fills import CONFIGS, menu_fills, source_of
from sync_pipeline.repairing.repair import repair
from sync_pipeline.repairing.report import Report, listed
from sync_pipeline.repairing.session import Connection, fetch_value, settled

NEWEST = ("updated_at", "last_synced_at", "created_at")


@dataclass(frozen=True)
class Items:
    """One of the three tables.

    Attributes:
        table: its name.
        item: columns that identify an item within a source and configuration.
        key_name: of the unique index.
        earlier: name of the shorter set with `wand_source_id`.
        backward: name of the set with `source_id`.
        fast: further indexes, by name.
    """

    table: str
    item: tuple[str, ...]
    key_name: str
    earlier: str
    backward: str
    fast: dict[str, str]

    @property
    def place(self) -> Place:
        """The table."""
        return Place("public", self.table)

    @property
    def key(self) -> UniqueKey:
        """What identifies a row."""
        return UniqueKey(
            "public",
            self.table,
            ("wand_source_id", "source_config_id", *self.item),
            nulls_not_distinct=True,
            name=self.key_name,
            newest=NEWEST,
        )


TABLES = (
    Items(
        "integration_products",
        ("external_id",),
        "integration_products_wand_source_id_source_config_id_external_i",
        "integration_products_wand_source_external_unique",
        "integration_products_source_external_unique",
        {
            "idx_integration_products_wand_source": "wand_source_id",
            "idx_integration_products_external_id": "external_id",
            "idx_integration_products_last_synced": "last_synced_at",
        },
    ),
    Items(
        "integration_modifiers",
        ("external_id", "path_id"),
        "integration_modifiers_wand_source_id_source_config_id_external_",
        "integration_modifiers_wand_source_external_path_unique",
        "integration_modifiers_source_external_path_unique",
        {
            "idx_integration_modifiers_wand_source": "wand_source_id",
            "idx_integration_modifiers_external_id": "external_id",
        },
    ),
    Items(
        "integration_discounts",
        ("external_id",),
        "integration_discounts_wand_source_id_source_config_id_external_",
        "integration_discounts_wand_source_external_unique",
        "integration_discounts_source_external_unique",
        {
            "idx_integration_discounts_wand_source": "wand_source_id",
            "idx_integration_discounts_external_id": "external_id",
        },
    ),
)
COLUMNS: dict[str, LiteralString] = {
    "wand_source_id": "uuid",
    "source_config_id": "uuid",
    "path_id": "text",
    "last_synced_at": "timestamptz default now()",
}


def mend(connection: Connection, items: Items) -> list[Report]:
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
        several = _has_several(connection, items)
        reports += _clear(connection, items, several=several)
        reports.append(repair(connection, items.key, fills=menu_fills(connection, items.key)))
        if not several:
            reports.append(
                _add_set(
                    connection, items, items.earlier, "wand_source_id", nulls_not_distinct=True
                )
            )
        if "source_id" in layout(connection, items.place).types:
            reports.append(_add_set(connection, items, items.backward, "source_id"))
        reports += (
            add_index(connection, items.place, name, [column])
            for name, column in items.fast.items()
        )
    return reports


def _add_columns(connection: Connection, items: Items) -> Report:
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


def _add_set(
    connection: Connection,
    items: Items,
    name: str,
    source: str,
    *,
    nulls_not_distinct: bool = False,
) -> Report:
    columns = [source, *items.item]
    return add_index(
        connection,
        items.place,
        name,
        columns,
        unique=True,
        nulls_not_distinct=nulls_not_distinct,
    )


# -- unique sets that the key's own rows would violate


def _has_several(connection: Connection, items: Items) -> bool:
    """Whether a source has several configurations, by the registry or by the rows."""
    of_rows = sql.SQL(
        "select exists (select from {} group by {} having count(distinct source_config_id) > 1)"
    ).format(items.place.relation, source_of(connection, items.place, alias=None))
    if fetch_value(connection, of_rows):
        return True
    if not exists(connection, CONFIGS):
        return False
    of_registry = sql.SQL(
        "select exists (select from {} group by wand_source_id having count(*) > 1)"
    )
    return fetch_value(connection, of_registry.format(CONFIGS.relation))


def _clear(connection: Connection, items: Items, *, several: bool) -> list[Report]:
    reports = []
    longer = listed(items.key.columns)
    shorter = {"wand_source_id", *items.item}
    if several:
        report = drop_indexes(
            connection,
            items.place,
            which=lambda index: index.unique and set(index.columns) == shorter,
            why="a source has several configurations, and two sites may sell the same item",
        )
        report.kept(
            f"no unique set on {listed(('wand_source_id', *items.item))}, because a source has several"
            f" configurations: a program that names it in ON CONFLICT must name {longer} instead"
        )
        reports.append(report)
    configured = {"source_config_id", "external_id"}
    if "path_id" in items.item:
        dropped = drop_indexes(
            connection,
            items.place,
            which=lambda index: index.unique and set(index.columns) == configured,
            why="an item may be on several paths of one menu",
        )
        reports.append(dropped)
    reports.append(_keep_configured(connection, items, configured))
    return reports


def _keep_configured(connection: Connection, items: Items, configured: set[str]) -> Report:
    """Earlier sets with the configuration: the key's rows do not meet in them."""
    report = Report(str(items.place))
    for index in indexes(connection, items.place):
        if not index.unique or "source_config_id" not in index.columns:
            continue
        if set(index.columns) == configured:
            why = "a configuration belongs to one source, so it forbids no more than the key does"
        elif set(index.columns) == {"source_config_id", "path_id"}:
            why = "the external id of an item with a path is its path"
        else:
            continue
        report.kept(f"unique index {index.name} on {listed(index.columns)} stays: {why}")
    return report
