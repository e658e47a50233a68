"""Synchronous client of the Bubble Data API; records are raw, as Bubble sends them."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

from sync_pipeline.sources.http.client import HttpClient, require_credential, require_url
from sync_pipeline.sources.http.retry import InvalidResponse, RetryPolicy
from sync_pipeline.sources.http.transport import HttpTransport, Response
from sync_pipeline.systems.bubble.api.dates import millis_of
from sync_pipeline.systems.bubble.api.keyset import KeysetReader
from sync_pipeline.systems.bubble.api.lookup import Lookup, look_up
from sync_pipeline.systems.bubble.api.pages import (
    Constraint,
    PageReader,
    Query,
    Record,
    response_of,
    type_path,
)
from sync_pipeline.systems.bubble.api.scan import Scan

URL_EXAMPLE = "https://app.example.com/version-live/api/1.1"


class BubbleClient(HttpClient):
    """Reads one branch of a Bubble app; a context manager.

    Args:
        url: root of the API, such as `https://app.example.com/version-live/api/1.1`.
        token: an API token of the app; privacy rules do not apply to it.
        retry_policy: of each call.
        requests_per_minute: most calls in any minute; plans allow between 1,000 and 35,000 to all
            clients of an app together.
        concurrency: most concurrent calls, and so the most segments of a scan.
        list_size: most ids in one `in` constraint.
        url_budget: most characters of the encoded list, because the length of a URL is limited.
        page_size: records in a page; Bubble gives at most 100.
        cursor_cap: rank that Bubble's cursor does not reach; larger on its enterprise plan.

    Raises:
        SettingsError: the URL or the token cannot be one.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        retry_policy: RetryPolicy | None = None,
        requests_per_minute: float = 900,
        concurrency: int = 8,
        list_size: int = 50,
        url_budget: int = 4_000,
        page_size: int = 100,
        cursor_cap: int = 50_000,
    ) -> None:
        require_url("BUBBLE_API_URL", url, example=URL_EXAMPLE)
        require_credential("BUBBLE_API_TOKEN", token)
        self._transport = HttpTransport(
            "Bubble",
            url,
            headers={"Authorization": f"Bearer {token}"},
            remedy=_remedy,
            retry_policy=retry_policy or RetryPolicy(),
            requests_per_minute=requests_per_minute,
            concurrency=concurrency,
            secrets=[token],
        )
        super().__init__("bubble-client", self._transport, self._transport.traffic)
        self._pages = PageReader(self._transport, page_size=page_size)
        self._concurrency = concurrency
        self._list_size = list_size
        self._url_budget = url_budget
        self._cursor_cap = cursor_cap

    def scan(
        self,
        type_name: str,
        *,
        modified_since: datetime | None = None,
        modified_until: datetime | None = None,
    ) -> Scan:
        """Pages of all records, or of those modified after one instant and not after another."""
        changed = modified_since is not None or modified_until is not None
        query = Query(
            type_name=type_name,
            sort="Modified Date" if changed else "Created Date",
            after=None if modified_since is None else millis_of(modified_since),
            until=None if modified_until is None else millis_of(modified_until),
        )
        return Scan(
            self._event_loop,
            self._pages,
            query,
            segments=self._concurrency,
            cursor_cap=self._cursor_cap,
        )

    def lookup(self, type_name: str, ids: Iterable[str], *, field: str = "_id") -> Lookup:
        """Records whose `field` has one of the ids, requested in lists; raises what `look_up` does."""
        return self._event_loop.call(
            partial(
                look_up,
                self._pages,
                type_name,
                ids,
                key=field,
                list_size=self._list_size,
                url_budget=self._url_budget,
            )
        )

    def search(self, type_name: str, constraints: Iterable[Constraint]) -> list[Record]:
        """All records that meet every constraint."""
        query = Query(type_name=type_name, constraints=tuple(constraints))
        return self._event_loop.call(partial(self._read_all, query))

    def get(self, type_name: str, uid: str) -> Record | None:
        """One record, or None when there is none: deleted, hidden, or on another branch.

        Unlike a search, this sees a write at once.

        Raises:
            SourceRefused: token or type are not accepted.
        """
        path = f"{type_path(type_name)}/{quote(uid, safe='')}"
        return self._event_loop.call(
            partial(self._transport.get, path, read=self._record_or_none, accept={404})
        )

    def meta(self) -> dict[str, Any]:
        """Each type by its name, with `display` and its list of `fields`."""
        return self._event_loop.call(partial(self._transport.get, "meta", read=_types))

    async def _read_all(self, query: Query) -> list[Record]:
        reader = KeysetReader(self._pages, query)
        records: list[Record] = []
        while not reader.ended:
            records += await reader.next_records()
        return records

    def _record_or_none(self, response: Response) -> Record | None:
        if response.status != 404:
            return response_of(response)
        match response.json():
            case {"body": {"status": "MISSING_DATA"}}:
                return None
            case _:
                raise self._transport.refusal(response)


def _types(response: Response) -> dict[str, Any]:
    match response.json():
        case {"types": dict(types)}:
            return types
        case _:
            raise InvalidResponse("a description of the app without “types”")


def _remedy(status: int, path: str) -> str:
    match status:
        case 0:
            return "Try again later, or check BUBBLE_API_URL; a call is tried for SYNC_SOURCE_OUTAGE seconds."
        case 401 | 403:
            return (
                "Check BUBBLE_API_TOKEN: it has to be an API token of this app, made in "
                "Settings → API, and the Data API has to be enabled for the branch in BUBBLE_API_URL."
            )
        case 404 if "/obj/" in path:
            type_name = unquote(path.partition("/obj/")[2].partition("/")[0])
            return (
                f"Enable the type “{type_name}” in Settings → API → Data API, check the branch in "
                "BUBBLE_API_URL, and the spelling of the type and of the fields asked for."
            )
        case 414:
            return "Something on the way does not take URLs of this length: ask for shorter lists."
        case _:
            return "Check BUBBLE_API_URL, and the names of the type and of the fields asked for."
