"""The accounting identity: every record read ends in exactly one count."""

import dataclasses
from dataclasses import dataclass

from sync_pipeline.errors import Imbalance


@dataclass
class Counts:
    """The terms of the identity for one entity in one run.

    A record counts once, in the first that applies: rejected, duplicates, parked, owned_elsewhere,
    deleted_locally, conflicted, inserted, updated, unchanged.
    """

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    conflicted: int = 0
    owned_elsewhere: int = 0
    deleted_locally: int = 0
    parked: int = 0
    rejected: int = 0
    duplicates: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts by name, in the order of the identity."""
        return dataclasses.asdict(self)

    @property
    def accounted(self) -> int:
        """The sum of all terms but `read`."""
        return sum(self.as_dict().values()) - self.read

    def check(self, what: str) -> None:
        """Check the identity.

        Raises:
            Imbalance: naming the terms.
        """
        if self.read == self.accounted:
            return
        terms = " + ".join(f"{n} {name}" for name, n in self.as_dict().items() if name != "read")
        raise Imbalance(
            f"{what}: read {self.read} records but accounted for {self.accounted} ({terms}). Nothing was "
            "written. This is a defect of the merge, or a trigger on the table swallows rows."
        )
