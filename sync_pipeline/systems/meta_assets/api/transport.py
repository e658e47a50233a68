"""Calls to the Graph API with one token: what a reply means, and how fast to go.

The token is in the Authorization header and nowhere else: Graph writes it into its own links, which
are therefore never followed.
"""

from __future__ import annotations

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
    complaint_of,
)
from sync_pipeline.systems.meta_assets.api.rate_limit import Sleep, Usage

T = TypeVar("T")

_ANY_STATUS = range(300, 500)

_HEARD: ContextVar[list[GraphCallFailed]] = ContextVar("heard")
"""What the attempts of the call that is under way were answered."""


class GraphTransport(HttpTransport):
    """Calls with one token; an async context manager.

    Args:
        url: the API's root with its version.
        token: whose calls these are.
        retry_policy: how long a call is tried, and how long all of them may wait for the rate limit.
        requests_per_minute: most calls in any minute.
        concurrency: calls under way at once.
        sleep: how to wait for the rate limit.

    Attributes:
        usage: of the rate limit.

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
        self.usage = Usage(retry_policy.time_budget.total_seconds(), sleep)
        self._discretion = Redactor(token)
        self._refused: SourceRefused | None = None

    async def ask(
        self,
        path: str,
        params: Mapping[str, str | int],
        *,
        read: Callable[[dict[str, Any]], T],
        attempts: int | None = None,
    ) -> T:
        """What a call answers with.

        Args:
            path: below the root, already quoted.
            params: the query.
            read: turns the decoded object into a value; raises `Undecodable` for one that is not the
                protocol.
            attempts: give up after so many failures.

        Raises:
            SourceRefused: token, permission, id or parameter are not accepted. A token that was not
                accepted once is not sent again before `retry_token`.
            SourceBroken: replies kept being cut short or not the protocol.
            SourceUnavailable: the time budget was used up, or the rate limit is for longer than it.
        """
        if self._refused is not None:
            raise SourceRefused(str(self._refused)) from self._refused.__cause__
        await self.usage.ready()
        _HEARD.set(heard := [])
        try:
            return await self.get(
                path,
                read=lambda reply: read(self._object(reply)),
                params=params,
                accept=_ANY_STATUS,
                attempts=attempts,
            )
        except SourceUnavailable as error:
            # The last attempt is often cut off by the end of the budget, which alone would explain nothing.
            if heard:
                raise SourceUnavailable(str(error)) from heard[-1]
            raise

    def retry_token(self) -> None:
        """Send the token again even if it was not accepted: it may have been mended since."""
        self._refused = None

    def _object(self, reply: Response) -> dict[str, Any]:
        self.usage.observe(reply.headers)
        complaint = complaint_of(reply.status, reply.content, self._discretion)
        if complaint is not None:
            raise self._no(reply, complaint)
        try:
            decoded = orjson.loads(reply.content)
        except orjson.JSONDecodeError:
            raise InvalidResponse("a body that is not JSON") from None
        if not isinstance(decoded, dict):
            raise InvalidResponse("a body that is not a JSON object")
        return decoded

    def _passing(self, reply: Response) -> RetryableError:
        # With these statuses too it is the error's code that decides whether it passes.
        self.usage.observe(reply.headers)
        complaint = complaint_of(reply.status, reply.content, self._discretion)
        assert complaint is not None, "the status alone is one"
        no = self._no(reply, complaint)
        if isinstance(no, RetryableError):
            return no
        raise no

    def _no(self, reply: Response, complaint: GraphError) -> RetryableError | SourceRefused:
        if complaint.verdict.passes:
            throttled = complaint.verdict is ErrorKind.THROTTLED
            wait = (throttled and self.usage.regain) or reply.retry_after
            again = GraphCallFailed(complaint, wait=wait, counts=not throttled)
            _HEARD.get().append(again)
            return again
        refusal = SourceRefused(
            f"Meta refused GET {reply.path} ({complaint.text}). {complaint.verdict.value}"
        )
        refusal.__cause__ = GraphCallFailed(complaint)
        if complaint.verdict is ErrorKind.CREDENTIAL:
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
    complaint = GraphError(403, problem, ErrorKind.CREDENTIAL)
    raise SourceRefused(
        f"Meta was not asked: {problem}. {ErrorKind.CREDENTIAL.value}"
    ) from GraphCallFailed(complaint)
