"""A rate limit: so many calls per window of time."""

from collections import deque
from datetime import datetime, timedelta


class SlidingWindow:
    """Admits so many calls in any window; a refused call does not count."""

    def __init__(self) -> None:
        self._admitted: deque[datetime] = deque()

    def wait(self, now: datetime, *, calls: int, window_s: float) -> float:
        """Seconds until a call would be admitted; 0.0 admits and counts this one."""
        window = timedelta(seconds=window_s)
        while self._admitted and now - self._admitted[0] >= window:
            self._admitted.popleft()
        if len(self._admitted) < calls:
            self._admitted.append(now)
            return 0.0
        oldest = self._admitted[0] if self._admitted else now
        return (oldest + window - now).total_seconds()
