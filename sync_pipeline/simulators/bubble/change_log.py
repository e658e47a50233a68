"""The log of changes to the app's data, for tests that compare it with what was read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sync_pipeline.simulators.bubble.catalogue.types import type_name

Action = Literal["created", "modified", "deleted"]
Origin = Literal["api", "editor", "reading"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change to one thing.

    Attributes:
        at: when, as Bubble writes it.
        type: the type in URLs.
        uid: the thing.
        action: what happened to it.
        origin: a call of the API, an action in the editor, or an edit between pages.
    """

    at: str
    type: str
    uid: str
    action: Action
    origin: Origin


class ChangeLog:
    """All changes in their order."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def __iter__(self) -> Iterator[Change]:
        return iter(list(self._changes))

    def __len__(self) -> int:
        return len(self._changes)

    def append(self, change: Change) -> None:
        """Append a change."""
        self._changes.append(change)

    def ids(
        self, action: Action, kind: str | None = None, *, origin: Origin | None = None
    ) -> set[str]:
        """The things to which this happened, of one type or of all."""
        type_ = None if kind is None else type_name(kind)
        return {
            change.uid
            for change in list(self._changes)
            if change.action == action
            and type_ in (None, change.type)
            and origin in (None, change.origin)
        }
