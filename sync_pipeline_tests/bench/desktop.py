"""What is measured of the desktop system: the figures of its source document, over the simulated practice.

Both databases are made from the seed, at the real practice's size unless told otherwise. Every side works
on copies of them; what it finds is what its own scene before has left.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import base_name, bookkeeping_metadata, metadata
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import connect
from sync_pipeline.simulators.desktop.practice import make_desktop, make_mobile
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE
from sync_pipeline_tests.bench.desktop_report import Figure
from sync_pipeline_tests.bench.measure import Job, run

SIDES = ("floor", "ours")
MEGA = 1_000_000


@dataclass(frozen=True)
class Scene:
    """One run, on what the one before it left.

    Attributes:
        name: as the table spells it.
        system: which way.
        mode: how much is asked for.
        seconds: most that it may take; None where nothing is aimed at.
        read: most bytes that may be read at the source.
        written: rows that are inserted or updated; None where the dirt decides.
        changed: whether twelve rows of the desktop change before it.
    """

    name: str
    system: System
    mode: str
    seconds: float | None = None
    read: int | None = None
    written: int | None = None
    changed: bool = False


SCENES = (
    Scene("first load", DESKTOP, "full", seconds=10.0),
    Scene("full, unchanged", DESKTOP, "full", seconds=3.0, written=0),
    Scene("12 rows changed", DESKTOP, "delta", seconds=1.5, read=MEGA, written=12, changed=True),
    Scene("unchanged", DESKTOP, "delta", written=0),
    Scene("back, first", REVERSE, "delta"),
    Scene("back, unchanged", REVERSE, "delta", written=0),
)

_CHANGED: dict[str, tuple[LiteralString, ...]] = {
    "jobshead": (
        "job_status = case job_status when 'G' then 'P' else 'G' end",
        "job_id",
        "sporg_id",
    ),
    "jobtasks": ("taskorder = coalesce(taskorder, 0) + 1", "job_id", "task_id"),
}
_CHANGE: LiteralString = """
update {table} set {change} where ctid in (
    select ctid from (
        select min(ctid) as ctid, row_number() over (order by {key}) as n, count(*) over () as whole
        from {table} where ({key}) is not null group by {key} having count(*) = 1
    ) x where n % (whole / 6) = whole / 12 limit 6
)
"""


def measure(
    server: EmbeddedServer,
    *,
    scale: float,
    repeats: int,
    dagster: bool,
    report_progress: Callable[[str], None],
) -> list[Figure]:
    """Every scene, as often as asked.

    Args:
        server: on which both databases are made.
        scale: of the practice; 1 is the real one's size.
        repeats: of all scenes; sides alternate in who goes first.
        dagster: whether the first repeat also runs every scene through Dagster.
        tell: is told of what goes on.
    """
    report_progress(f"making the practice at scale {scale:g}")
    _make(server, scale)
    figures = [Figure(s.name, s.seconds, s.read, s.written) for s in SCENES]
    for repeat in range(repeats):
        sides = SIDES if repeat % 2 == 0 else SIDES[::-1]
        if dagster and repeat == 0:
            sides = (*sides, "dagster")
        _copy(server, "practice_desktop", _desktop(repeat))
        for side in sides:
            _copy(server, "practice_mobile", f"mobile_{side}_{repeat}")
        for scene, figure in zip(SCENES, figures, strict=True):
            report_progress(f"practice, {scene.name}, repeat {repeat + 1}")
            if scene.changed:
                _change(server.dsn(_desktop(repeat)))
            for side in sides:
                job = _job(server, scene, side, repeat)
                sample = run(f"desktop_{side}", job, list(_tables(scene.system)))
                getattr(figure, side).append(sample)
    return figures


def _make(server: EmbeddedServer, scale: float) -> None:
    desktop = server.create_database("practice_desktop")
    with connect(desktop) as connection:
        make_desktop(connection, scale=scale)
    migrate.create_bookkeeping(desktop, bookkeeping_metadata([REVERSE]), variable="DESKTOP_DSN")
    mobile = server.create_database("practice_mobile")
    with connect(mobile) as connection:
        make_mobile(connection, scale=scale)
    migrate.migrate(mobile, metadata([DESKTOP]))


def _desktop(repeat: int) -> str:
    return f"desktop_{repeat}"


def _job(server: EmbeddedServer, scene: Scene, side: str, repeat: int) -> Job:
    """A side's own mobile database, and for reverse runs a desktop of its own too."""
    desktop, mobile = _desktop(repeat), server.dsn(f"mobile_{side}_{repeat}")
    written = scene.written
    if scene.system is DESKTOP:
        return Job(mobile, server.dsn(desktop), written, scene.system.name, scene.mode)
    own = f"{desktop}_{side}"
    _copy(server, desktop, own)
    return Job(server.dsn(own), mobile, written, scene.system.name, scene.mode)


def _copy(server: EmbeddedServer, template: str, name: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        known = admin.execute("select from pg_database where datname = %s", [name]).fetchone()
        if known is None:
            names = map(sql.Identifier, (name, template))
            admin.execute(sql.SQL("create database {} template {}").format(*names))


def _change(desktop: str) -> None:
    """Six jobs and six tasks, all over their tables, none of a repeated key."""
    with psycopg.connect(desktop) as connection:
        for table, (change, *key) in _CHANGED.items():
            statement = sql.SQL(_CHANGE).format(
                table=sql.Identifier(table),
                change=sql.SQL(change),
                key=sql.SQL(", ").join(map(sql.Identifier, key)),
            )
            changed = connection.execute(statement)
            assert changed.rowcount == 6, table


def _tables(system: System) -> Iterator[str]:
    for entity in system.entities:
        yield f"public.{entity.table}"
        yield f"sync_base.{base_name(entity)}"
