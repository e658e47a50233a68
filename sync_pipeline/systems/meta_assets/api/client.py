"""The Graph API for synchronous callers: the phone numbers of many workspaces, each with its token.

One workspace's trouble is an answer about that workspace and never ends the others. What a reply means
is in `transport` and `complaints`, how pages are read in `listing`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import anyio

from sync_pipeline.errors import SourceBroken, SourceRefused, SourceUnavailable
from sync_pipeline.sources.event_loop import Emit, Stream
from sync_pipeline.sources.http.client import HttpClient, require_url
from sync_pipeline.sources.http.retry import RetryPolicy
from sync_pipeline.sources.http.transport import Traffic
from sync_pipeline.sources.task_group import gather
from sync_pipeline.systems.meta_assets.api.errors import GraphError, complaint_in
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
    """What is to be read for a workspace: all numbers of an account, or one number.

    Attributes:
        workspace_id: for whom.
        token: with which token; empty: there is none, which is answered with a complaint.
        waba_id: the account; may be unknown (empty) for one number.
        phone_id: the number; empty: all.
    """

    workspace_id: str
    token: str = field(repr=False)
    waba_id: str
    phone_id: str = ""


@dataclass(frozen=True)
class ReadResult:
    """A part of the answer to an ask: records, or its end, good or bad.

    Attributes:
        ask: what was asked.
        records: as Graph told them.
        ended: everything that was asked for was read.
        complaint: why it was not.
    """

    ask: ReadRequest
    records: Sequence[Record] = ()
    ended: bool = False
    complaint: GraphError | None = None


class MetaClient(HttpClient):
    """Reads phone numbers; a context manager.

    Args:
        url: the Graph API's root with its version, such as `https://graph.facebook.com/v23.0`.
        fields: what to ask for of each number.
        retry_policy: how long a call is tried before its workspace counts as failed, and how long the
            calls with one token may wait for the rate limit in all.
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
        self._lines = AsyncExitStack()
        super().__init__("meta-client", self._lines, Traffic())
        self._by_token: dict[str, GraphTransport] = {}
        self._host_is_away = False

    def close(self) -> None:
        """Cancel pending calls and close the connections; harmless when closed."""
        super().close()
        self._by_token.clear()

    def answers(self, asks: Sequence[ReadRequest]) -> Stream[ReadResult]:
        """What there is to each ask: records page by page, then its end or a complaint.

        Workspaces are read at the same time, the asks of one in their order; those have to stand
        together. A complaint ends its ask only.
        """
        workspaces = iter([list(group) for _, group in groupby(asks, _workspace_of)])
        return self._background.stream(
            partial(self._answer_all, workspaces), buffer=2 * self._concurrency
        )

    async def _answer_all(
        self, workspaces: Iterator[list[ReadRequest]], emit: Emit[ReadResult]
    ) -> None:
        self._host_is_away = False
        for line in self._by_token.values():
            line.retry_token()

        async def work() -> None:
            for asks in workspaces:
                for ask in asks:
                    await self._answer(ask, emit)

        await gather([work] * self._concurrency)

    async def _answer(self, ask: ReadRequest, emit: Emit[ReadResult]) -> None:
        try:
            async for records in self._records(ask):
                self._host_is_away = False
                await emit(ReadResult(ask, records))
        except (SourceRefused, SourceBroken, SourceUnavailable) as error:
            complaint = complaint_in(error)
            self._host_is_away = complaint.of_host
            log.warning("workspace %s: %s", ask.workspace_id, error)
            await emit(ReadResult(ask, complaint=complaint))
        else:
            self._host_is_away = False
            await emit(ReadResult(ask, ended=True))

    async def _records(self, ask: ReadRequest) -> AsyncIterator[Sequence[Record]]:
        line = await self._line(ask.token)
        # A host that has just been given up is not waited for once more by each workspace.
        attempts = 1 if self._host_is_away else None
        if ask.phone_id:
            yield [await phone_number(line, ask.phone_id, self._fields, attempts=attempts)]
            return
        pages = phone_numbers(
            line, ask.waba_id, self._fields, page_size=self._page_size, attempts=attempts
        )
        async for records in pages:
            yield records

    async def _line(self, token: str) -> GraphTransport:
        if token in self._by_token:
            return self._by_token[token]
        line = GraphTransport(
            self._url,
            token,
            retry_policy=self._retry_policy,
            requests_per_minute=self._requests_per_minute,
            concurrency=self._concurrency,
            sleep=self._sleep,
        )
        line.traffic = self.traffic
        # Before the first wait, or two workspaces with one token would open two lines.
        self._by_token[token] = line
        return await self._lines.enter_async_context(line)


def _workspace_of(ask: ReadRequest) -> str:
    return ask.workspace_id
