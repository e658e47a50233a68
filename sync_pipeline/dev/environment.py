"""The sandbox: an embedded Postgres and simulated sources for what the environment does not name.

Inside `sandbox` the environment is complete, so that everything below reads it as it would in production.
Commands that run at the same time share the server and the simulators; the last one out stops them, and
what a killed command left running is used by the next.

Invented data never meets a target that somebody named, unless by a demo, which is asked for. The size of
the simulated companies is remembered in the home, so that later commands meet the same ones.
"""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sync_pipeline.dev import file_locks
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.dev.simulator_processes import simulator
from sync_pipeline.model.source_settings import SimulatedTables
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import connect, sqlalchemy_url
from sync_pipeline.postgres.dagster_pool import pooled
from sync_pipeline.settings import DAGSTER, PROJECT, SANDBOXED, TARGET, Settings
from sync_pipeline.systems.registry import SYSTEMS

Report = Callable[[str], None]
SCALE_FILE = "simulated-scale"


@contextmanager
def sandbox(
    settings: Settings,
    *,
    report: Report,
    sources: Collection[str] = (),
    dagster: bool = True,
    scale: float | None = None,
    executes: bool = True,
    migrates: bool = False,
    demo: bool = False,
) -> Iterator[Settings]:
    """Start what the environment does not name; yields settings complete but for sources that stay unnamed.

    Args:
        settings: what the environment names.
        report: called with what is being started.
        sources: the systems whose sources are needed; commands that only read the target need none.
        dagster: provide Dagster's home and storage too.
        scale: size of the simulated companies; None: that of the home, which a demo has chosen.
        executes: this process executes runs itself, and may keep Dagster's connections.
        migrates: an embedded target gets the tables of the programs that have used it before.
        demo: sources are simulated even where the target is named.

    Raises:
        TargetUnavailable: the embedded server does not start, or Dagster's database does not answer.
        SourceUnavailable: a simulator does not start.
    """
    simulated = to_simulate(settings, sources, demo=demo)
    databases = [s for s in simulated if s.source.database]
    embedded_target = not settings.target_dsn
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        server = None
        if embedded_target or (dagster and not settings.dagster_dsn) or databases:
            report("starting the embedded Postgres")
            server = stack.enter_context(EmbeddedServer(settings.home / "postgres"))
        if server and embedded_target:
            environment[TARGET.name] = server.create_database("sync")
            environment |= _earlier_databases(settings, server)
        if dagster:
            environment |= _dagster(settings, server, executes=executes)
        if simulated:
            scale = _remembered_scale(settings.home, scale)
        if server:
            product = environment[TARGET.name] if embedded_target and migrates else None
            with file_locks.held(settings.home / "simulated-tables.lock"):
                environment |= _tables(simulated, server, scale, report, product=product)
        for system in simulated:
            if system.source.api:
                api, size = system.source.api, scale or 1.0
                process = simulator(system.name, api, settings.home, size, report)
                environment |= stack.enter_context(process)
        stack.enter_context(_set(environment | _sandboxed(environment)))
        yield Settings.read()


def to_simulate(
    settings: Settings, sources: Collection[str], *, demo: bool = False
) -> Sequence[System]:
    """The systems among these whose sources are simulated."""
    if settings.target_dsn and not demo:
        return ()
    return [
        system
        for system in SYSTEMS
        if system.name in sources
        and (system.source.api or system.source.database)
        and system.source.missing(settings)
    ]


def _remembered_scale(home: Path, chosen: float | None) -> float:
    """The chosen size of the simulated companies, which the home remembers; without one, the remembered."""
    file = home / SCALE_FILE
    if chosen is None:
        return float(file.read_text()) if file.exists() else 1.0
    home.mkdir(parents=True, exist_ok=True)
    file.write_text(str(chosen))
    return chosen


def _sandboxed(environment: Mapping[str, str]) -> dict[str, str]:
    """The variable that names, for the processes that we start, what is embedded or simulated."""
    names = {TARGET.name: "target"}
    names |= {s.source.variable: s.name for s in SYSTEMS if s.source.variables}
    return {SANDBOXED: " ".join(names[name] for name in names if name in environment)}


def _dagster(
    settings: Settings, server: EmbeddedServer | None, *, executes: bool
) -> dict[str, str]:
    dsn = settings.dagster_dsn
    if dsn:
        # Dagster would retry for a while, and then raise with a stack trace.
        connect(dsn, variable=DAGSTER.name).close()
    else:
        assert server
        dsn = server.create_database("dagster")
    url = sqlalchemy_url(dsn, driver="psycopg2", variable=DAGSTER.name)
    url = pooled(url) if executes else url
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    content = (PROJECT / "dagster.yaml").read_bytes()
    file = home / "dagster.yaml"
    if not file.exists() or file.read_bytes() != content:
        # Renamed into place: others may be reading it.
        partial = file.with_name(f"dagster.yaml.{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(file)
    dagster_url = url.render_as_string(hide_password=False)
    return {"DAGSTER_PG_URL": dagster_url, "DAGSTER_HOME": str(home)}


def _tables(
    simulated: Sequence[System],
    server: EmbeddedServer,
    scale: float | None,
    report: Report,
    *,
    product: str | None,
) -> dict[str, str]:
    """Create the databases of simulated sources; and in `product` the tables of programs that use it."""
    dsns = {s.name: server.create_database(s.name) for s in simulated if s.source.database}
    for system in simulated:
        if system.source.database:
            _create(system.source.database, dsns[system.name], scale, report)
    for system in simulated:
        if product and system.source.product:
            _create(system.source.product, product, scale, report)
    return {s.source.variable: dsns[s.name] for s in simulated if s.name in dsns}


def _create(tables: SimulatedTables, dsn: str, scale: float | None, report: Report) -> None:
    """Make and fill simulated tables, unless an earlier command has."""
    with connect(dsn) as connection:
        if tables.create(connection, scale or 1.0):
            report(f"made the simulated {tables.title}")


def _earlier_databases(settings: Settings, server: EmbeddedServer) -> dict[str, str]:
    """The simulated source databases that earlier commands have made."""
    names = {s.name: s.source for s in SYSTEMS if s.source.database and s.source.missing(settings)}
    with connect(server.dsn()) as connection:
        found = connection.execute(
            "select datname from pg_database where datname = any(%s)", [list(names)]
        ).fetchall()
    return {names[name].variable: server.dsn(name) for (name,) in found}


@contextmanager
def _set(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ[name] for name in environment if name in os.environ}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name in environment:
            os.environ.pop(name, None)
        os.environ.update(before)
