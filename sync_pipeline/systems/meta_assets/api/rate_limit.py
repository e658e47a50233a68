"""Adaptive rate limit: slows down by the usage that Graph reports with each response.

X-App-Usage has per cent of the app's limit, X-Business-Use-Case-Usage per cent of the account's limit and
the minutes until a used-up limit is reset.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import anyio
import orjson

from sync_pipeline.errors import SourceUnavailable
from sync_pipeline.systems.meta_assets.api.errors import ErrorKind, GraphCallFailed, GraphError

Sleep = Callable[[float], Awaitable[None]]

SLOW_FROM = 75
STOP_ABOVE = 95
MAX_DELAY = 5.0
"""Seconds before a call at a usage of `STOP_ABOVE`; the delay grows linearly from `SLOW_FROM`."""
DEFAULT_STOP = 30.0
"""Seconds to stop if Graph reports no time."""

_PER_CENT = ("call_count", "total_cputime", "total_time")


class RateLimit:
    """The rate limit of one token.

    Args:
        budget: seconds that it may stop in all for a limit that is nearly used up.
        sleep: how it waits; takes seconds.

    Attributes:
        per_cent: usage of the most used limit.
        reset_after: seconds until a used-up limit is reset; 0: unknown.
        waited: seconds waited so far.
    """

    def __init__(self, budget: float, sleep: Sleep = anyio.sleep) -> None:
        self.per_cent = 0.0
        self.reset_after = 0.0
        self.waited = 0.0
        self._budget = budget
        self._stopped = 0.0
        self._sleep = sleep
        self._lock = anyio.Lock()

    def observe(self, headers: Mapping[str, str]) -> None:
        """Read the usage from a response's headers, if they have it."""
        usages = [*_app(headers), *_business(headers)]
        if usages:
            self.per_cent = max(_number(u, name) for u in usages for name in _PER_CENT)
            minutes = max(_number(u, "estimated_time_to_regain_access") for u in usages)
            self.reset_after = 60 * minutes

    async def wait(self) -> None:
        """Delay the next call by the usage; calls wait one after the other.

        Raises:
            SourceUnavailable: the limit is nearly used up, and its reset is beyond the budget.
        """
        if self.per_cent < SLOW_FROM:
            return
        async with self._lock:
            if self.per_cent > STOP_ABOVE:
                await self._stop()
            elif self.per_cent >= SLOW_FROM:
                share = (self.per_cent - SLOW_FROM + 1) / (STOP_ABOVE - SLOW_FROM + 1)
                await self._delay(MAX_DELAY * share)

    async def _stop(self) -> None:
        wait = self.reset_after or DEFAULT_STOP
        if self._stopped + wait > self._budget:
            message = f"not asked, because more than {STOP_ABOVE} % of the rate limit is used"
            error = GraphError(429, message, ErrorKind.THROTTLED)
            raise SourceUnavailable(
                f"Meta: {self.per_cent:.0f} % of the rate limit is used, and {wait:.0f} s of waiting are"
                f" more than is left of the {self._budget:.0f} s of SYNC_SOURCE_OUTAGE."
                f" {ErrorKind.THROTTLED.value}"
            ) from GraphCallFailed(error)
        self._stopped += wait
        await self._delay(wait)
        # Unknown until the next response.
        self.per_cent = 0.0

    async def _delay(self, seconds: float) -> None:
        self.waited += seconds
        await self._sleep(seconds)


def _app(headers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    match _decoded(headers.get("x-app-usage")):
        case dict(usage):
            yield usage


def _business(headers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    match _decoded(headers.get("x-business-use-case-usage")):
        case dict(businesses):
            for cases in businesses.values():
                yield from (c for c in cases if isinstance(c, dict))


def _decoded(value: str | None) -> Any:
    try:
        return orjson.loads(value or "null")
    except orjson.JSONDecodeError:
        return None


def _number(usage: Mapping[str, Any], name: str) -> float:
    value = usage.get(name)
    return value if isinstance(value, (int, float)) else 0
