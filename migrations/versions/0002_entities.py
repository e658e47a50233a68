"""The entities' tables and their bases, created where missing and adopted where present.

Tables that other apps own are never altered beyond missing columns and indexes, and never dropped.

Revision: 0002
Follows: 0001
"""

from alembic import context, op

from sync_pipeline.merge.schema.migrate import adopt_declared

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    adopt_declared(op.get_bind(), context.config)


def downgrade() -> None:
    # The tables hold what people entered; drop them by hand if need be.
    pass
