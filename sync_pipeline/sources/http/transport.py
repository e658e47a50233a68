"""Asynchronous HTTP transport of all sources.

A pooled connection, bounded concurrency, a rate limit, retries within a time budget, refusals that name
what to check, and counts of the traffic. The client of a source passes the function that reads a response.

A body that is cut short or is not JSON is an error, never an end of data.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import BinaryIO, Self, TypeVar

import anyio
import anyio.to_thread
import httpx2
import stamina

from sync_pipeline.errors import SourceRefused
from sync_pipeline.sources.http.body import Download, Receive, receive_whole
from sync_pipeline.sources.http.exchange import exchange, path_of, rate_limiter, timeouts
from sync_pipeline.sources.http.response import Response, Traffic
from sync_pipeline.sources.http.retry import Retries, RetryableError, RetryPolicy

__all__ = ["HttpTransport", "Remedy", "Response", "Traffic"]

T = TypeVar("T")

Query = Mapping[str, str | int]
Remedy = Callable[[int, str], str]
"""What to check or set when a source answers this status to this path; status 0: it kept failing."""


class HttpTransport:
    """Asynchronous calls to one source; an async context manager.

    Args:
        name: what messages call the source.
        url: root below which all paths lie.
        headers: sent with every call; a lasting credential belongs here and nowhere else.
        remedy: what to check after a status and a path; the end of a refusal's message.
        retry_policy: how long and how often a call is tried.
        requests_per_minute: most calls in any minute; half of them may come at once.
        concurrency: most concurrent calls.
        secrets: redacted wherever the source echoes them; read anew for each call.
        auth: signs the calls, where credentials do not last.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str],
        remedy: Remedy,
        retry_policy: RetryPolicy,
        requests_per_minute: float,
        concurrency: int,
        secrets: Collection[str] = (),
        auth: httpx2.Auth | None = None,
    ) -> None:
        self.name = name
        self.traffic = Traffic()
        self._remedy = remedy
        self._retry_policy = retry_policy
        self._secrets = secrets
        self._slots = anyio.Semaphore(concurrency)
        self._rate_limiter = rate_limiter(requests_per_minute)
        self._paused_until = 0.0
        self._client = httpx2.AsyncClient(
            base_url=url,
            headers=headers,
            auth=auth,
            event_hooks={"request": [self._count_call]},
            timeout=timeouts(retry_policy),
            limits=httpx2.Limits(
                max_connections=concurrency, max_keepalive_connections=concurrency
            ),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(
        self,
        path: str,
        *,
        read: Callable[[Response], T],
        params: Query | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        attempts: int | None = None,
        receive: Receive = receive_whole,
    ) -> T:
        """Send a request, and retry it until `read` accepts a response.

        Args:
            path: below the root, already quoted.
            read: turns the response into a value. It raises InvalidResponse for a response that is not the
                protocol, `RetryableError` for one that asks to be called later.
            params: the query.
            headers: of this call only; not for credentials.
            accept: statuses besides 2xx that are passed to `read`.
            attempts: give up after so many failures of the source even within the time budget; a 429 does
                not count.
            receive: how much of the body is received.

        Raises:
            SourceRefused: a status that no retry changes.
            SourceBroken: responses kept being cut short or not the protocol.
            SourceUnavailable: the time budget or the attempts were used up.
        """

        async def decode(response: Response) -> T:
            return read(response)

        call = self._prepare(path, params, headers, attempts)
        return await self._retry(call, receive, read=decode, accept=accept)

    async def download(
        self,
        path: str,
        *,
        into: BinaryIO,
        read: Callable[[Response], T],
        params: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """As `get`, but the body is written to a file, and may take as long as it makes progress.

        The time budget restarts whenever more of the body has arrived than ever before; within an attempt,
        with every 64 KiB.

        Args, where they differ:
            into: open for reading and writing; each attempt begins at its start.
            read: called in a worker thread, when the file is complete and rewound. The response's content is
                empty and its size that of the file.
        """
        call = self._prepare(path, params, headers)
        download = Download(into, call[1], self._retry_policy)
        in_thread = partial(anyio.to_thread.run_sync, read)
        return await self._retry(call, download.receive, read=in_thread)

    def refusal(self, response: Response) -> SourceRefused:
        """The exception for a response that no retry changes."""
        reason = response.quoted
        if target := response.redirection:
            reason = f", redirecting to {target}"
        return SourceRefused(
            f"{self.name} refused GET {response.path} with status {response.status}{reason}. "
            f"{self._remedy(response.status, response.path)}"
        )

    def _prepare(
        self,
        path: str,
        params: Query | None,
        headers: Mapping[str, str] | None,
        attempts: int | None = None,
    ) -> tuple[httpx2.Request, Retries]:
        request = self._client.build_request("GET", path, params=params, headers=headers)
        what, remedy = f"{self.name}: GET {path_of(request)}", self._remedy(0, path_of(request))
        return request, Retries(self._retry_policy, what, attempts=attempts, remedy=remedy)

    async def _retry(
        self,
        call: tuple[httpx2.Request, Retries],
        receive: Receive,
        *,
        read: Callable[[Response], Awaitable[T]],
        accept: Collection[int] = (),
    ) -> T:
        request, retries = call
        try:
            async for attempt in stamina.retry_context(
                on=retries.wait_after, attempts=None, timeout=None
            ):
                with attempt:
                    return await read(await self._attempt(request, retries, receive, accept))
        except RetryableError as last:
            raise retries.exhausted() from last
        finally:
            self.traffic.retries += retries.retries
            self.traffic.waited += retries.waited
        raise AssertionError("stamina either returns, retries or raises")

    async def _attempt(
        self, request: httpx2.Request, retries: Retries, receive: Receive, accept: Collection[int]
    ) -> Response:
        async with self._slots:
            await anyio.sleep(max(0.0, self._paused_until - time.monotonic()))
            await self._rate_limiter.acquire()
            # Time in our own queue does not count: the budget is for the source.
            retries.start()
            if retries.time_left <= 0 and retries.last is not None:
                raise retries.last
            response = await exchange(
                self._client,
                request,
                retries,
                receive,
                traffic=self.traffic,
                secrets=self._secrets,
            )
        if response.is_transient:
            raise self._retryable_error(response)
        if not 200 <= response.status < 300 and response.status not in accept:
            raise self.refusal(response)
        return response

    async def _count_call(self, _: httpx2.Request) -> None:
        self.traffic.calls += 1

    def _retryable_error(self, response: Response) -> RetryableError:
        wait = response.retry_after
        if wait is not None:
            wait = min(wait, self._retry_policy.longest_retry_after.total_seconds())
            # A rate limit holds for all calls of this client, not only for the one that met it.
            self._paused_until = max(self._paused_until, time.monotonic() + wait)
        return RetryableError(
            f"status {response.status}{response.quoted}", wait=wait, counts=response.status != 429
        )
