"""A source database of its own for each test, and logins that may do nothing there."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline_tests.fixtures.sample_system import Workbench
from sync_pipeline_tests.sources.postgres.digest_runs import MakeWorkbench
from sync_pipeline_tests.sources.postgres.source_database import ITEM, Origin


@pytest.fixture(scope="session")
def origin_database(desktop_server: EmbeddedServer) -> str:
    """A source database, on the oldest release that there is; making one costs more than a test."""
    return desktop_server.create_database(f"origin_{uuid4().hex[:12]}")


@pytest.fixture
def origin(origin_database: str) -> Iterator[Origin]:
    """An empty source database."""
    origin = Origin(origin_database)
    yield origin
    origin.run("drop schema if exists shop, public cascade")
    origin.run("create schema public")
    origin.run("grant all on schema public to public")
    origin.connection.close()


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


@pytest.fixture
def moved(origin: Origin, bench_of: MakeWorkbench) -> tuple[Origin, Workbench]:
    """A source of which one row has changed since it was synced."""
    bench = bench_of(ITEM)
    origin.run("create table item as select n as id, 'one' as name from generate_series(1, 500) n")
    origin.sync(bench)
    origin.run("update item set name = 'new' where id = 300")
    return origin, bench
