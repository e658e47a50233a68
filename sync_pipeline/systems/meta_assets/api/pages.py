"""Phone numbers of the Graph API: one, or all of an account, page by page.

A page may be empty and still have a next one; only a page without `next` is the last. Cursors are valid
for one listing only and are not stored.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx2

from sync_pipeline.errors import SourceBroken
from sync_pipeline.sources.http.retry import InvalidResponse
from sync_pipeline.systems.meta_assets.api.errors import GraphCallFailed, GraphError
from sync_pipeline.systems.meta_assets.api.transport import GraphTransport

Record = Mapping[str, Any]

PAGE_SIZE = 100


async def phone_numbers(
    transport: GraphTransport,
    waba_id: str,
    fields: Sequence[str],
    *,
    page_size: int = PAGE_SIZE,
    attempts: int | None = None,
) -> AsyncIterator[list[Record]]:
    """The pages of an account's phone numbers, without empty ones.

    Args:
        transport: with a token that may read the account.
        waba_id: the account.
        fields: to request; a field without a value is absent in the records.
        page_size: numbers in a page; Graph gives at most 100.
        attempts: give a call up after so many failures.

    Raises:
        SourceBroken: a cursor is repeated.
        SourceRefused: as for `GraphTransport.call`.
        SourceUnavailable: as there.
    """
    path = f"{quote(waba_id, safe='')}/phone_numbers"
    params: dict[str, str | int] = {"fields": ",".join(fields), "limit": page_size}
    seen: set[str] = set()
    while True:
        page = await transport.call(path, params, read=_Page, attempts=attempts)
        if page.records:
            yield page.records
        if page.after is None:
            return
        if page.after in seen:
            problem = "the pages of the listing go round in a circle"
            raise SourceBroken(
                f"Meta repeats a cursor while listing the phone numbers of {waba_id}: {problem}. Try again"
                " later; if it stays, report it to Meta."
            ) from GraphCallFailed(GraphError(200, problem))
        seen.add(page.after)
        params["after"] = page.after


async def phone_number(
    transport: GraphTransport,
    phone_id: str,
    fields: Sequence[str],
    *,
    attempts: int | None = None,
) -> Record:
    """One phone number; parameters and errors as for `phone_numbers`."""
    params = {"fields": ",".join(fields)}
    return await transport.call(quote(phone_id, safe=""), params, read=dict, attempts=attempts)


class _Page:
    """A decoded page.

    Attributes:
        records: its numbers.
        after: cursor of the next page; None: this is the last one.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        match body:
            case {"data": list(data)} if all(isinstance(item, dict) for item in data):
                self.records: list[Record] = data
            case _:
                raise InvalidResponse("a listing without “data”")
        self.after = _after(body.get("paging"))


def _after(paging: Any) -> str | None:
    match paging:
        case {"next": str(link)} if link:
            pass
        case _:
            # The last page has cursors too.
            return None
    match paging:
        case {"cursors": {"after": str(after)}} if after:
            return after
    # Only the cursor: the link contains the token.
    after = httpx2.URL(link).params.get("after")
    if not after:
        raise InvalidResponse("a page that has a next one but no cursor for it")
    return after
