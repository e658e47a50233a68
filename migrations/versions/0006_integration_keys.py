"""The keys of the menus' tables made real, and the account that repairs keep of what they remove.

How a menu's table is mended is in `sync_pipeline.systems.integrations.keys.repair`.

Revision: 0006
Follows: 0005
"""

from __future__ import annotations

from alembic import context, op

from sync_pipeline.doctor.repair.restore import restore
from sync_pipeline.doctor.repair.session import fetch_value
from sync_pipeline.doctor.repair.table_layout import exists
from sync_pipeline.merge.schema.migrate import add_notes
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.keys.repair import TABLES, repair_table

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ACCOUNT = (
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


def upgrade() -> None:
    for statement in (*ACCOUNT, HISTORY):
        op.execute(statement)
    connection = _connection()
    for items in TABLES:
        if exists(connection, items.place):
            for report in repair_table(connection, items):
                add_notes(context.config, report.notes)


def downgrade() -> None:
    connection = _connection()
    for items in reversed(TABLES):
        if exists(connection, items.place):
            add_notes(context.config, restore(connection, str(items.place)).notes)
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
