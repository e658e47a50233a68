"""`paste` inspects a new database and imports what is printed."""

import pytest

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline_tests.inspectdb.pasted_declarations import (
    Paste,
    Pasted,
    database_of,
    migrated,
    pasted,
)


@pytest.fixture
def paste(server: EmbeddedServer) -> Paste:
    """Inspects a new database with the given tables, empties it, and migrates it to what was printed."""

    def paste(*statements: str, schema: str = "public", system: str = "shop") -> Pasted:
        with database_of(server) as dsn:
            found = pasted(dsn, *statements, schema=schema, system=system)
            notes = migrated(dsn, found.system)
        assert {note.kind for note in notes} == {"created"}, notes
        tables = {f"{e.schema}.{e.table}".removeprefix("public.") for e in found.system.entities}
        assert tables <= {note.table for note in notes}
        return found

    return paste
