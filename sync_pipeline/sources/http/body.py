"""Receiving the body of a response: whole, only its beginning, or into a file."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import BinaryIO

import anyio
import httpx2

from sync_pipeline.sources.http.retry import Retries, RetryPolicy

PROGRESS_BYTES = 64 * 1024
"""Bytes that count as progress."""

Receive = Callable[[httpx2.Response, anyio.CancelScope], Awaitable[tuple[bytes, int]]]
"""Receives a body within a scope whose deadline it may move; returns its content and decoded size."""


async def receive_whole(response: httpx2.Response, _: anyio.CancelScope) -> tuple[bytes, int]:
    """The body in memory."""
    content = await response.aread()
    return content, len(content)


async def receive_beginning(response: httpx2.Response, _: anyio.CancelScope) -> tuple[bytes, int]:
    """The first bytes that arrive, after which the connection is closed; none if there is no body."""
    async with aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            return chunk, len(chunk)
    return b"", 0


class Download:
    """Receives a body into a file; each attempt overwrites the one before.

    The time budget of the call restarts when more has been received than ever before, and that of an attempt
    with every `PROGRESS_BYTES` bytes.
    """

    def __init__(self, into: BinaryIO, retries: Retries, retry_policy: RetryPolicy) -> None:
        self._into = into
        self._retries = retries
        self._seconds = retry_policy.time_budget.total_seconds()
        self._furthest = 0

    async def receive(
        self, response: httpx2.Response, scope: anyio.CancelScope
    ) -> tuple[bytes, int]:
        """One attempt."""
        self._into.seek(0)
        self._into.truncate()
        size = 0
        async with aclosing(response.aiter_bytes(PROGRESS_BYTES)) as chunks:
            async for chunk in chunks:
                self._into.write(chunk)
                size += len(chunk)
                scope.deadline = anyio.current_time() + self._seconds
                if size > self._furthest:
                    self._furthest = size
                    self._retries.progress()
        self._into.seek(0)
        return b"", size
