"""OAuth 2.0 client credentials: a token asked for when there is none, and shared by all calls.

The source's client makes the form of the token request: a secret or a signed assertion. A token is kept
until shortly before it expires, concurrent calls wait for one token request, and a call that gets 401 is
sent once more with a new token.
"""

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
"""Of a token whose response does not name it."""
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
        secrets: values of the form that must never be shown.
        remedy: what to check when the credentials are refused; names the variables.
        clock: a monotonic clock, in seconds.

    Attributes:
        secrets: these and the latest tokens; the transport redacts them.

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
        self._static_secrets = frozenset(secrets)
        self._remedy = remedy
        self._clock = clock
        self._lock = anyio.Lock()
        self._token: _Token | None = None
        # Calls under way may still be answered about the token before the last.
        self._recent_tokens: deque[str] = deque(maxlen=2)

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
                    token = self._store(self._response_of(response))
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

    def _response_of(self, raw: httpx2.Response) -> Response:
        path = path_of(raw.request)
        secrets = tuple(self.secrets)
        return Response(raw.status_code, raw.headers, raw.content, path, secrets=secrets)

    def _store(self, response: Response) -> _Token:
        if response.is_transient:
            reason = f"status {response.status} to a request for a token{response.quoted}"
            wait = response.retry_after
            if wait is not None:
                wait = min(wait, RetryPolicy.longest_retry_after.total_seconds())
            raise RetryableError(reason, wait=wait, counts=response.status != 429)
        if not 200 <= response.status < 300:
            raise SourceRefused(
                f"{self._name} refused POST {response.path} with status {response.status}{response.quoted}. "
                f"{self._remedy}"
            )
        text, lifetime = _read(response)
        margin = min(MARGIN_S, lifetime / 10)
        self._recent_tokens.append(text)
        self.secrets.clear()
        self.secrets.update(self._static_secrets, self._recent_tokens)
        self._token = _Token(text, self._clock() + lifetime - margin)
        return self._token


def _read(response: Response) -> tuple[str, float]:
    """The token and its lifetime in seconds. Errors do not quote the response, which may hold the token."""
    try:
        fields: Any = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise InvalidResponse("a response to a request for a token that is not JSON") from None
    match fields:
        case {"access_token": str(text)} if text and text.isascii() and text.isprintable():
            return text, _seconds(fields.get("expires_in"))
        case _:
            raise InvalidResponse(
                "a response to a request for a token without a usable “access_token”"
            )


def _seconds(value: Any) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        return LIFETIME_S
