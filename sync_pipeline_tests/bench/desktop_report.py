"""The desktop system's figures as people and programs read them."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from sync_pipeline_tests.bench.measure import Sample

MEGA = 1_000_000


@dataclass
class Figure:
    """One scene: the samples of every side, those of floor and ours in pairs.

    Attributes:
        scene: its name.
        seconds: most that it may take; None where nothing is aimed at.
        read: most bytes that may be read at the source.
        written: rows that are to be written, where that is known.
        dagster: the same run through Dagster.
    """

    scene: str
    seconds: float | None
    read: int | None
    written: int | None
    floor: list[Sample] = field(default_factory=list)
    ours: list[Sample] = field(default_factory=list)
    dagster: list[Sample] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Our time in floors: the median over the pairs, each of which met the same weather."""
        pairs = zip(self.ours, self.floor, strict=True)
        return median(ours.seconds / floor.seconds for ours, floor in pairs)

    @property
    def met(self) -> bool:
        """Whether our time, what we read, and what we wrote where nothing had changed, are as aimed at."""
        time = median(sample.seconds for sample in self.ours)
        return (
            (self.seconds is None or time <= self.seconds)
            and (self.read is None or all(sample.read < self.read for sample in self.ours))
            and (self.written != 0 or not any(sample.target for sample in self.ours))
        )

    @property
    def verdict(self) -> str:
        """What was aimed at and whether it was met."""
        aims = [
            "" if self.seconds is None else f"≤ {self.seconds:g} s",
            "" if self.read is None else f"< {self.read / MEGA:g} MB",
            "0 tuples" if self.written == 0 else "",
        ]
        return (
            f"{', '.join(filter(None, aims))} {'met' if self.met else 'MISSED'}"
            if any(aims)
            else ""
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything, samples included."""
        return {
            "part": "desktop",
            "scene": self.scene,
            "ratio": round(self.ratio, 3),
            "aim": {"seconds": self.seconds, "read": self.read},
            "met": self.met,
            **{
                side: [asdict(sample) for sample in getattr(self, side)]
                for side in ("floor", "ours", "dagster")
            },
        }


def show(console: Console, figures: list[Figure], scale: float) -> None:
    """Print the table."""
    table = Table(
        title=f"The desktop system over both databases of the practice, scale {scale:g}",
        title_justify="left",
        padding=(0, 1, 0, 0),
    )
    dagster = any(figure.dagster for figure in figures)
    sides = ("floor", "ours", *(["Dagster"] if dagster else []))
    costs = ("CPU floor", "CPU ours", "MB", "read MB", "WAL MB", "tables", "books")
    for name in ("run", *sides, "ratio", "aim", *costs):
        left = name in {"run", "aim"}
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for figure in figures:
        table.add_row(*_cells(figure, dagster=dagster))
    console.print(table)
    console.print(
        "Seconds for all fifteen tables, without the start of the process: medians over the repeats, of"
        " Dagster one run with its checks; ratio: median over pairs.\nCPU: seconds of the process + of the"
        " server's sessions. MB, read: memory of our process, what it received from the source. WAL: floor"
        " / ours. Tables, books: tuples written to targets and bases, and to bookkeeping.\nFloor: COPY of"
        " every row from one database into the other and one guarded MERGE per table, whatever has changed.",
        style="dim",
    )


def _cells(figure: Figure, *, dagster: bool) -> list[str]:
    def middle(samples: list[Sample], name: str) -> float:
        return median(getattr(sample, name) for sample in samples)

    floor, ours = figure.floor, figure.ours
    return [
        figure.scene,
        f"{middle(floor, 'seconds'):.2f}",
        f"{middle(ours, 'seconds'):.2f}",
        *(
            [f"{middle(figure.dagster, 'seconds'):.2f}" if figure.dagster else ""]
            if dagster
            else []
        ),
        f"{figure.ratio:.2f}",
        figure.verdict,
        *(f"{middle(s, 'cpu'):.1f} + {middle(s, 'server'):.1f}" for s in (floor, ours)),
        f"{max(sample.peak for sample in ours):.0f}",
        f"{middle(ours, 'read') / MEGA:.2f}",
        f"{middle(floor, 'wal') / MEGA:,.0f} / {middle(ours, 'wal') / MEGA:,.0f}",
        f"{middle(ours, 'target'):,.0f}",
        f"{middle(ours, 'books'):,.0f}",
    ]
