"""How much of the rate limit is used, as Graph tells with each reply, and going slower by it.

X-App-Usage has per cent of the app's limit, X-Business-Use-Case-Usage those of the account's, and
the minutes until a used-up limit may be used again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import anyio
import orjson

from sync_pipeline.errors import SourceUnavailable
from sync_pipeline.systems.meta_assets.api.errors import ErrorKind, GraphCallFailed, GraphError

Sleep = Callable[[float], Awaitable[None]]

SLOW_FROM = 75
STOP_ABOVE = 95
MOST_SLOW = 5.0
"""Seconds before a call when usage is at `STOP_ABOVE`; from `SLOW_FROM` on the wait grows up to that."""
BLIND = 30.0
"""Seconds to stop for where Graph does not say how long."""

_PER_CENT = ("call_count", "total_cputime", "total_time")


class Usage:
    """The usage that one token has met with, and the waits that follow from it.

    Args:
        budget: seconds that it may wait in all for a limit that is nearly used up.
        sleep: how it waits; takes seconds.

    Attributes:
        per_cent: of the limit that is used most.
        regain: seconds until a used-up limit may be used again; 0: not told.
        waited: seconds waited so far.
    """

    def __init__(self, budget: float, sleep: Sleep = anyio.sleep) -> None:
        self.per_cent = 0.0
        self.regain = 0.0
        self.waited = 0.0
        self._budget = budget
        self._stopped = 0.0
        self._sleep = sleep
        self._turn = anyio.Lock()

    def observe(self, headers: Mapping[str, str]) -> None:
        """Take note of a reply's headers; one without them says nothing."""
        told = [*_app(headers), *_business(headers)]
        if told:
            self.per_cent = max(_number(t, name) for t in told for name in _PER_CENT)
            minutes = max(_number(t, "estimated_time_to_regain_access") for t in told)
            self.regain = 60 * minutes

    async def ready(self) -> None:
        """Wait for as long as the usage demands before the next call; calls wait one after the other.

        Raises:
            SourceUnavailable: the limit is nearly used up for longer than the budget.
        """
        if self.per_cent < SLOW_FROM:
            return
        async with self._turn:
            if self.per_cent > STOP_ABOVE:
                await self._stop()
            elif self.per_cent >= SLOW_FROM:
                share = (self.per_cent - SLOW_FROM + 1) / (STOP_ABOVE - SLOW_FROM + 1)
                await self._wait(MOST_SLOW * share)

    async def _stop(self) -> None:
        wait = self.regain or BLIND
        if self._stopped + wait > self._budget:
            words = f"not asked, because more than {STOP_ABOVE} % of the rate limit is used"
            complaint = GraphError(429, words, ErrorKind.THROTTLED)
            raise SourceUnavailable(
                f"Meta: {self.per_cent:.0f} % of the rate limit is used, and {wait:.0f} s of waiting are"
                f" more than is left of the {self._budget:.0f} s of SYNC_SOURCE_OUTAGE."
                f" {ErrorKind.THROTTLED.value}"
            ) from GraphCallFailed(complaint)
        self._stopped += wait
        await self._wait(wait)
        # Only another reply can tell how it is now.
        self.per_cent = 0.0

    async def _wait(self, seconds: float) -> None:
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
