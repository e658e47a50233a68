"""Calls to the Graph API with one token: errors, retries and rate limit.

The token is sent in the Authorization header only. Graph writes it into the links of its responses, so they
are never followed.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import anyio
import orjson

from sync_pipeline.errors import SourceRefused, SourceUnavailable
from sync_pipeline.sources.http.client import fits_header
from sync_pipeline.sources.http.redaction import Redactor
from sync_pipeline.sources.http.retry import InvalidResponse, RetryableError, RetryPolicy
from sync_pipeline.sources.http.transport import HttpTransport, Response
from sync_pipeline.systems.meta_assets.api.errors import (
    ErrorKind,
    GraphCallFailed,
    GraphError,
    error_in_response,
)
from sync_pipeline.systems.meta_assets.api.rate_limit import RateLimit, Sleep

T = TypeVar("T")

_ANY_STATUS = range(300, 500)

_FAILURES: ContextVar[list[GraphCallFailed]] = ContextVar("failures")
"""Failed attempts of the current call."""


class GraphTransport(HttpTransport):
    """Calls with one token; an async context manager.

    Args:
        url: the API's root with its version.
        token: of all calls.
        retry_policy: how long a call is tried, and how long all of them may wait for the rate limit.
        requests_per_minute: most calls in any minute.
        concurrency: most calls at once.
        sleep: how to wait for the rate limit.

    Attributes:
        rate_limit: of the token.

    Raises:
        SourceRefused: no header can hold the token.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        retry_policy: RetryPolicy,
        requests_per_minute: float,
        concurrency: int,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        _require_usable(token)
        super().__init__(
            "Meta",
            url,
            headers={"Authorization": f"Bearer {token}"},
            remedy=lambda _, __: "Try again later, or check META_GRAPH_URL.",
            retry_policy=retry_policy,
            requests_per_minute=requests_per_minute,
            concurrency=concurrency,
            secrets=[token],
        )
        self.rate_limit = RateLimit(retry_policy.time_budget.total_seconds(), sleep)
        self._redact = Redactor(token)
        self._refused: SourceRefused | None = None

    async def call(
        self,
        path: str,
        params: Mapping[str, str | int],
        *,
        read: Callable[[dict[str, Any]], T],
        attempts: int | None = None,
    ) -> T:
        """GET an object.

        Args:
            path: below the root, already quoted.
            params: the query.
            read: converts the decoded object; raises `InvalidResponse` if it violates the protocol.
            attempts: give up after so many failures.

        Raises:
            SourceRefused: token, permission, id or parameter are not accepted. A refused token is not sent
                again before `retry_token`.
            SourceBroken: responses kept being cut short or violating the protocol.
            SourceUnavailable: the time budget was used up, or the rate limit asks to wait longer.
        """
        if self._refused is not None:
            raise SourceRefused(str(self._refused)) from self._refused.__cause__
        await self.rate_limit.wait()
        _FAILURES.set(failures := [])
        try:
            return await self.get(
                path,
                read=lambda response: read(self._object(response)),
                params=params,
                accept=_ANY_STATUS,
                attempts=attempts,
            )
        except SourceUnavailable as error:
            # The end of the budget often cuts off the last attempt; the one before has the cause.
            if failures:
                raise SourceUnavailable(str(error)) from failures[-1]
            raise

    def retry_token(self) -> None:
        """Send the token again even if it was not accepted: it may have been renewed since."""
        self._refused = None

    def _object(self, response: Response) -> dict[str, Any]:
        self.rate_limit.observe(response.headers)
        error = error_in_response(response.status, response.content, self._redact)
        if error is not None:
            raise self._failure(response, error)
        try:
            decoded = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise InvalidResponse("a body that is not JSON") from None
        if not isinstance(decoded, dict):
            raise InvalidResponse("a body that is not a JSON object")
        return decoded

    def _retryable_error(self, response: Response) -> RetryableError:
        # With these statuses too the error's code decides whether it is transient.
        self.rate_limit.observe(response.headers)
        error = error_in_response(response.status, response.content, self._redact)
        assert error is not None, "the status alone is an error"
        failure = self._failure(response, error)
        if isinstance(failure, RetryableError):
            return failure
        raise failure

    def _failure(self, response: Response, error: GraphError) -> RetryableError | SourceRefused:
        if error.kind.is_transient:
            throttled = error.kind is ErrorKind.THROTTLED
            wait = (throttled and self.rate_limit.reset_after) or response.retry_after
            failure = GraphCallFailed(error, wait=wait, counts=not throttled)
            _FAILURES.get().append(failure)
            return failure
        refusal = SourceRefused(
            f"Meta refused GET {response.path} ({error.text}). {error.kind.value}"
        )
        refusal.__cause__ = GraphCallFailed(error)
        if error.kind is ErrorKind.CREDENTIAL:
            self._refused = refusal
        return refusal


def _require_usable(token: str) -> None:
    if not token:
        problem = "no token: the workspace has none in meta_tokens that has not expired"
    # Such a token would fail inside the HTTP library, which quotes the header in its message.
    elif not fits_header(token):
        problem = "no token: the one in meta_tokens holds blanks or other stray characters"
    else:
        return
    error = GraphError(403, problem, ErrorKind.CREDENTIAL)
    raise SourceRefused(
        f"Meta was not asked: {problem}. {ErrorKind.CREDENTIAL.value}"
    ) from GraphCallFailed(error)
