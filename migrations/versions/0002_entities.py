"""The entities' tables and their bases, created where missing and adopted where present.

Tables that other apps own are never altered beyond missing columns and indexes, and never dropped.

Revision: 0002
Follows: 0001
"""

from __future__ import annotations

from alembic import context, op

from sync_pipeline.merge.schema.adopt import adopt
from sync_pipeline.merge.schema.migrate import add_notes

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    found = adopt(op.get_bind(), context.config.attributes["metadata"])
    # What differs or was refused is found again at the end, unless a later migration has mended it.
    add_notes(context.config, [n for n in found if n.kind == "created"])


def downgrade() -> None:
    # The tables hold what people entered; whoever wants them gone drops them by hand.
    pass
