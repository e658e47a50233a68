"""ASGI middleware of every simulator: statistics, latency, rate limit and faults.

It depends on no protocol: a `classify` function turns a request into a `Call`.
"""

import asyncio
import math
from collections.abc import Callable
from email.utils import format_datetime

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sync_pipeline.simulators import fault_effects
from sync_pipeline.simulators.clock import Clock
from sync_pipeline.simulators.faults import CONTENT_KINDS, Call, Fault, Faults
from sync_pipeline.simulators.options import SimulatorOptions
from sync_pipeline.simulators.rate_limit import SlidingWindow
from sync_pipeline.simulators.seeded_random import seeded_random
from sync_pipeline.simulators.stats import RecordedCall, Stats

ADMIN_PREFIX = "/_simulator"


def content_fault(scope: Scope) -> Fault | None:
    """The content fault that the app must apply to its response, if one is armed for this call."""
    return scope["state"].get("fault")


class SimulatorMiddleware:
    """Wraps the protocol's app; paths below `ADMIN_PREFIX` are neither counted nor disturbed."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        options: SimulatorOptions,
        faults: Faults,
        stats: Stats,
        clock: Clock,
        classify: Callable[[Scope], Call],
    ) -> None:
        self._app = app
        self._options = options
        self._faults = faults
        self._stats = stats
        self._clock = clock
        self._classify = classify
        self._window = SlidingWindow()
        self._jitter = seeded_random("jitter")

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

    def _observed(self, entry: RecordedCall, send: Send) -> Send:
        # Counted before it is sent, so that a client that has the response finds it in the statistics.
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
        self, call: Call, entry: RecordedCall, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if _url_length(scope) > self._options.url_limit:
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
        await fault_effects.apply_fault(fault, self._app, scope, receive, send)

    def _wait(self) -> float:
        calls = self._options.rate_limit_per_minute
        if calls is None:
            return 0.0
        window_s = self._options.rate_limit_window_s
        return self._window.wait(self._clock(), calls=calls, window_s=window_s)

    def _too_many(self, wait: float) -> ASGIApp:
        retry_after = {"Retry-After": str(math.ceil(wait))}
        headers = retry_after if self._options.rate_limit_retry_after else None
        body = self._options.rate_limit_body
        return fault_effects.error_page(429, body, headers=headers)

    async def _delay(self) -> None:
        jitter_ms = self._options.jitter_ms * self._jitter.random()
        if delay_ms := self._options.latency_ms + jitter_ms:
            await asyncio.sleep(delay_ms / 1000)


def _url_length(scope: Scope) -> int:
    query: bytes = scope["query_string"]
    return len(scope["raw_path"]) + len(query) + bool(query)
