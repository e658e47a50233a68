"""Asynchronous work for synchronous callers: an event loop in a thread, and streams out of it.

Dagster's assets are synchronous and our sources are read concurrently; this is the bridge. It
knows nothing of HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, ExitStack
from types import TracebackType
from typing import Generic, Self, TypeVar

import anyio
import anyio.from_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

T = TypeVar("T")

Emit = Callable[[T], Awaitable[None]]
"""Hands one item to the consumer; waits while the buffer is full."""


class Background:
    """An event loop in a thread of its own, from `__enter__` to `close`.

    Args:
        name: of the thread.
        resource: entered when the loop starts and left before it ends.
    """

    def __init__(self, name: str, resource: AbstractAsyncContextManager[object]) -> None:
        self._name = name
        self._resource = resource
        self._stack = ExitStack()
        self._portal: anyio.from_thread.BlockingPortal | None = None
        self._streams: set[Stream] = set()

    def __enter__(self) -> Self:
        if self._portal is not None:
            raise RuntimeError(f"{self._name} is open already")
        with ExitStack() as stack:
            thread = anyio.from_thread.start_blocking_portal(name=self._name)
            portal = stack.enter_context(thread)
            stack.enter_context(portal.wrap_async_context_manager(self._resource))
            self._stack = stack.pop_all()
        self._portal = portal
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is under way and end the thread; harmless when closed."""
        for stream in list(self._streams):
            stream.close()
        self._portal = None
        self._stack.close()

    @property
    def portal(self) -> anyio.from_thread.BlockingPortal:
        """The way into the loop.

        Raises:
            RuntimeError: the loop is not running.
        """
        if self._portal is None:
            raise RuntimeError(f"{self._name} is not open; use it in a with statement")
        return self._portal

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run to the end; an interrupt of the waiting thread cancels the work."""
        future = self.portal.start_task_soon(function)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stream(self, produce: Callable[[Emit[T]], Awaitable[None]], *, buffer: int) -> Stream[T]:
        """Iterate over what `produce` emits, while it stays at most `buffer` items ahead."""
        return Stream(self, produce, buffer=buffer)

    def opened(self, stream: Stream) -> None:
        """Note a stream that has to be closed."""
        self._streams.add(stream)

    def closed(self, stream: Stream) -> None:
        """Forget it again."""
        self._streams.discard(stream)


class Stream(Generic[T]):
    """A synchronous iterator over the items that a coroutine emits in the background.

    The work begins with the first item asked for. An error of the coroutine comes out after the
    items that preceded it. A stream that was closed early, or has failed, raises rather than stops:
    what it gave must never be taken for all there was.
    """

    def __init__(
        self,
        background: Background,
        produce: Callable[[Emit[T]], Awaitable[None]],
        *,
        buffer: int,
    ) -> None:
        self._background = background
        self._produce = produce
        self._buffer = buffer
        self._receive: MemoryObjectReceiveStream[T] | None = None
        self._work: Future[None] | None = None
        self._work_ended = threading.Event()
        self._exhausted = False
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._exhausted:
            raise StopIteration
        if self._closed:
            raise RuntimeError("this stream was closed before its end")
        receive = self._receive or self._start()
        try:
            return self._background.portal.call(receive.receive)
        except anyio.EndOfStream:
            pass
        except BaseException:
            self.close()
            raise
        self._finish()
        raise StopIteration

    def close(self) -> None:
        """Cancel the work and wait until it is over; harmless when it is."""
        self._closed = True
        if self._work is not None and self._receive is not None:
            self._work.cancel()
            self._work_ended.wait()
            self._receive.close()
            self._background.closed(self)

    def _start(self) -> MemoryObjectReceiveStream[T]:
        portal = self._background.portal
        send, self._receive = anyio.create_memory_object_stream[T](self._buffer)
        self._work = portal.start_task_soon(self._run, send)
        self._background.opened(self)
        return self._receive

    async def _run(self, send: MemoryObjectSendStream[T]) -> None:
        try:
            async with send:
                await self._produce(send.send)
        finally:
            self._work_ended.set()

    def _finish(self) -> None:
        try:
            if self._work is not None:
                self._work.result()
            self._exhausted = True
        finally:
            self.close()
