"""Bodies too large for memory or for a time budget, from a server of a given speed."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from sync_pipeline.errors import SourceBroken, SourceRefused, SourceUnavailable
from sync_pipeline.simulators.server import BackgroundServer, transport_of
from sync_pipeline.sources.http.body import receive_beginning
from sync_pipeline.sources.http.retry import InvalidResponse
from sync_pipeline.sources.http.transport import HttpTransport, Response
from sync_pipeline_tests.fixtures.fast_retries import QUICK

T = TypeVar("T")

CHUNK = 64 * 1024
HALF_SECOND = replace(QUICK, time_budget=timedelta(seconds=0.5))


@dataclass
class SlowLine:
    """Answers with so many chunks of a size, at intervals; each attempt may end early.

    Attributes:
        chunks: that a whole body has.
        size: of each, in bytes.
        every_s: the time between two.
        ends: how many chunks the first attempts get before the connection closes.
        status: of all replies.
    """

    chunks: int = 8
    size: int = CHUNK
    every_s: float = 0.0
    ends: tuple[int, ...] = ()
    status: int = 200
    attempts: int = 0
    sent: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        attempt, self.attempts = self.attempts, self.attempts + 1
        end = self.ends[attempt] if attempt < len(self.ends) else self.chunks
        length = str(self.chunks * self.size).encode()
        headers = [(b"content-length", length), (b"x-made", b"today")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for number in range(end):
            await asyncio.sleep(self.every_s)
            body = bytes([97 + attempt + number]) * self.size
            await send({"type": "http.response.body", "body": body, "more_body": True})
            self.sent += self.size
        if end < self.chunks:
            transport_of(scope).close()
            return
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def serving(line: SlowLine) -> Iterator[str]:
    server = BackgroundServer(line)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def with_line(line: SlowLine, work: Callable[[HttpTransport], Awaitable[T]]) -> T:
    async def run(url: str) -> T:
        async with HttpTransport(
            "Source",
            url,
            headers={},
            remedy=lambda status, path: f"Check {status} at {path}.",
            retry_policy=HALF_SECOND,
            requests_per_minute=1e6,
            concurrency=1,
        ) as transport:
            return await work(transport)

    with serving(line) as url:
        return anyio.run(run, url)


def downloaded(line: SlowLine, read: Callable[[Response], Any] = lambda reply: reply.size) -> bytes:
    file = io.BytesIO(b"longer than any body" * CHUNK)

    async def work(transport: HttpTransport) -> None:
        size = await transport.download("big", into=file, read=read)
        assert size in {len(file.getvalue()), None}
        assert file.tell() == 0

    with_line(line, work)
    return file.getvalue()


def test_a_body_may_take_longer_than_the_budget_as_long_as_it_keeps_coming():
    slow = SlowLine(chunks=8, every_s=0.1)
    body = downloaded(slow)
    assert (len(body), slow.attempts) == (8 * CHUNK, 1)
    with pytest.raises(SourceUnavailable, match="no answer in time"):
        with_line(
            SlowLine(chunks=8, every_s=0.1),
            lambda transport: transport.get("big", read=lambda reply: reply.size),
        )


def test_a_trickle_is_no_progress():
    with pytest.raises(SourceUnavailable, match="no answer in time"):
        downloaded(SlowLine(chunks=1_000, size=100, every_s=0.05))


def test_a_body_that_is_cut_short_is_read_again_from_its_beginning():
    line = SlowLine(chunks=4, ends=(3, 1))
    body = downloaded(line)
    assert line.attempts == 3
    assert body == b"".join(bytes([99 + number]) * CHUNK for number in range(4))


def test_each_attempt_that_comes_further_has_the_whole_budget_again():
    line = SlowLine(chunks=5, every_s=0.1, ends=(2, 3))
    assert len(downloaded(line)) == 5 * CHUNK
    assert line.attempts == 3


def test_a_body_that_is_always_cut_short_makes_the_source_broken():
    with pytest.raises(SourceBroken, match="a body cut short"):
        downloaded(SlowLine(ends=(2,) * 9))


def test_a_reader_that_cannot_decode_the_file_has_it_fetched_again():
    line = SlowLine(chunks=1)
    replies: list[Response] = []

    def read(reply: Response) -> None:
        replies.append(reply)
        if len(replies) < 3:
            raise InvalidResponse("half a menu")

    assert downloaded(line, read)
    assert [reply.attempts for reply in replies] == [1, 2, 3]
    assert {(reply.size, reply.content) for reply in replies} == {(CHUNK, b"")}


def test_an_error_is_reported_in_the_words_of_its_body_and_not_written_to_the_file():
    with pytest.raises(SourceRefused, match=r"status 403: “aaaa.*Check 403 at /big"):
        downloaded(SlowLine(chunks=1, size=10, status=403))


def test_a_peek_sees_the_headers_and_leaves_the_body():
    line = SlowLine(chunks=2_000)

    async def work(transport: HttpTransport) -> tuple[str, bool, int]:
        reply = await transport.get("big", read=lambda reply: reply, receive=receive_beginning)
        return reply.headers["x-made"], reply.size > 0, transport.traffic.bytes

    made, has_body, received = with_line(line, work)
    assert (made, has_body) == ("today", True)
    assert received < 2_000 * CHUNK / 4
    assert line.sent < 2_000 * CHUNK / 2


def test_a_peek_distinguishes_an_empty_body_from_one():
    reply = with_line(
        SlowLine(chunks=0),
        lambda t: t.get("big", read=lambda reply: reply, receive=receive_beginning),
    )
    assert (reply.size, reply.content) == (0, b"")
