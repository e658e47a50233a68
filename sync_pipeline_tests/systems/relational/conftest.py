"""A source database of its own for each test, and logins that may do nothing there."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from psycopg import sql

from sync_pipeline.postgres.connect import connect
from sync_pipeline.postgres.embedded import EmbeddedServer
from sync_pipeline_tests.systems.relational.origin import Origin


@pytest.fixture
def origin(desktop_server: EmbeddedServer) -> Iterator[Origin]:
    """An empty source database, on the oldest release that there is."""
    name = f"origin_{uuid4().hex[:12]}"
    origin = Origin(desktop_server.create_database(name))
    yield origin
    origin.connection.close()
    with connect(desktop_server.dsn()) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def visitor(origin: Origin) -> Iterator[str]:
    """A login that may connect to the source and has been granted nothing else."""
    name = f"visitor_{uuid4().hex[:12]}"
    origin.run(f"create role {name} login password 'open sesame'")
    origin.run("create schema shop")
    address = urlsplit(origin.dsn)
    place = address.netloc.rpartition("@")[2]
    yield urlunsplit(address._replace(netloc=f"{name}:open%20sesame@{place}"))
    origin.run(f"drop owned by {name}")
    origin.run(f"drop role {name}")
