"""One HTTP request within the remaining time budget; each transport failure mapped to an error."""

from collections.abc import Collection
from contextlib import aclosing

import anyio
import httpx2
from aiolimiter import AsyncLimiter

from sync_pipeline.sources.http.body import Receive, receive_whole
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
    """Send a request and receive its response, whatever its status, in the remaining time.

    Raises:
        InvalidResponse: the body of a success was cut short.
        RetryableError: there was no response in time.
    """
    status = 0
    try:
        # A body that trickles never meets the read timeout, but it does meet the budget.
        with anyio.fail_after(retries.time_left) as scope:
            response = await client.send(request, stream=True)
            status = response.status_code
            content, size = await _body(response, receive, scope, traffic)
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise RetryableError("no answer in time") from error
    except (httpx2.RemoteProtocolError, httpx2.DecodingError) as error:
        # Raised `from None`: the error may quote a line of the response.
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
        # Read only now: signing the request may have added a token.
        secrets=tuple(secrets),
    )


async def _body(
    response: httpx2.Response, receive: Receive, scope: anyio.CancelScope, traffic: Traffic
) -> tuple[bytes, int]:
    async with aclosing(response):
        try:
            # The body of an error is short, and its message is quoted.
            take = receive if response.is_success else receive_whole
            return await take(response, scope)
        finally:
            traffic.bytes += response.num_bytes_downloaded


def path_of(request: httpx2.Request) -> str:
    """The path of a request, without its query."""
    return request.url.raw_path.decode("ascii").partition("?")[0]


def timeouts(retry_policy: RetryPolicy) -> httpx2.Timeout:
    """Timeouts of a client."""
    read = retry_policy.read_timeout.total_seconds()
    # The pool has a connection for each concurrent call, so no call waits for one.
    return httpx2.Timeout(
        connect=retry_policy.connect_timeout.total_seconds(), read=read, write=read, pool=None
    )


def rate_limiter(per_minute: float) -> AsyncLimiter:
    """A limiter that admits so many calls in any minute."""
    # Half of the minute's calls may come at once and the other half drips in behind them, so that
    # a short sync is not held up and yet no minute sees more than the limit.
    half = per_minute / 2
    burst = max(1.0, half)
    return AsyncLimiter(burst, 60 * burst / half)
