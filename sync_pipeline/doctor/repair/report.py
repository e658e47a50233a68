"""What a repair did, in plain words."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from sync_pipeline.merge.schema.adopt import MigrationNote

Kind = Literal["repaired", "kept"]


@dataclass
class Report:
    """What was done to one table, or would be in a dry run.

    Attributes:
        table: schema and name.
        entries: each thing that was done (`repaired`) or left (`kept`), with its reason.
        repair_id: what `restore` takes; None when nothing was written.
        removed: rows merged into others.
        filled: rows of which a null was filled, survivors of a merge included.
        repointed: rows of other tables that now refer to a survivor.
        left: rows that `restore` could not put back.
    """

    table: str
    entries: list[tuple[Kind, str]] = field(default_factory=list)
    repair_id: UUID | None = None
    removed: int = 0
    filled: int = 0
    repointed: int = 0
    left: int = 0

    @property
    def lines(self) -> list[str]:
        """One sentence for each entry."""
        return [text for _, text in self.entries]

    @property
    def notes(self) -> list[MigrationNote]:
        """The entries as a migration reports them."""
        return [MigrationNote(kind, self.table, text) for kind, text in self.entries]

    @property
    def changed(self) -> bool:
        """Whether anything was done, or would be."""
        return any(kind == "repaired" for kind, _ in self.entries)

    def add_repaired(self, text: str) -> None:
        """Something that was done."""
        self.entries.append(("repaired", text))

    def add_kept(self, text: str) -> None:
        """Something that was left as it is."""
        self.entries.append(("kept", text))


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: 1 row, 1,120 rows."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Iterable[str]) -> str:
    """Columns in brackets."""
    return f"({', '.join(names)})"
