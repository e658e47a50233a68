"""Unique keys of the menu tables, and the log of what repairs remove.

Tables, keys and indexes are written out here: what this migration does stays the same when the entities or
`MENU_KEYS` change. How duplicates are merged and nulls filled is up to `doctor.repair` and
`systems.integrations.keys`: they keep the names that are called here (see the docstrings of these packages).

Revision: 0006
Follows: 0005
"""

from typing import LiteralString, NamedTuple

from alembic import context, op
from psycopg import sql

from sync_pipeline.doctor.repair.indexes import add_index, indexes
from sync_pipeline.doctor.repair.report import Report, listed
from sync_pipeline.doctor.repair.restore import restore
from sync_pipeline.doctor.repair.session import fetch_value, read_plain_table, transaction
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.merge.schema.migrate import add_notes
from sync_pipeline.postgres.catalog import exists
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.repair import rekey
from sync_pipeline.systems.integrations.keys.short_indexes import (
    drop_short_indexes,
    omits_configuration,
    omits_source,
)

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LOG = (
    """
    CREATE TABLE IF NOT EXISTS sync.repair (
        id UUID NOT NULL,
        table_name TEXT NOT NULL,
        facts JSONB DEFAULT '{}' NOT NULL,
        number BIGINT GENERATED ALWAYS AS IDENTITY,
        repaired_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        restored_at TIMESTAMP WITH TIME ZONE,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS sync.removed_row (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        repair_id UUID NOT NULL,
        table_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        row JSONB NOT NULL,
        survivor_key JSONB NOT NULL,
        survivor_before JSONB NOT NULL,
        removed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS removed_row_repair_id_idx ON sync.removed_row (repair_id)",
    """
    CREATE TABLE IF NOT EXISTS sync.changed_row (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        repair_id UUID NOT NULL,
        table_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        row_key JSONB NOT NULL,
        before JSONB NOT NULL,
        after JSONB NOT NULL,
        changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS changed_row_repair_id_idx ON sync.changed_row (repair_id)",
)

HISTORY = """
    CREATE TABLE IF NOT EXISTS integration_sync_history (
        id UUID DEFAULT gen_random_uuid() NOT NULL,
        source_name TEXT NOT NULL,
        source_config_id UUID,
        status TEXT NOT NULL CHECK (status IN ('in_progress', 'success', 'failed')),
        started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        completed_at TIMESTAMP WITH TIME ZONE,
        items_synced INTEGER DEFAULT 0,
        error_message TEXT,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (id)
    )
"""


COLUMNS: dict[str, LiteralString] = {
    "wand_source_id": "uuid",
    "source_config_id": "uuid",
    "path_id": "text",
    "last_synced_at": "timestamptz default now()",
}


class MenuTable(NamedTuple):
    """A table, its key, the unique index on `source_id` that older programs use, and its other indexes."""

    key: UniqueKey
    source_index: str
    secondary: dict[str, str]


def _key(table: str, *item: str, name: str) -> UniqueKey:
    return UniqueKey(
        "public",
        table,
        ("wand_source_id", "source_config_id", *item),
        nulls_not_distinct=True,
        name=name,
        newest=("updated_at", "last_synced_at", "created_at"),
        must_match=("source_id", "concept_id", "company_id", "site_id"),
    )


TABLES = (
    MenuTable(
        _key(
            "integration_products",
            "external_id",
            name="integration_products_wand_source_id_source_config_id_external_i",
        ),
        "integration_products_source_external_unique",
        {
            "idx_integration_products_wand_source": "wand_source_id",
            "idx_integration_products_external_id": "external_id",
            "idx_integration_products_last_synced": "last_synced_at",
        },
    ),
    MenuTable(
        _key(
            "integration_modifiers",
            "external_id",
            "path_id",
            name="integration_modifiers_wand_source_id_source_config_id_external_",
        ),
        "integration_modifiers_source_external_path_unique",
        {
            "idx_integration_modifiers_wand_source": "wand_source_id",
            "idx_integration_modifiers_external_id": "external_id",
        },
    ),
    MenuTable(
        _key(
            "integration_discounts",
            "external_id",
            name="integration_discounts_wand_source_id_source_config_id_external_",
        ),
        "integration_discounts_source_external_unique",
        {
            "idx_integration_discounts_wand_source": "wand_source_id",
            "idx_integration_discounts_external_id": "external_id",
        },
    ),
)


def upgrade() -> None:
    for statement in (*LOG, HISTORY):
        op.execute(statement)
    connection = _connection()
    for table in TABLES:
        if exists(connection, table.key.table_name):
            for report in _repair(connection, table):
                add_notes(context.config, report.notes)


def downgrade() -> None:
    connection = _connection()
    for table in reversed(TABLES):
        name = table.key.table_name
        if exists(connection, name):
            add_notes(context.config, restore(connection, str(name)).notes)
    # Columns stay, as those that adopting a target adds; so does what could not be put back.
    left = fetch_value(
        connection, "select exists (select from sync.repair where restored_at is null)"
    )
    if not left:
        op.execute("DROP TABLE sync.changed_row, sync.removed_row, sync.repair")


def _connection() -> Connection:
    found = op.get_bind().connection.driver_connection
    assert found is not None
    return found


def _repair(connection: Connection, table: MenuTable) -> list[Report]:
    """Give a menu table its columns, its key and its indexes."""
    key = table.key
    name = key.table_name
    with transaction(connection, name):
        reports = [_add_columns(connection, table)]
        obsolete = {i.name for i in indexes(connection, name) if omits_source(key, i)}
        if obsolete:
            reports.append(drop_short_indexes(connection, key, obsolete, moved=True))
        reports += rekey(connection, key)
        reports.append(_kept(connection, key))
        if "source_id" in read_plain_table(connection, name).columns:
            columns = ["source_id", *key.columns[2:]]
            reports.append(add_index(connection, name, table.source_index, columns, unique=True))
        reports += (
            add_index(connection, name, index, [column])
            for index, column in table.secondary.items()
        )
    return reports


def _add_columns(connection: Connection, table: MenuTable) -> Report:
    name = table.key.table_name
    report = Report(str(name))
    present = read_plain_table(connection, name).columns
    required = (*table.key.columns, *table.secondary.values())
    for column in dict.fromkeys(required):
        if column in COLUMNS and column not in present:
            statement = sql.SQL("alter table {} add column {} {}").format(
                name.relation, sql.Identifier(column), sql.SQL(COLUMNS[column])
            )
            connection.execute(statement)
            report.add_repaired(f"column {column} added")
    return report


def _kept(connection: Connection, key: UniqueKey) -> Report:
    """Shorter unique indexes that serve for now; programs may name them in ON CONFLICT."""
    report = Report(str(key.table_name))
    for index in indexes(connection, key.table_name):
        if omits_configuration(key, index):
            report.add_kept(
                f"unique index {index.name} on {listed(index.columns)} stays while each source has one"
                " configuration; when one has a second, run sync-pipeline doctor --fix, which drops it"
            )
    return report
