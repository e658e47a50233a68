"""One request and its reply over HTTP: in what time and at what pace, and what each way to lose it means."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import aclosing

import anyio
import httpx2
from aiolimiter import AsyncLimiter

from sync_pipeline.sources.http.body import Receive, whole
from sync_pipeline.sources.http.error_text import truncate
from sync_pipeline.sources.http.redaction import Redactor
from sync_pipeline.sources.http.response import Response, Traffic
from sync_pipeline.sources.http.retry import InvalidResponse, Retries, RetryableError, RetryPolicy


async def exchange(
    client: httpx2.AsyncClient,
    request: httpx2.Request,
    retries: Retries,
    receive: Receive,
    *,
    traffic: Traffic,
    secrets: Collection[str],
) -> Response:
    """Send a request and receive its reply, whatever its status, in the time that is left.

    Raises:
        Undecodable: the body of a success was cut short.
        TryAgain: there was no reply, or not in time.
    """
    status = 0
    try:
        # A body that trickles never meets the read timeout, but it does meet the budget.
        with anyio.fail_after(retries.left) as scope:
            response = await client.send(request, stream=True)
            status = response.status_code
            content, size = await _body(response, receive, scope, traffic)
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise RetryableError("no answer in time") from error
    except (httpx2.RemoteProtocolError, httpx2.DecodingError) as error:
        # Without the error itself, which may quote a line of the reply.
        reason = truncate(Redactor(*secrets)(str(error)))
        if 200 <= status < 300:
            raise InvalidResponse(f"a body cut short: {reason}") from None
        raise RetryableError(f"connection closed: {reason}") from None
    except httpx2.NetworkError as error:
        reason = truncate(str(error)) or "connection lost"
        raise RetryableError(f"{type(error).__name__}: {reason}") from error
    return Response(
        status=status,
        headers=response.headers,
        content=content,
        path=path_of(request),
        size=size,
        attempts=retries.retries + 1,
        # Not before: signing the request may have made one more.
        secrets=tuple(secrets),
    )


async def _body(
    response: httpx2.Response, receive: Receive, scope: anyio.CancelScope, traffic: Traffic
) -> tuple[bytes, int]:
    async with aclosing(response):
        try:
            # What an error says is short, and is wanted whole.
            take = receive if response.is_success else whole
            return await take(response, scope)
        finally:
            traffic.bytes += response.num_bytes_downloaded


def path_of(request: httpx2.Request) -> str:
    """What a request asks for, without its query."""
    return request.url.raw_path.decode("ascii").partition("?")[0]


def timeouts(retry_policy: RetryPolicy) -> httpx2.Timeout:
    """What a client waits for at most."""
    read = retry_policy.read_timeout.total_seconds()
    # The pool has a connection for every slot, so waiting for one is never the source's doing.
    return httpx2.Timeout(
        connect=retry_policy.connect_timeout.total_seconds(), read=read, write=read, pool=None
    )


def rate_limiter(per_minute: float) -> AsyncLimiter:
    """What lets so many calls pass in any minute."""
    # Half of the minute's calls may come at once and the other half drips in behind them, so that
    # a short sync is not held up and yet no minute sees more than the limit.
    half = per_minute / 2
    burst = max(1.0, half)
    return AsyncLimiter(burst, 60 * burst / half)
