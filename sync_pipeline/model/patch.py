"""Patches: repairs of links that the source left incomplete, declared as data.

To the merge, a patched value is a local value: the source still delivers none, so the next sync leaves it
alone, and it is undone like any other write.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class BackLink:
    """Fill a link from the other side's list: a child names its parents, the parent lacks the child.

    Not found is counted; the same is left; empty is set; another value is a conflict and kept.

    Attributes:
        name: the patch's asset.
        entity: whose link is restored.
        column: the link.
        other: the entity whose list names rows of `entity`.
        back: that list's column.
        oldest: column of `other` that orders rows which claim the same row; the first one wins.
    """

    name: str
    entity: str
    column: str
    other: str
    back: str
    oldest: str
    description: str = ""

    @property
    def ends(self) -> tuple[str, ...]:
        """The entities that must be synced first."""
        return (self.entity, self.other)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Entity and column of everything that the patch reads or writes."""
        return ((self.entity, self.column), (self.other, self.back), (self.other, self.oldest))


@dataclass(frozen=True)
class CopyThrough:
    """Fill a link with what a related row holds: a child takes its parent's value.

    Of several candidates the oldest related row decides, and the tie is reported.

    Attributes:
        name: the patch's asset.
        entity: whose empty link is filled.
        column: the link.
        other: the related entity.
        through: its column that points at `entity`.
        take: its column whose value is taken.
        oldest: its column that decides between several.
    """

    name: str
    entity: str
    column: str
    other: str
    through: str
    take: str
    oldest: str
    after: tuple[str, ...] = ()
    description: str = ""

    @property
    def ends(self) -> tuple[str, ...]:
        """The entities that must be synced first."""
        return (self.entity, self.other)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Entity and column of everything that the patch reads or writes."""
        others = (self.through, self.take, self.oldest)
        return ((self.entity, self.column), *((self.other, column) for column in others))


Patch = BackLink | CopyThrough
