"""The Graph API for synchronous callers: the phone numbers of many workspaces, each with its token.

An error of one workspace is a result of that workspace and never ends the others. `transport` and `errors`
interpret responses, `pages` reads listings.
"""

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import anyio

from sync_pipeline.errors import SourceBroken, SourceRefused, SourceUnavailable
from sync_pipeline.sources.event_loop import Emit, Stream, gather
from sync_pipeline.sources.http.client import HttpClient, require_url
from sync_pipeline.sources.http.retry import RetryPolicy
from sync_pipeline.sources.http.transport import Traffic
from sync_pipeline.systems.meta_assets.api.errors import GraphError, graph_error_of
from sync_pipeline.systems.meta_assets.api.pages import (
    PAGE_SIZE,
    Record,
    phone_number,
    phone_numbers,
)
from sync_pipeline.systems.meta_assets.api.rate_limit import Sleep
from sync_pipeline.systems.meta_assets.api.transport import GraphTransport

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadRequest:
    """What to read for a workspace: all numbers of an account, or one number.

    Attributes:
        workspace_id: the workspace.
        token: its token; empty: it has none, and the result is an error.
        waba_id: the account; may be unknown (empty) for one number.
        phone_id: the number; empty: all.
    """

    workspace_id: str
    token: str = field(repr=False)
    waba_id: str
    phone_id: str = ""


@dataclass(frozen=True)
class ReadResult:
    """One result of a request: a page of records, its successful end, or its error.

    Attributes:
        request: the request.
        records: as Graph sent them.
        ended: everything requested was read.
        error: why it was not.
    """

    request: ReadRequest
    records: Sequence[Record] = ()
    ended: bool = False
    error: GraphError | None = None


class MetaClient(HttpClient):
    """Reads phone numbers; a context manager.

    Args:
        url: the Graph API's root with its version, such as `https://graph.facebook.com/v23.0`.
        fields: the fields to request of each number.
        retry_policy: of each call; its time budget also bounds the wait for a token's rate limit in all.
        requests_per_minute: most calls with one token in any minute; Meta counts 200 to 5,000 an hour.
        concurrency: workspaces that are read at once.
        page_size: numbers in a page; Graph gives at most 100.
        sleep: how to wait for the rate limit.

    Raises:
        SettingsError: the URL cannot be one.
    """

    def __init__(
        self,
        url: str,
        *,
        fields: Sequence[str],
        retry_policy: RetryPolicy | None = None,
        requests_per_minute: float = 300,
        concurrency: int = 4,
        page_size: int = PAGE_SIZE,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        require_url("META_GRAPH_URL", url, example="https://graph.facebook.com/v23.0")
        self._url = url
        self._fields = tuple(fields)
        self._retry_policy = retry_policy or RetryPolicy()
        self._requests_per_minute = requests_per_minute
        self._concurrency = concurrency
        self._page_size = page_size
        self._sleep = sleep
        self._transports = AsyncExitStack()
        super().__init__("meta-client", self._transports, Traffic())
        self._by_token: dict[str, GraphTransport] = {}
        self._host_is_down = False

    def close(self) -> None:
        """Cancel pending calls and close the connections; harmless when closed."""
        super().close()
        self._by_token.clear()

    def read(self, requests: Sequence[ReadRequest]) -> Stream[ReadResult]:
        """The results of each request: records page by page, then its end or an error.

        Workspaces are read concurrently, the requests of one in their order; those must be adjacent. An
        error ends its request only.
        """
        workspaces = iter([list(group) for _, group in groupby(requests, lambda r: r.workspace_id)])
        return self._event_loop.stream(
            partial(self._read_all, workspaces), buffer=2 * self._concurrency
        )

    async def _read_all(
        self, workspaces: Iterator[list[ReadRequest]], emit: Emit[ReadResult]
    ) -> None:
        self._host_is_down = False
        for transport in self._by_token.values():
            transport.retry_token()

        async def work() -> None:
            for requests in workspaces:
                for request in requests:
                    await self._read(request, emit)

        await gather([work] * self._concurrency)

    async def _read(self, request: ReadRequest, emit: Emit[ReadResult]) -> None:
        try:
            async for records in self._records(request):
                self._host_is_down = False
                await emit(ReadResult(request, records))
        except (SourceRefused, SourceBroken, SourceUnavailable) as error:
            graph_error = graph_error_of(error)
            self._host_is_down = graph_error.of_host
            log.warning("workspace %s: %s", request.workspace_id, error)
            await emit(ReadResult(request, error=graph_error))
        else:
            self._host_is_down = False
            await emit(ReadResult(request, ended=True))

    async def _records(self, request: ReadRequest) -> AsyncIterator[Sequence[Record]]:
        transport = await self._transport(request.token)
        # When the host is down, each further workspace tries once instead of waiting out the time budget.
        attempts = 1 if self._host_is_down else None
        if request.phone_id:
            yield [await phone_number(transport, request.phone_id, self._fields, attempts=attempts)]
            return
        pages = phone_numbers(
            transport, request.waba_id, self._fields, page_size=self._page_size, attempts=attempts
        )
        async for records in pages:
            yield records

    async def _transport(self, token: str) -> GraphTransport:
        if token in self._by_token:
            return self._by_token[token]
        transport = GraphTransport(
            self._url,
            token,
            retry_policy=self._retry_policy,
            requests_per_minute=self._requests_per_minute,
            concurrency=self._concurrency,
            sleep=self._sleep,
        )
        transport.traffic = self.traffic
        # Before the first await, or two workspaces with one token would open two transports.
        self._by_token[token] = transport
        return await self._transports.enter_async_context(transport)
