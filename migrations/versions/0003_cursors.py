"""Cursors: how far each source was read, in a form that only the source understands.

Revision: 0003
Follows: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS sync.cursor (
            system TEXT NOT NULL,
            entity TEXT NOT NULL,
            state JSONB NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            PRIMARY KEY (system, entity)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS sync.cursor")
