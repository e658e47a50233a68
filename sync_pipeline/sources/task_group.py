"""Running several asynchronous calls at once, where the first error ends them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, cast

import anyio

T = TypeVar("T")


async def gather(calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results, in the order of the calls.

    The first error cancels the others and is raised as it is, not inside an exception group: callers
    tell errors apart by how to recover from them.
    """
    pending = list(calls)
    results: list[T | None] = [None] * len(pending)

    async def run(place: int, call: Callable[[], Awaitable[T]]) -> None:
        results[place] = await call()

    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            for place, call in enumerate(pending):
                group.start_soon(run, place, call)
    except ExceptionGroup as failures:
        failure = _first(failures)
    if failure is not None:
        raise failure
    return cast("list[T]", results)


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error
