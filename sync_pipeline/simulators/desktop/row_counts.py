"""How many rows a practice has. Only the tables that grow with it follow its scale."""

from dataclasses import dataclass
from typing import Self

SEED = 1


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows on the desktop.

    Attributes:
        clients: in climaster.
        jobs: in jobshead.
        tasks: in jobtasks.
        checklists: in taskchecklist.
    """

    clients: int
    jobs: int
    tasks: int
    checklists: int

    @classmethod
    def at(cls, scale: float) -> Self:
        """The counts at a scale, 1 being the real practice; never too small for the planted data defects."""
        return cls(
            clients=max(round(729 * scale), 15),
            jobs=max(round(24_568 * scale), 80),
            tasks=max(round(64_542 * scale), 80),
            checklists=max(round(2_894 * scale), 20),
        )
