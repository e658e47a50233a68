"""What every call to a simulator passes first: counting, latency, limits and faults.

The gate knows HTTP and switches, and no protocol: the app behind it answers, and a `classify`
function says what a call is about.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from email.utils import format_datetime

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_pipeline.simulators import fault_effects
from sync_pipeline.simulators.clock import Clock
from sync_pipeline.simulators.faults import CONTENT_KINDS, Call, Fault, Faults
from sync_pipeline.simulators.options import Switches
from sync_pipeline.simulators.rate_limit import SlidingWindow
from sync_pipeline.simulators.seeded_random import dice
from sync_pipeline.simulators.stats import Answered, Stats

ADMIN_PREFIX = "/_simulator"


def fault_of(scope: Scope) -> Fault | None:
    """The content fault that the app has to play in its answer, if one was armed for this call."""
    return scope["state"].get("fault")


class Gate:
    """An ASGI app around another; paths below `ADMIN_PREFIX` pass uncounted and unharmed."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        switches: Switches,
        faults: Faults,
        stats: Stats,
        clock: Clock,
        classify: Callable[[Scope], Call],
    ) -> None:
        self._app = app
        self._switches = switches
        self._faults = faults
        self._stats = stats
        self._clock = clock
        self._classify = classify
        self._window = SlidingWindow()
        self._jitter = dice("jitter")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["path"].startswith(ADMIN_PREFIX):
            await self._app(scope, receive, send)
            return
        call = self._classify(scope)
        entry = self._stats.arrived(call)
        try:
            await self._answer(call, entry, scope, receive, self._observed(entry, send))
        finally:
            self._stats.left()

    def _observed(self, entry: Answered, send: Send) -> Send:
        # Noted before it is sent: whoever has the reply finds it counted.
        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._stats.answered(entry, str(message["status"]))
                date = format_datetime(self._clock(), usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            else:
                self._stats.sent(len(message.get("body", b"")))
            await send(message)

        return observed

    async def _answer(
        self, call: Call, entry: Answered, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if _url_length(scope) > self._switches.url_limit:
            await PlainTextResponse("URI Too Long", 414)(scope, receive, send)
            return
        if wait := self._wait():
            await self._too_many(wait)(scope, receive, send)
            return
        await self._delay()
        fault = self._faults.pick(call)
        if fault is None or fault.kind in CONTENT_KINDS:
            scope["state"]["fault"] = fault
            await self._app(scope, receive, send)
            return
        if fault.kind == "reset":
            self._stats.answered(entry, "reset")
        await fault_effects.play(fault, self._app, scope, receive, send)

    def _wait(self) -> float:
        calls = self._switches.rate_limit_per_minute
        if calls is None:
            return 0.0
        window_s = self._switches.rate_limit_window_s
        return self._window.wait(self._clock(), calls=calls, window_s=window_s)

    def _too_many(self, wait: float) -> ASGIApp:
        headers = {"Retry-After": str(math.ceil(wait))}
        told = self._switches.rate_limit_retry_after
        body = self._switches.rate_limit_body
        return fault_effects.error_page(429, body, headers=headers if told else None)

    async def _delay(self) -> None:
        jitter_ms = self._switches.jitter_ms * self._jitter.random()
        if delay_ms := self._switches.latency_ms + jitter_ms:
            await asyncio.sleep(delay_ms / 1000)


def _url_length(scope: Scope) -> int:
    query: bytes = scope["query_string"]
    return len(scope["raw_path"]) + len(query) + bool(query)
