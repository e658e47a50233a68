"""One definition of `_sync_metadata`, whichever of its earlier ones a target has.

The desktop sync's setup script made it without `records_synced`, which its engine then failed to write; the
engine made it by itself without `created_at`. Columns that only one of them had stay, for other readers.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = (
    "last_sync_timestamp TIMESTAMP WITH TIME ZONE DEFAULT '1970-01-01 00:00:00+00'",
    "records_synced INTEGER DEFAULT 0",
    "sync_status VARCHAR(50) DEFAULT 'pending'",
    "error_message TEXT",
    "created_at TIMESTAMP WITH TIME ZONE DEFAULT now()",
    "updated_at TIMESTAMP WITH TIME ZONE DEFAULT now()",
)
FILLED = {
    "last_sync_timestamp": "'1970-01-01 00:00:00+00'",
    "records_synced": "0",
    "created_at": "now()",
    "updated_at": "now()",
}


def upgrade() -> None:
    present = {c["name"] for c in sa.inspect(op.get_bind()).get_columns("_sync_metadata")}
    for column in COLUMNS:
        op.execute(f"ALTER TABLE _sync_metadata ADD COLUMN IF NOT EXISTS {column}")
    if "last_sync_records" in present:
        # Adopting the target, in 0002, may have added `records_synced` already, with its default.
        op.execute(
            "UPDATE _sync_metadata SET records_synced = last_sync_records"
            " WHERE coalesce(records_synced, 0) = 0 AND last_sync_records <> 0"
        )
    for name, value in FILLED.items():
        op.execute(f"UPDATE _sync_metadata SET {name} = {value} WHERE {name} IS NULL")  # noqa: S608  ours
        op.execute(f"ALTER TABLE _sync_metadata ALTER COLUMN {name} SET DEFAULT {value}")
        op.execute(f"ALTER TABLE _sync_metadata ALTER COLUMN {name} SET NOT NULL")


def downgrade() -> None:
    # Both earlier definitions are part of this one; what an older program reads is still there.
    pass
