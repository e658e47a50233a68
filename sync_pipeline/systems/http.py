"""The transport that every HTTP source of this project talks through.

Here is what sources have in common: a pooled connection, a bound on concurrency, a pace per
minute, retries within a time budget, refusals that say what to check, and counts of the traffic.
What a reply means belongs to the source's client, which passes a function that reads it. Running
this from synchronous code is the business of `background`.

A body that is cut short or is not JSON is an error, never an end of data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx2
import orjson
import stamina
from aiolimiter import AsyncLimiter

from sync_pipeline.errors import SourceRefused
from sync_pipeline.systems.retrying import Patience, Retries, TryAgain, Undecodable
from sync_pipeline.systems.wording import shorten, words_of

T = TypeVar("T")

Remedy = Callable[[int, str], str]
"""What to check or set when a source answers this status to this path; status 0: it kept failing."""

_PASSING_4XX = frozenset({408, 425, 429})


@dataclass
class Traffic:
    """What a transport has done so far.

    Attributes:
        calls: HTTP attempts, retries included.
        bytes: body bytes as they came over the wire, compressed if the source compresses.
        retries: attempts that repeated an earlier one.
        waited: seconds spent waiting before retries, summed over concurrent calls.
    """

    calls: int = 0
    bytes: int = 0
    retries: int = 0
    waited: float = 0.0


@dataclass(frozen=True)
class Reply:
    """A whole reply, before anyone has read sense into it."""

    status: int
    headers: httpx2.Headers
    content: bytes
    path: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def json(self) -> Any:
        """The decoded body.

        Raises:
            Undecodable: it is not JSON; the call is tried a few times more.
        """
        try:
            return orjson.loads(self.content)
        except orjson.JSONDecodeError:
            raise Undecodable(f"a body that is not JSON{self.quoted}") from None

    @property
    def quoted(self) -> str:
        """The source's own words, ready to follow a statement; empty if there are none."""
        words = words_of(self.content)
        for secret in self.secrets:
            words = words.replace(secret, "***")
        return f": “{words}”" if words else ""

    @property
    def date(self) -> datetime | None:
        """The server's clock, as its Date header tells it."""
        return _http_date(self.headers.get("date", ""))


class HttpTransport:
    """Asynchronous calls to one source; an async context manager.

    Args:
        name: what messages call the source.
        url: root below which all paths lie.
        headers: sent with every call; credentials belong here and nowhere else.
        remedy: says what to check for a status and a path; the end of a refusal's message.
        patience: how long and how often a call is tried.
        requests_per_minute: most calls in any minute; half of them may come at once.
        concurrency: calls under way at once.
        secrets: words that are blotted out should a source echo them.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str],
        remedy: Remedy,
        patience: Patience,
        requests_per_minute: float,
        concurrency: int,
        secrets: Collection[str] = (),
    ) -> None:
        self.name = name
        self.traffic = Traffic()
        self._remedy = remedy
        self._patience = patience
        self._secrets = tuple(secrets)
        self._slots = anyio.Semaphore(concurrency)
        self._pace = _pace(requests_per_minute)
        self._quiet_until = 0.0
        self._client = httpx2.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=_timeouts(patience),
            limits=httpx2.Limits(
                max_connections=concurrency, max_keepalive_connections=concurrency
            ),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def get(
        self,
        path: str,
        *,
        read: Callable[[Reply], T],
        params: Mapping[str, str | int] | None = None,
        accept: Collection[int] = (),
        attempts: int | None = None,
    ) -> T:
        """Ask until there is a reply that `read` understands.

        Args:
            path: below the root, already quoted.
            read: turns the reply into a value. It raises `Undecodable` for a reply that is not the
                protocol, `TryAgain` for one that asks for patience in words of its own.
            params: the query.
            accept: statuses besides 2xx that `read` wants to see.
            attempts: give up after so many failures of the source even within the time budget; being
                told to slow down is not counted.

        Raises:
            SourceRefused: a status that no retry mends.
            SourceBroken: replies kept being cut short or not the protocol.
            SourceUnavailable: the time budget or the attempts were used up.
        """
        request = self._client.build_request("GET", path, params=params)
        retries = Retries(
            self._patience,
            f"{self.name}: GET {_path_of(request)}",
            attempts=attempts,
            remedy=self._remedy(0, _path_of(request)),
        )
        try:
            async for attempt in stamina.retry_context(
                on=retries.wait_after, attempts=None, timeout=None
            ):
                with attempt:
                    return read(await self._attempt(request, accept=accept, retries=retries))
        except TryAgain as last:
            raise retries.exhausted() from last
        finally:
            self.traffic.retries += retries.retries
            self.traffic.waited += retries.waited
        raise AssertionError("stamina either returns, retries or raises")

    def refusal(self, reply: Reply) -> SourceRefused:
        """The exception for a reply that is a final no."""
        said = reply.quoted
        if target := reply.headers.get("location"):
            said = f", redirecting to {target.partition('?')[0]}"
        return SourceRefused(
            f"{self.name} refused GET {reply.path} with status {reply.status}{said}. "
            f"{self._remedy(reply.status, reply.path)}"
        )

    async def _attempt(
        self, request: httpx2.Request, *, accept: Collection[int], retries: Retries
    ) -> Reply:
        async with self._slots:
            await anyio.sleep(max(0.0, self._quiet_until - time.monotonic()))
            await self._pace.acquire()
            # Queueing here is our own doing: only from now on is the source's time running.
            retries.start()
            if retries.left <= 0 and retries.last is not None:
                raise retries.last
            self.traffic.calls += 1
            reply = await self._exchange(request, retries.left)
        if reply.status in _PASSING_4XX or reply.status >= 500:
            raise self._passing(reply)
        if not 200 <= reply.status < 300 and reply.status not in accept:
            raise self.refusal(reply)
        return reply

    async def _exchange(self, request: httpx2.Request, seconds: float) -> Reply:
        status = 0
        try:
            # A body that trickles never meets the read timeout, but it does meet the budget.
            with anyio.fail_after(seconds):
                response = await self._client.send(request, stream=True)
                status = response.status_code
                content = await self._body(response)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise TryAgain("no answer in time") from error
        except (httpx2.RemoteProtocolError, httpx2.DecodingError) as error:
            if 200 <= status < 300:
                raise Undecodable(f"a body cut short: {shorten(str(error))}") from error
            raise TryAgain(f"connection closed: {shorten(str(error))}") from error
        except httpx2.NetworkError as error:
            reason = shorten(str(error)) or "connection lost"
            raise TryAgain(f"{type(error).__name__}: {reason}") from error
        return Reply(status, response.headers, content, _path_of(request), self._secrets)

    async def _body(self, response: httpx2.Response) -> bytes:
        async with aclosing(response):
            try:
                return await response.aread()
            finally:
                self.traffic.bytes += response.num_bytes_downloaded

    def _passing(self, reply: Reply) -> TryAgain:
        wait = _retry_after(reply)
        if wait is not None:
            wait = min(wait, self._patience.longest_retry_after.total_seconds())
            # The source speaks to all of us, not only to the call that it happened to hit.
            self._quiet_until = max(self._quiet_until, time.monotonic() + wait)
        return TryAgain(
            f"status {reply.status}{reply.quoted}", wait=wait, counts=reply.status != 429
        )


def _pace(per_minute: float) -> AsyncLimiter:
    # Half of the minute's calls may come at once and the other half drips in behind them, so that
    # a short sync is not held up and yet no minute sees more than the limit.
    half = per_minute / 2
    burst = max(1.0, half)
    return AsyncLimiter(burst, 60 * burst / half)


def _timeouts(patience: Patience) -> httpx2.Timeout:
    read = patience.read_timeout.total_seconds()
    # The pool has a connection for every slot, so waiting for one is never the source's doing.
    return httpx2.Timeout(
        connect=patience.connect_timeout.total_seconds(), read=read, write=read, pool=None
    )


def _path_of(request: httpx2.Request) -> str:
    return request.url.raw_path.decode("ascii").partition("?")[0]


def _retry_after(reply: Reply) -> float | None:
    value = reply.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    moment = _http_date(value)
    if moment is None:
        return None
    # Both moments are the server's, so a local clock that runs wrong does no harm.
    now = reply.date or datetime.now(UTC)
    return max(timedelta(0), moment - now).total_seconds()


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
