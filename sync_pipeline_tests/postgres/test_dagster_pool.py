"""The plugin that keeps the connections of Dagster's storage."""

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import NullPool, StaticPool

from sync_pipeline.postgres.connect import sqlalchemy_url
from sync_pipeline.postgres.dagster_pool import pooled


def backend(engine: sa.Engine) -> int:
    """The process that serves a new session."""
    with engine.connect() as session:
        return session.scalar(sa.text("select pg_backend_pid()")) or 0


def engine_of(database: str, **options: object) -> sa.Engine:
    """An engine as Dagster's storage makes it."""
    url = pooled(sqlalchemy_url(database, driver="psycopg2"))
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", **options)


def test_an_engine_without_a_pool_keeps_one_connection(database: str) -> None:
    engine = engine_of(database, poolclass=NullPool)
    assert backend(engine) == backend(engine)
    with engine.connect(), engine.connect():  # as threads need them
        pass
    engine.dispose()


def test_a_connection_that_was_lost_is_replaced_before_it_is_used(database: str) -> None:
    engine = engine_of(database, poolclass=NullPool)
    lost = backend(engine)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [lost])
    assert backend(engine) != lost
    engine.dispose()


def test_an_engine_with_a_pool_of_its_own_keeps_that(database: str) -> None:
    engine = engine_of(database, poolclass=StaticPool)
    assert isinstance(engine.pool, StaticPool)
    engine.dispose()
