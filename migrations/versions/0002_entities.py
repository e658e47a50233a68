"""The entities' tables and their bases, created where missing and adopted where present.

Tables that other apps own are never altered beyond missing columns and indexes, and never dropped.

Revision: 0002
Follows: 0001
"""

from __future__ import annotations

from alembic import op

from sync_pipeline.merge.adopt import adopt
from sync_pipeline.merge.tables import metadata
from sync_pipeline.systems.registry import SYSTEMS

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    adopt(op.get_bind(), metadata(SYSTEMS))


def downgrade() -> None:
    # The tables hold what people entered; whoever wants them gone drops them by hand.
    pass
