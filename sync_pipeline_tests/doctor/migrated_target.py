"""A session on a migrated target, whose tables faults are planted into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg.rows import dict_row

from sync_pipeline.doctor.database import examine
from sync_pipeline.doctor.findings import Finding
from sync_pipeline.postgres.connect import connect
from sync_pipeline.systems.repairs import TABLE_REPAIRS
from sync_pipeline_tests.doctor.sample_system import EVERYTHING


class Clinic:
    """Plants, looks, and puts everything back."""

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
        """The target with a fault, for the length of a block."""
        with self.connection.transaction(force_rollback=True):
            self.run(statements)
            yield

    def examined(self, *names: str) -> list[Finding]:
        """What the doctor says of these systems, or of all."""
        return examine(
            self.connection,
            [s for s in EVERYTHING if s.name in (names or s.name)],
            repairs=TABLE_REPAIRS,
        )
