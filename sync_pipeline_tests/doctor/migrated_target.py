"""A migrated target in which tests make faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.rows import dict_row

from sync_pipeline.doctor.database import examine
from sync_pipeline.doctor.findings import Finding
from sync_pipeline.postgres.connect import connect
from sync_pipeline.systems.migration_hooks import TABLE_REPAIRS
from sync_pipeline_tests.doctor.sample_system import EVERYTHING


class MigratedTarget:
    """A target, with one session for faults and checks."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = connect(dsn)

    def run(self, statements: str) -> None:
        self.connection.execute(statements.encode())

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode()).fetchall()

    @contextmanager
    def planted(self, statements: str) -> Iterator[None]:
        """Run statements, and roll them back after the block."""
        with self.connection.transaction(force_rollback=True):
            self.run(statements)
            yield

    def examined(self, *names: str) -> list[Finding]:
        """Findings of these systems, or of all."""
        return examine(
            self.connection,
            [s for s in EVERYTHING if s.name in (names or s.name)],
            repairs=TABLE_REPAIRS,
        )
