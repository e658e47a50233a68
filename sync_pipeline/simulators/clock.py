"""The clock of a simulator.

A clock is any function without arguments that returns an aware UTC datetime. Simulators take one,
so that a test can stop time or advance it without waiting.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class ManualClock:
    """A clock that moves only by `advance`."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """The current time."""
        return self._now

    def advance(self, **by: float) -> datetime:
        """Move forward by the parts of a `timedelta`, such as `advance(minutes=5)`."""
        self._now += timedelta(**by)
        return self._now
