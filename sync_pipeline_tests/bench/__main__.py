"""Measure the merge and the desktop system against the floor: sync_pipeline_tests.bench --help."""

import argparse
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import orjson
from rich.console import Console

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.merge.schema import migrate
from sync_pipeline.merge.schema.metadata import metadata
from sync_pipeline_tests.bench import desktop, desktop_report
from sync_pipeline_tests.bench.measure import Job, run
from sync_pipeline_tests.bench.report import Figure, show
from sync_pipeline_tests.bench.workload import SYSTEM, WORKLOADS, Files, Workload
from sync_pipeline_tests.fixtures.postgres import passable_directory

ABOUT = """\
Times our work against what Postgres itself needs for the same rows (the floor), on a durable server of
its own. Each measured side is a process of its own that imports only what it measures. Sides alternate,
and so does which of them goes first.

Part merge: one entity of 39 mapped columns. One repeat is four workloads in this order, each on what the
one before left behind:

  load     first load into an empty table
  nothing  the same records again
  1%       one record in a hundred changed, in four fields
  all      every record changed, in four fields

Floor: COPY of a prepared CSV into a temporary table, ANALYZE of its key, one MERGE guarded by IS
DISTINCT FROM. Ours: response bodies of 100 records decoded and merged, with plan, guard, base,
before-images and accounting.

Part desktop: the practice's two databases, 92,000 rows in fifteen tables at scale 1. First load, all of it
again, a delta with twelve changed rows and one with none, and reverse runs with and without rows.

Floor: COPY of every row of every table out of one database into a temporary table of the other, and one
guarded MERGE each. Ours: a run of all tables; once more through Dagster, with its assets and checks.
"""

EXAMPLES = """\
examples:
  make bench                                               everything, about 13 minutes
  python -m sync_pipeline_tests.bench --parts desktop      only the practice, about a minute
  python -m sync_pipeline_tests.bench --rows 92387         one size, about 2 minutes
  python -m sync_pipeline_tests.bench --rows 20000 --workloads nothing 1% --repeat 1
  python -m sync_pipeline_tests.bench --json > figures.json
"""

PARTS = ["merge", "desktop"]
WIDTH = 136  # of the table; on a narrower terminal its lines wrap, which loses nothing
LARGE = 500_000  # rows from which one repeat has to do, unless more are asked for


def main() -> None:
    """Parse, measure, report."""
    options = _options()
    console = Console(stderr=options.json)
    console.width = max(console.width, WIDTH)
    if "merge" in options.parts and not _has_dlt():
        console.print("dlt is not installed; the peer's column is left out.", style="dim")
    # Autovacuum would fall into one side's time and not into the other's; `measure` vacuums.
    settings = {"autovacuum": "off"}
    with (
        passable_directory(options.directory) as place,
        EmbeddedServer(place / "server", settings=settings) as server,
    ):
        figures = _merge(server, place, options, console) if "merge" in options.parts else []
        practice = _practice(server, options, console) if "desktop" in options.parts else []
    if figures:
        show(console, figures)
    if practice:
        desktop_report.show(console, practice, options.scale)
    if options.json:
        everything = [figure.as_dict() for figure in (*figures, *practice)]
        Console(soft_wrap=True, highlight=False).print(
            orjson.dumps(everything, option=orjson.OPT_INDENT_2).decode(), markup=False
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sync_pipeline_tests.bench",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [w.name for w in WORKLOADS]
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="what to measure (default: all)",
    )
    parser.add_argument(
        "--rows",
        type=_sizes,
        default=[92_387, 1_000_000],
        help="merge: sizes of the table, separated by commas (default: 92387,1000000)",
    )
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=names,
        default=names,
        help="merge: which to report; those before them run as well, unmeasured (default: all)",
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="desktop: size of the practice (default: 1, the real one's)",
    )
    parser.add_argument(
        "--no-dagster",
        action="store_true",
        help="desktop: leave out the runs through Dagster",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        help=f"repeats per size (default: 3, and 1 from {LARGE:,} rows)",
    )
    parser.add_argument("--json", action="store_true", help="every sample as JSON on stdout")
    parser.add_argument(
        "--directory",
        type=Path,
        help="where the server and the source files live for the time being; 2 GB per million rows"
        " (default: among the system's temporary files)",
    )
    return parser.parse_args()


def _sizes(argument: str) -> list[int]:
    return [int(size) for size in argument.replace("_", "").split(",")]


def _merge(
    server: EmbeddedServer, place: Path, options: argparse.Namespace, console: Console
) -> list[Figure]:
    return [
        figure
        for rows in options.rows
        for figure in _measure(server, Files(place, rows), options, console)
    ]


def _practice(
    server: EmbeddedServer, options: argparse.Namespace, console: Console
) -> list[desktop_report.Figure]:
    return desktop.measure(
        server,
        scale=options.scale,
        repeats=options.repeat or 3,
        dagster=not options.no_dagster,
        report_progress=lambda what: console.print(what, style="dim"),
    )


def _measure(
    server: EmbeddedServer, files: Files, options: argparse.Namespace, console: Console
) -> Iterable[Figure]:
    """Every workload asked for, at one size."""
    figures = {w.name: Figure(files.rows, w) for w in WORKLOADS}
    last = max(i for i, w in enumerate(WORKLOADS) if w.name in options.workloads)
    repeats = options.repeat or (1 if files.rows >= LARGE else 3)
    for version in {w.version for w in WORKLOADS[: last + 1]}:
        console.print(f"writing the source: {files.rows:,} rows, version {version}", style="dim")
        files.write(version)
    for repeat in range(repeats):
        sides = {name: _migrated(server, f"{name}_{files.rows}_{repeat}") for name in _sides()}
        for workload in WORKLOADS[: last + 1]:
            console.print(f"{files.rows:,} rows, {workload.name}, repeat {repeat + 1}", style="dim")
            _pair(figures[workload.name], sides, files, reverse=repeat % 2 == 1)
    for version in {w.version for w in WORKLOADS[: last + 1]}:
        files.remove(version)
    return [figures[name] for name in options.workloads]


def _sides() -> list[str]:
    return ["floor", "ours", *(["peer"] if _has_dlt() else [])]


def _has_dlt() -> bool:
    return importlib.util.find_spec("dlt") is not None


def _migrated(server: EmbeddedServer, name: str) -> str:
    dsn = server.create_database(name)
    migrate.migrate(dsn, metadata([SYSTEM]))
    return dsn


def _pair(figure: Figure, sides: dict[str, str], files: Files, *, reverse: bool) -> None:
    """One workload on each side, one after the other."""
    workload: Workload = figure.workload
    for side in sorted(sides, reverse=reverse):
        source = (files.csv if side == "floor" else files.pages)(workload.version)
        job = Job(sides[side], str(source), workload.written(files.rows))
        getattr(figure, side).append(run(side, job))


if __name__ == "__main__":
    main()
