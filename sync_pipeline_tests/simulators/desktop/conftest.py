"""The full practice, made once for all tests of this package."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.desktop.practice import make_desktop, make_mobile
from sync_pipeline_tests.simulators.desktop.queries import use_schema


@pytest.fixture(scope="package")
def practice(server: EmbeddedServer) -> Iterator[psycopg.Connection]:
    """A database that holds both full databases, as its schemas `desktop` and `mobile`."""
    name = f"practice_{uuid4().hex[:12]}"
    with connect(server.create_database(name)) as connection:
        for schema, make in (("desktop", make_desktop), ("mobile", make_mobile)):
            use_schema(connection, schema)
            assert make(connection)
        connection.execute("reset search_path")
        yield connection
    with connect(server.dsn()) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
