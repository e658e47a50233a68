"""OAuth 2.0 client credentials: a token asked for when there is none, and shared by all calls.

How a client proves itself differs, by a secret or by a signed assertion, and is a form that the
source's client makes. The rest is here: the token is kept until shortly before it expires, concurrent
calls wait for one request of it, and a call that is told 401 tries once more with a new one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import orjson

from sync_pipeline.errors import SourceRefused
from sync_pipeline.sources.http.exchange import path_of
from sync_pipeline.sources.http.response import Response
from sync_pipeline.sources.http.retry import InvalidResponse, RetryableError, RetryPolicy

LIFETIME_S = 3600.0
"""Of a token whose reply does not say it."""
MARGIN_S = 60.0
"""A token is renewed so long before it expires, or a tenth of its lifetime if that is less."""


@dataclass(frozen=True)
class _Token:
    text: str = field(repr=False)
    renew_at: float


class ClientCredentials(httpx2.Auth):
    """Signs asynchronous calls with a bearer token; one instance for each client.

    Args:
        name: what messages call the source.
        url: of the token endpoint, absolute.
        form: makes the fields of a request for a token; called for each, as assertions expire.
        secrets: what of the form must never be told.
        remedy: what to check when the credentials are refused; names the variables.
        clock: seconds that only ever grow.

    Attributes:
        secrets: these and the latest tokens; the transport blots them out.

    Calls raise, besides the errors of a transport:
        SourceRefused: the credentials are not accepted.
    """

    def __init__(
        self,
        name: str,
        url: str,
        form: Callable[[], Mapping[str, str]],
        *,
        secrets: Collection[str],
        remedy: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.secrets = set(secrets)
        self._name = name
        self._url = url
        self._form = form
        self._lasting = frozenset(secrets)
        self._remedy = remedy
        self._clock = clock
        self._lock = anyio.Lock()
        self._token: _Token | None = None
        # Calls under way may still be answered about the token before the last.
        self._latest: deque[str] = deque(maxlen=2)

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Sign one call, and once more if its token is not accepted."""
        for _ in range(2):
            async with self._lock:
                token = self._token
                if token is None or token.renew_at <= self._clock():
                    response = yield self._request(request)
                    await response.aread()
                    token = self._keep(self._reply(response))
            request.headers["Authorization"] = f"Bearer {token.text}"
            response = yield request
            if response.status_code != 401:
                return
            # Unless another call has renewed it in the meantime.
            if self._token is token:
                self._token = None

    def _request(self, after: httpx2.Request) -> httpx2.Request:
        # The client gives its timeouts only to requests that it builds itself.
        return httpx2.Request(
            "POST", self._url, data=dict(self._form()), extensions=after.extensions
        )

    def _reply(self, response: httpx2.Response) -> Response:
        path = path_of(response.request)
        secrets = tuple(self.secrets)
        return Response(
            response.status_code, response.headers, response.content, path, secrets=secrets
        )

    def _keep(self, reply: Response) -> _Token:
        if reply.is_transient:
            reason = f"status {reply.status} to a request for a token{reply.quoted}"
            wait = reply.retry_after
            if wait is not None:
                wait = min(wait, RetryPolicy.longest_retry_after.total_seconds())
            raise RetryableError(reason, wait=wait, counts=reply.status != 429)
        if not 200 <= reply.status < 300:
            raise SourceRefused(
                f"{self._name} refused POST {reply.path} with status {reply.status}{reply.quoted}. "
                f"{self._remedy}"
            )
        text, lifetime = _read(reply)
        margin = min(MARGIN_S, lifetime / 10)
        self._latest.append(text)
        self.secrets.clear()
        self.secrets.update(self._lasting, self._latest)
        self._token = _Token(text, self._clock() + lifetime - margin)
        return self._token


def _read(reply: Response) -> tuple[str, float]:
    """The token, and the seconds that it lasts. What is wrong with a reply is told without quoting it."""
    try:
        fields: Any = orjson.loads(reply.content)
    except orjson.JSONDecodeError:
        raise InvalidResponse("a reply to a request for a token that is not JSON") from None
    match fields:
        case {"access_token": str(text)} if text and text.isascii() and text.isprintable():
            return text, _seconds(fields.get("expires_in"))
        case _:
            raise InvalidResponse(
                "a reply to a request for a token without a usable “access_token”"
            )


def _seconds(value: Any) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        return LIFETIME_S
