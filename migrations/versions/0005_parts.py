"""Partitioned entities: each partition has steps, plans and a cursor of its own.

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEYS = {"plan": ("run_id", "entity"), "cursor": ("system", "entity")}


def upgrade() -> None:
    for table in ("step", "plan", "cursor"):
        # Adopting the target, in 0002, may have added it already, as it adds any column: nullable.
        op.execute(f"ALTER TABLE sync.{table} ADD COLUMN IF NOT EXISTS part TEXT DEFAULT ''")
        op.execute(f"ALTER TABLE sync.{table} ALTER COLUMN part SET NOT NULL")
    for table, columns in KEYS.items():
        _rekey(table, (*columns, "part"))


def downgrade() -> None:
    for table, columns in KEYS.items():
        # An older program reads whole entities only; rows of single partitions would mislead it.
        op.execute(f"DELETE FROM sync.{table} WHERE part <> ''")  # noqa: S608  ours
        _rekey(table, columns)
    for table in ("step", "plan", "cursor"):
        op.drop_column(table, "part", schema="sync")


def _rekey(table: str, columns: tuple[str, ...]) -> None:
    found = sa.inspect(op.get_bind()).get_pk_constraint(table, schema="sync")
    if tuple(found["constrained_columns"]) == columns:
        return
    op.drop_constraint(str(found["name"]), table, schema="sync", type_="primary")
    op.create_primary_key(f"{table}_pkey", table, list(columns), schema="sync")
