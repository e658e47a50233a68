"""The time that a simulator believes in.

A clock is any function without arguments that returns an aware UTC datetime. Simulators take one,
so that a test can hold time still or let a minute pass without waiting for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """The time at which it was left."""
        return self._now

    def advance(self, **by: float) -> datetime:
        """Move forward by the parts of a `timedelta`, such as `advance(minutes=5)`."""
        self._now += timedelta(**by)
        return self._now
