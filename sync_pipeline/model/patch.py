"""Patches: repairs of links that the source left incomplete, declared as data.

To the merge, a patched value is a local value: the source still delivers none, so the next sync leaves it
alone, and it is undone like any other write.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class _LinkPatch:
    """Fills an empty link of one entity by the rows of another."""

    name: str  # the patch's asset
    entity: str  # whose link is filled
    column: str  # the link
    other: str
    oldest: str  # column of `other` that decides between several of its rows: the first one wins
    description: str = ""

    @property
    def ends(self) -> tuple[str, str]:
        """The entities that must be synced first."""
        return (self.entity, self.other)


@dataclass(frozen=True, kw_only=True)
class BackLink(_LinkPatch):
    """Fill a link from the other side's list: a child names its parents, the parent lacks the child.

    Not found is counted; the same is left; empty is set; another value is a conflict and kept.
    """

    back: str  # column of `other`: the list that names rows of `entity`

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Entity and column of everything that the patch reads or writes."""
        return ((self.entity, self.column), (self.other, self.back), (self.other, self.oldest))


@dataclass(frozen=True, kw_only=True)
class CopyThrough(_LinkPatch):
    """Fill a link with what a related row holds: a child takes its parent's value.

    Of several candidates the oldest related row decides, and the tie is reported.
    """

    through: str  # column of `other` that points at `entity`
    take: str  # column of `other` whose value is taken
    after: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Entity and column of everything that the patch reads or writes."""
        others = (self.through, self.take, self.oldest)
        return ((self.entity, self.column), *((self.other, column) for column in others))


Patch = BackLink | CopyThrough
