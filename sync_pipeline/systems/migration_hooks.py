"""Hooks of the systems: what they add to migrations and to the doctor's repairs.

Apart from `systems.registry`, because this needs psycopg and SQLAlchemy, which most commands do not.
"""

from sync_pipeline.doctor.repair.table_repair import TableRepair
from sync_pipeline.merge.schema.migrate import AfterMigration
from sync_pipeline.systems.integrations.keys.repair import MENU_REPAIRS
from sync_pipeline.systems.integrations.keys.short_indexes import after_migration

TABLE_REPAIRS: tuple[TableRepair, ...] = MENU_REPAIRS
"""Tables whose keys the doctor repairs by their system's rules."""

AFTER_MIGRATION: tuple[AfterMigration, ...] = (after_migration,)
"""Run at the end of every migration, in its transaction."""
