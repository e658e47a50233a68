"""Lookup of records by lists of values; bisects a list that fails, to isolate the values that cause it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from urllib.parse import quote

import orjson

from sync_pipeline.errors import SourceBroken, SourceRefused, SourceUnavailable
from sync_pipeline.sources.event_loop import gather
from sync_pipeline.systems.bubble.api.keyset import KeysetReader
from sync_pipeline.systems.bubble.api.pages import Constraint, PageReader, Query, Record, encoded

# A list that fails is divided after few attempts; another request finds out whether the source is down.
_ATTEMPTS_OF_LIST = 3
_ATTEMPTS_OF_HALF = 2
# One bad value among 50 costs about six failed calls. With more failures the values are not the cause.
_MAX_FAILED_LISTS = 50


@dataclass
class Lookup:
    """The result of a lookup.

    Attributes:
        records: those found, in the order of the lists.
        missing: ids without a record, only of a lookup by `_id`: deleted, hidden, or on another branch.
        failed: values that could not be retrieved, each with the reason; they may or may not exist.
    """

    records: list[Record] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


async def look_up(
    pages: PageReader,
    type_name: str,
    values: Iterable[str],
    *,
    key: str,
    list_size: int,
    url_budget: int,
) -> Lookup:
    """Records whose field `key` has one of the values.

    Raises:
        SourceRefused: token, type or field are not accepted.
        SourceBroken: most of the lists fail, although the source answers.
        SourceUnavailable: the source does not answer.
    """
    requested = list(dict.fromkeys(values))
    finder = _ListLookup(pages, type_name, key)
    lists = list(lists_of(requested, key=key, list_size=list_size, url_budget=url_budget))
    found = await gather(partial(finder.find, each) for each in lists)
    records = [record for part in found for record in part]
    missing: list[str] = []
    if key == "_id":
        known = {record["_id"] for record in records} | finder.failed.keys()
        missing = [value for value in requested if value not in known]
    return Lookup(records, missing, finder.failed)


def lists_of(
    values: list[str], *, key: str, list_size: int, url_budget: int
) -> Iterator[list[str]]:
    """The values in lists that keep both bounds; a single value may exceed the URL's."""
    empty = len(quote(encoded([Constraint(key, "in", [])]), safe=""))
    part: list[str] = []
    length = empty
    for value in values:
        cost = len(quote(orjson.dumps([value]), safe="")) - len(quote("[]", safe="")) + len("%2C")
        if part and (len(part) == list_size or length + cost > url_budget):
            yield part
            part, length = [], empty
        part.append(value)
        length += cost
    if part:
        yield part


class _ListLookup:
    def __init__(self, pages: PageReader, type_name: str, key: str) -> None:
        self.failed: dict[str, str] = {}
        self._pages = pages
        self._type_name = type_name
        self._key = key
        self._failures = count(1)

    async def find(self, values: list[str]) -> list[Record]:
        try:
            return await self._read(values, attempts=_ATTEMPTS_OF_LIST)
        except (SourceBroken, SourceUnavailable) as error:
            # A request without these values has the whole time budget. If it succeeds, the source is up
            # and the values are the cause.
            await self._pages.page(Query(type_name=self._type_name), limit=1)
            return await self._divide(values, error)

    async def _divide(self, values: list[str], error: Exception) -> list[Record]:
        if next(self._failures) > _MAX_FAILED_LISTS:
            raise error
        if len(values) == 1:
            self.failed[values[0]] = str(error)
            return []
        middle = len(values) // 2
        records: list[Record] = []
        for half in (values[:middle], values[middle:]):
            try:
                records += await self._read(half, attempts=_ATTEMPTS_OF_HALF)
            except (SourceBroken, SourceUnavailable) as cause:
                records += await self._divide(half, cause)
        return records

    async def _read(self, values: list[str], *, attempts: int) -> list[Record]:
        query = Query(type_name=self._type_name, constraints=(Constraint(self._key, "in", values),))
        reader = KeysetReader(self._pages, query, attempts=attempts)
        records: list[Record] = []
        while not reader.ended:
            page = await reader.next_records()
            self._require_asked_for(page, values)
            records += page
        return records

    def _require_asked_for(self, page: list[Record], values: list[str]) -> None:
        if self._key == "_id" and not {record["_id"] for record in page} <= set(values):
            raise SourceRefused(
                f"Bubble gives records of {self._type_name} that were not asked for: the constraint on "
                "_id is not applied. Is BUBBLE_API_TOKEN an API token of the app, and not a user's?"
            )
