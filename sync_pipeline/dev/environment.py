"""What stands in where the environment names nothing: the embedded Postgres and the simulated sources.

Inside `stand_ins` the environment is complete, so that everything below reads it as it would in
production. Commands that run at the same time share their stand-ins; the last one out stops them, and
what a killed one left running is used by the next.

Invented data never meets a target that somebody named, unless by a demo, which is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from sync_pipeline.dev import file_locks
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.dev.simulator_processes import SIMULATORS, simulator
from sync_pipeline.postgres.connect import connect, sqlalchemy_url
from sync_pipeline.postgres.dagster_pool import keeping
from sync_pipeline.settings import PROJECT, SANDBOXED, Settings

Say = Callable[[str], None]
DESKTOP = "desktop"
"""Name of the simulated desktop's database, and of its system."""


@contextmanager
def sandbox(
    settings: Settings,
    *,
    say: Say,
    sources: Collection[str] = (),
    dagster: bool = True,
    scale: float = 1.0,
    executes: bool = True,
    migrates: bool = False,
    demo: bool = False,
) -> Iterator[Settings]:
    """Start what the environment does not name, for the length of a block.

    Args:
        settings: what the environment names.
        say: told what is being started.
        sources: the systems whose sources are needed; commands that only read the target need none.
        dagster: provide Dagster's home and storage too.
        scale: size of the simulated company and practice, if this makes them.
        executes: this process executes runs itself, and may keep Dagster's connections.
        migrates: the target is about to be migrated; a mobile app has used a stand-in for it before.
        demo: sources get stand-ins even where the target is named.

    Yields:
        Settings that are complete, but for sources that stay unnamed.

    Raises:
        TargetUnavailable: the embedded server does not start, or Dagster's database does not answer.
        SourceUnavailable: a simulator does not start.
    """
    wanted = to_simulate(settings, sources, demo=demo)
    own_target = not settings.target_dsn
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        server = None
        if own_target or (dagster and not settings.dagster_dsn) or DESKTOP in wanted:
            say("starting the embedded Postgres")
            server = stack.enter_context(EmbeddedServer(settings.home / "postgres"))
        if own_target:
            assert server
            environment["SYNC_TARGET_DSN"] = server.create_database("sync")
            if not settings.desktop_dsn:
                environment |= _desktop_of_before(server)
        if dagster:
            environment |= _dagster(settings, server, executes=executes)
        if DESKTOP in wanted:
            assert server
            with file_locks.held(settings.home / "practice.lock"):
                environment |= _desktop(server, scale, say)
                if own_target and migrates:
                    _use_mobile_app(environment["SYNC_TARGET_DSN"], scale, say)
        if own_target and migrates:
            with file_locks.held(settings.home / "products.lock"):
                _use_products(environment["SYNC_TARGET_DSN"], wanted, scale, say)
        for app in (app for app in SIMULATORS if app.system in wanted):
            environment |= stack.enter_context(simulator(app, settings.home, scale, say))
        stack.enter_context(_set(environment | _told(environment)))
        yield Settings.read()


def to_simulate(
    settings: Settings, sources: Collection[str], *, demo: bool = False
) -> frozenset[str]:
    """Of these systems, those whose sources get a stand-in."""
    if settings.target_dsn and not demo:
        return frozenset()
    return frozenset(name for name in sources if settings.missing(name))


def _told(environment: Mapping[str, str]) -> dict[str, str]:
    """What the processes that we start are told of our stand-ins."""
    names = {"SYNC_TARGET_DSN": "target", "DESKTOP_DSN": DESKTOP}
    names |= {next(iter(app.variables)): app.system for app in SIMULATORS}
    return {SANDBOXED: " ".join(names[name] for name in names if name in environment)}


def _dagster(
    settings: Settings, server: EmbeddedServer | None, *, executes: bool
) -> dict[str, str]:
    dsn = settings.dagster_dsn
    if dsn:
        # Dagster would try for a while, and then say it with a stack trace.
        connect(dsn, variable="SYNC_DAGSTER_DSN").close()
    else:
        assert server
        dsn = server.create_database("dagster")
    url = sqlalchemy_url(dsn, driver="psycopg2", variable="SYNC_DAGSTER_DSN")
    url = keeping(url) if executes else url
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    wanted = (PROJECT / "dagster.yaml").read_bytes()
    file = home / "dagster.yaml"
    if not file.exists() or file.read_bytes() != wanted:
        # Renamed into place: others may be reading it.
        partial = file.with_name(f"dagster.yaml.{os.getpid()}")
        partial.write_bytes(wanted)
        partial.replace(file)
    return {
        "DAGSTER_PG_URL": url.render_as_string(hide_password=False),
        "DAGSTER_HOME": str(home),
    }


def _desktop(server: EmbeddedServer, scale: float, say: Say) -> dict[str, str]:
    """The simulated desktop's database, filled the first time."""
    from sync_pipeline.simulators.desktop.practice import make_desktop  # noqa: PLC0415

    dsn = server.create_database(DESKTOP)
    with connect(dsn, variable="DESKTOP_DSN") as connection:
        if make_desktop(connection, scale=scale):
            say("made the simulated desktop's database")
    return {"DESKTOP_DSN": dsn}


def _desktop_of_before(server: EmbeddedServer) -> dict[str, str]:
    """The simulated desktop's database, if an earlier command has made it."""
    query = "select exists (select from pg_database where datname = %s)"
    with connect(server.dsn()) as connection:
        found = connection.execute(query, [DESKTOP]).fetchone()
    return {"DESKTOP_DSN": server.dsn(DESKTOP)} if found and found[0] else {}


def _use_mobile_app(target_dsn: str, scale: float, say: Say) -> None:
    """Play the mobile app that was in use before, so that its tables are adopted as they would really be."""
    from sync_pipeline.simulators.desktop.practice import make_mobile  # noqa: PLC0415

    with connect(target_dsn) as connection:
        if make_mobile(connection, scale=scale):
            say("made the simulated mobile app's tables")


def _use_products(target_dsn: str, wanted: Collection[str], scale: float, say: Say) -> None:
    """Play the products that have used their tables for a while, and the state in which this left them."""
    from sync_pipeline.simulators.integrations.product.database import make_signage  # noqa: PLC0415
    from sync_pipeline.simulators.meta_assets.product.database import make_messaging  # noqa: PLC0415

    with connect(target_dsn) as connection:
        if "integrations" in wanted and make_signage(connection, scale=scale):
            say("made the simulated signage product's tables")
        if "meta_assets" in wanted and make_messaging(connection):
            say("made the simulated messaging product's tables")


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
