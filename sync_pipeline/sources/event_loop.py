"""Asynchronous work for synchronous callers: an event loop in a thread, and streams out of it.

Dagster's assets are synchronous; sources are read concurrently.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Generic, Self, TypeVar, cast

import anyio
import anyio.from_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

T = TypeVar("T")

Emit = Callable[[T], Awaitable[None]]
"""Hands one item to the consumer; waits while the buffer is full."""


class EventLoopThread:
    """An event loop in a thread of its own, from `__enter__` to `close`.

    Args:
        name: of the thread.
        resource: entered when the loop starts and left before it ends.

    Attributes:
        streams: open streams, closed when the loop ends.
    """

    def __init__(self, name: str, resource: AbstractAsyncContextManager[object]) -> None:
        self._name = name
        self._resource = resource
        self._stack = ExitStack()
        self._portal: anyio.from_thread.BlockingPortal | None = None
        self.streams: set[Stream] = set()

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

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel pending work and end the thread; harmless when closed."""
        for stream in list(self.streams):
            stream.close()
        self._portal = None
        self._stack.close()

    @property
    def portal(self) -> anyio.from_thread.BlockingPortal:
        """Submits calls to the loop.

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


class Stream(Generic[T]):
    """A synchronous iterator over the items that a coroutine emits in the background.

    The work begins with the first item requested. An error of the coroutine is raised after the items
    that preceded it. A stream that was closed early, or has failed, raises instead of stopping: its
    items must never be taken for the whole.
    """

    def __init__(
        self,
        event_loop: EventLoopThread,
        produce: Callable[[Emit[T]], Awaitable[None]],
        *,
        buffer: int,
    ) -> None:
        self._event_loop = event_loop
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
            return self._event_loop.portal.call(receive.receive)
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
            self._event_loop.streams.discard(self)

    def _start(self) -> MemoryObjectReceiveStream[T]:
        portal = self._event_loop.portal
        send, self._receive = anyio.create_memory_object_stream[T](self._buffer)
        self._work = portal.start_task_soon(self._run, send)
        self._event_loop.streams.add(self)
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


async def gather(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Make calls concurrently; their results, in the order of the calls.

    The first error cancels the others and is raised as it is, not inside an exception group, because
    callers catch errors by type.
    """
    pending = list(calls)
    results: list[T | None] = [None] * len(pending)

    async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
        results[index] = await call()

    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            for index, call in enumerate(pending):
                group.start_soon(run, index, call)
    except ExceptionGroup as failures:
        failure = _first(failures)
    if failure is not None:
        raise failure
    return cast("list[T]", results)


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error
