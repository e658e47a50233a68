"""The figures as people and programs read them."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from sync_pipeline_tests.bench.measure import Sample
from sync_pipeline_tests.bench.workload import Workload

MOST_MEMORY = 300.0  # MB, whatever the table's size
MEGA = 1_000_000


@dataclass
class Figure:
    """One workload at one size: the samples of both sides, in pairs.

    Attributes:
        peer: dlt's samples, where it is installed.
    """

    rows: int
    workload: Workload
    floor: list[Sample] = field(default_factory=list)
    ours: list[Sample] = field(default_factory=list)
    peer: list[Sample] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Our time in floors: the median over the pairs, each of which met the same weather."""
        pairs = zip(self.ours, self.floor, strict=True)
        return median(ours.seconds / floor.seconds for ours, floor in pairs)

    @property
    def peak(self) -> float:
        """Our most memory, in MB."""
        return max(sample.peak for sample in self.ours)

    @property
    def verdict(self) -> str:
        """What was aimed at and whether it was met."""
        met = self.ratio <= self.workload.aim and self.peak < MOST_MEMORY
        return f"≤ {self.workload.aim:g} {'met' if met else 'MISSED'}"

    def as_dict(self) -> dict[str, Any]:
        """Everything, samples included."""
        return {
            "rows": self.rows,
            "workload": self.workload.name,
            "ratio": round(self.ratio, 3),
            "aim": self.workload.aim,
            "met": self.verdict.endswith(" met"),
            "peak_mb": round(self.peak, 1),
            "floor": [asdict(sample) for sample in self.floor],
            "ours": [asdict(sample) for sample in self.ours],
            "peer": [asdict(sample) for sample in self.peer],
        }


def show(console: Console, figures: list[Figure]) -> None:
    """Print the table."""
    table = Table(
        title="The merge against Postgres's floor", title_justify="left", padding=(0, 1, 0, 0)
    )
    peer = any(figure.peer for figure in figures)
    times = ("floor", "ours", *(["dlt"] if peer else []), "ratio", "aim")
    for name in ("rows", "workload", *times, "CPU", "MB", "WAL MB", "target", "books"):
        table.add_column(name, justify="left" if name == "workload" else "right", no_wrap=True)
    for figure in figures:
        table.add_row(*_cells(figure, peer=peer))
    console.print(table)
    console.print(
        "Seconds: medians over the repeats; ratio: median over pairs. CPU, MB: seconds and peak memory of our"
        f" process, aim: below {MOST_MEMORY:.0f} MB. WAL: floor / ours. Target, books: tuples written to"
        " the table, and to base and bookkeeping.\nFloor: COPY of a prepared CSV and one guarded MERGE. Ours"
        " includes decoding the JSON, plan, guard, base and before-images.",
        style="dim",
    )


def _cells(figure: Figure, *, peer: bool) -> list[str]:
    def middle(samples: list[Sample], name: str) -> float:
        return median(getattr(sample, name) for sample in samples)

    floor, ours = figure.floor, figure.ours
    return [
        f"{figure.rows:,}",
        figure.workload.name,
        f"{middle(floor, 'seconds'):.2f}",
        f"{middle(ours, 'seconds'):.2f}",
        *([f"{middle(figure.peer, 'seconds'):.1f}" if figure.peer else ""] if peer else []),
        f"{figure.ratio:.2f}",
        figure.verdict,
        f"{middle(ours, 'cpu'):.1f}",
        f"{figure.peak:.0f}",
        f"{middle(floor, 'wal') / MEGA:,.0f} / {middle(ours, 'wal') / MEGA:,.0f}",
        f"{middle(ours, 'target'):,.0f}",
        f"{middle(ours, 'books'):,.0f}",
    ]
