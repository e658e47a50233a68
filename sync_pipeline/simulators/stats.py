"""Statistics of a simulator: counts for reports, and the last calls for tests."""

from collections import Counter, deque
from dataclasses import dataclass
from threading import Lock
from typing import Any

from sync_pipeline.simulators.faults import Call

RECENT_CALLS = 20_000


@dataclass(slots=True)
class RecordedCall:
    """One call and how it ended: a status code, or the kind of fault that left it without one."""

    call: Call
    outcome: str | None = None


class Stats:
    """Counts since the start or the last reset; safe to read from any thread.

    Attributes:
        total: calls that arrived, whatever their outcome.
        by_type: calls by object type.
        by_path: calls by method and path, with ids written as `{id}`.
        by_status: calls by status code, or by fault where no status was sent.
        bytes: bytes of bodies sent.
        max_concurrent: most calls that were under way at once.
        recent: the last calls in the order of their arrival.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._concurrent = 0
        self._clear()

    def _clear(self) -> None:
        self.total = 0
        self.by_type: Counter[str] = Counter()
        self.by_path: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()
        self.bytes = 0
        self.max_concurrent = self._concurrent
        self.recent: deque[RecordedCall] = deque(maxlen=RECENT_CALLS)

    def reset(self) -> None:
        """Start counting anew; calls under way still count as concurrent."""
        with self._lock:
            self._clear()

    def arrived(self, call: Call) -> RecordedCall:
        """Count a call, and return its entry for `answered`, `sent` and `left`."""
        entry = RecordedCall(call)
        with self._lock:
            self.total += 1
            self.by_path[f"{call.method} {call.route}"] += 1
            if call.type is not None:
                self.by_type[call.type] += 1
            self.recent.append(entry)
            self._concurrent += 1
            self.max_concurrent = max(self.max_concurrent, self._concurrent)
        return entry

    def answered(self, entry: RecordedCall, outcome: str) -> None:
        """Record how a call ended; the first outcome counts."""
        with self._lock:
            if entry.outcome is None:
                entry.outcome = outcome
                self.by_status[outcome] += 1

    def sent(self, size: int) -> None:
        """Count bytes of a body."""
        with self._lock:
            self.bytes += size

    def left(self) -> None:
        """A call is over."""
        with self._lock:
            self._concurrent -= 1

    def as_dict(self) -> dict[str, Any]:
        """The counts, ready for JSON."""
        with self._lock:
            return {
                "total": self.total,
                "by_type": dict(self.by_type),
                "by_path": dict(self.by_path),
                "by_status": dict(self.by_status),
                "bytes": self.bytes,
                "max_concurrent": self.max_concurrent,
            }
