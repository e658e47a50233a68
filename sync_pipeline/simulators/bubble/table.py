"""The things of one type: those that are read by id, and those that a search finds.

The two differ for as long as the search index lags. Two sorted indexes, by creation and by
modification, make the searches of a sync fast; they hold only what a search finds.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from sync_pipeline.simulators.bubble.constraints import Constraint
from sync_pipeline.simulators.bubble.schema import Record, TypeSchema

INDEXED = ("Created Date", "Modified Date")
# Sorts after every id, so that a pair with it comes after all pairs of the same instant.
_AFTER_ALL_IDS = "~"


class Thing:
    """One version of a record; a change makes another thing, so versions can be kept and shared."""

    __slots__ = ("_rendered", "_rendered_for", "record", "uid")

    def __init__(self, record: Record) -> None:
        self.uid: str = record["_id"]
        self.record = record
        self._rendered: bytes = b""
        self._rendered_for: tuple[int, bool] | None = None

    def rendered(self, schema: TypeSchema, *, yes_no_always: bool) -> bytes:
        """The record as JSON, kept until the type's fields change."""
        rendered_for = (schema.revision, yes_no_always)
        if self._rendered_for != rendered_for:
            shown = schema.render(self.record, yes_no_always=yes_no_always)
            self._rendered, self._rendered_for = orjson.dumps(shown), rendered_for
        return self._rendered


@dataclass(frozen=True, slots=True)
class _Pending:
    due: float
    uid: str
    thing: Thing | None


class Table:
    """The things of one type.

    Attributes:
        revision: grows with every change to what a search finds.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._current = {record["_id"]: Thing(record) for record in records}
        self._found = dict(self._current)
        self._pending: deque[_Pending] = deque()
        self._indexes = {
            name: sorted((thing.record[name], thing.uid) for thing in self._found.values())
            for name in INDEXED
        }
        self.revision = 0

    def __len__(self) -> int:
        return len(self._current)

    def get(self, uid: str) -> Thing | None:
        """The thing as it is now."""
        return self._current.get(uid)

    def ids(self) -> list[str]:
        """The ids of all things there are now."""
        return list(self._current)

    def write(self, uid: str, record: Record | None, *, due: float, now: float) -> None:
        """Set a thing, or remove it with None; a search sees that once `due` has come."""
        thing = None if record is None else Thing(record)
        if thing is None:
            del self._current[uid]
        else:
            self._current[uid] = thing
        self._pending.append(_Pending(due, uid, thing))
        self.apply_due(now)

    def apply_due(self, now: float) -> None:
        """Apply the pending writes that are due to what a search finds, in their order."""
        while self._pending and self._pending[0].due <= now:
            write = self._pending.popleft()
            self._show(write.uid, write.thing)

    def find(self, uids: Iterable[str]) -> list[Thing]:
        """The things with these ids that a search can find."""
        found = self._found
        return [found[uid] for uid in uids if uid in found]

    def between(
        self, constraints: list[Constraint], *, preferred: str | None
    ) -> tuple[str, list[Thing]]:
        """The name of an index and the things in its order, narrowed by the constraints on it.

        Of the two indexes, the one that leaves fewer things, or else the preferred one.
        """
        names = sorted(INDEXED, key=lambda name: name != preferred)
        spans = {name: self._span(name, constraints) for name in names}
        name = min(spans, key=lambda candidate: spans[candidate][1] - spans[candidate][0])
        low, high = spans[name]
        found = self._found
        return name, [found[uid] for _, uid in self._indexes[name][low:high]]

    def _span(self, name: str, constraints: list[Constraint]) -> tuple[int, int]:
        index = self._indexes[name]
        low, high = 0, len(index)
        for constraint in constraints:
            if constraint.field.stored == name and constraint.value is not None:
                if constraint.type == "greater than":
                    low = max(low, bisect_right(index, (constraint.value, _AFTER_ALL_IDS)))
                elif constraint.type == "less than":
                    high = min(high, bisect_left(index, (constraint.value, "")))
        return low, max(low, high)

    def _show(self, uid: str, thing: Thing | None) -> None:
        self.revision += 1
        old = self._found.pop(uid, None)
        for name, index in self._indexes.items():
            if old is not None:
                del index[bisect_left(index, (old.record[name], uid))]
            if thing is not None:
                insort(index, (thing.record[name], uid))
        if thing is not None:
            self._found[uid] = thing
