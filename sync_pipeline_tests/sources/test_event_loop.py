"""The bridge from synchronous code to an event loop in a thread."""

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest

from sync_pipeline.sources.event_loop import EventLoopThread

Emit = Callable[[int], Awaitable[None]]


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def event_loop(events: list[str]) -> Iterator[EventLoopThread]:
    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        events.append("opened")
        yield
        events.append("closed")

    with EventLoopThread("bridge", resource()) as event_loop:
        yield event_loop
    assert events[0] == "opened"
    assert events[-1] == "closed"
    assert "bridge" not in [thread.name for thread in threading.enumerate()]


async def count_to_three(emit: Emit) -> None:
    for number in (1, 2, 3):
        await emit(number)


def test_items_arrive_in_order(event_loop: EventLoopThread) -> None:
    stream = event_loop.stream(count_to_three, buffer=0)
    assert list(stream) == [1, 2, 3]
    assert list(stream) == []


def test_an_error_comes_after_the_items_before_it_and_is_not_followed_by_an_end(
    event_loop: EventLoopThread,
) -> None:
    async def fail(emit: Emit) -> None:
        await count_to_three(emit)
        raise LookupError("lost")

    stream = event_loop.stream(fail, buffer=10)
    assert [next(stream) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LookupError, match="lost"):
        next(stream)
    with pytest.raises(RuntimeError, match="closed before its end"):
        next(stream)


def test_the_producer_stays_a_bounded_number_of_items_ahead(
    event_loop: EventLoopThread, events: list[str]
) -> None:
    async def count(emit: Emit) -> None:
        for number in range(100):
            events.append("made")
            await emit(number)

    stream = event_loop.stream(count, buffer=3)
    next(stream)
    time.sleep(0.1)
    assert events.count("made") <= 6
    stream.close()


def test_closing_cancels_the_producer_and_waits_for_it(
    event_loop: EventLoopThread, events: list[str]
) -> None:
    async def linger(emit: Emit) -> None:
        try:
            await emit(1)
            await anyio.sleep(60)
        finally:
            events.append("cancelled")

    stream = event_loop.stream(linger, buffer=1)
    assert next(stream) == 1
    stream.close()
    stream.close()
    assert events[-1] == "cancelled"


def test_leaving_the_background_closes_streams_that_block_on_a_full_buffer() -> None:
    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    with EventLoopThread("bridge", nothing()) as event_loop:
        stream = event_loop.stream(count_to_three, buffer=0)
        next(stream)
    with pytest.raises(RuntimeError, match="closed before its end"):
        next(stream)


def test_a_resource_that_cannot_be_opened_leaves_no_thread() -> None:
    @asynccontextmanager
    async def unopenable() -> AsyncIterator[None]:
        raise LookupError("no key")
        yield

    event_loop = EventLoopThread("bridge", unopenable())
    with pytest.raises(LookupError, match="no key"):
        event_loop.__enter__()
    assert "bridge" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(RuntimeError, match="is not open"):
        _ = event_loop.portal


def test_a_background_is_not_opened_twice(event_loop: EventLoopThread) -> None:
    with pytest.raises(RuntimeError, match="open already"):
        event_loop.__enter__()
