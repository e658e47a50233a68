"""Requests for one page of a type's records, and validation of the response.

The order of pages, and what a sequence of them proves, belongs to `keyset` and `scan`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import quote

import orjson

from sync_pipeline.sources.http.retry import InvalidResponse
from sync_pipeline.sources.http.transport import HttpTransport, Response
from sync_pipeline.systems.bubble.api.dates import bubble_date, millis_of

Record = dict[str, Any]
SortField = Literal["Created Date", "Modified Date"]
ConstraintType = Literal[
    "equals",
    "not equal",
    "is_empty",
    "is_not_empty",
    "text contains",
    "not text contains",
    "greater than",
    "less than",
    "in",
    "not in",
    "contains",
    "not contains",
    "empty",
    "not empty",
]

# Bubble's order among equal sort values changes from request to request without this.
_TIE_BREAK = '[{"sort_field":"_id","descending":"false"}]'


@dataclass(frozen=True)
class Constraint:
    """A condition on one field; Bubble joins several by AND and knows no OR."""

    key: str
    constraint_type: ConstraintType
    value: Any = None


@dataclass(frozen=True, kw_only=True)
class Query:
    """The records of a type that meet the constraints, sorted ascending by `sort`, then `_id`.

    Attributes:
        after: keep records whose sort value, in milliseconds, is greater.
        until: keep records whose sort value is not greater than this.
    """

    type_name: str
    sort: SortField = "Created Date"
    constraints: tuple[Constraint, ...] = ()
    after: int | None = None
    until: int | None = None

    def params(self, *, cursor: int, limit: int) -> dict[str, str | int]:
        """The query string of one page."""
        constraints = [*self.constraints, *self._range()]
        given = {"constraints": encoded(constraints)} if constraints else {}
        return {
            "cursor": cursor,
            "limit": limit,
            "sort_field": self.sort,
            "additional_sort_fields": _TIE_BREAK,
            **given,
        }

    def holds(self, value: int) -> bool:
        """Whether the sort value lies in the range."""
        return (self.after is None or value > self.after) and (
            self.until is None or value <= self.until
        )

    def _range(self) -> Iterable[Constraint]:
        if self.after is not None:
            yield Constraint(self.sort, "greater than", bubble_date(self.after))
        if self.until is not None:
            # Bubble has no "not greater than"; its dates are whole milliseconds.
            yield Constraint(self.sort, "less than", bubble_date(self.until + 1))


@dataclass(frozen=True)
class Page:
    """A validated page.

    Attributes:
        records: as Bubble sent them.
        keys: their sort values in milliseconds.
        remaining: how many records follow them, as Bubble reports.
        date: the server's clock.
    """

    records: list[Record]
    keys: list[int]
    remaining: int
    date: datetime | None

    @property
    def total(self) -> int:
        """Records from the first of this page to the end of the query."""
        return len(self.records) + self.remaining


class PageReader:
    """Requests pages.

    Args:
        transport: an open one.
        page_size: records asked for at once; Bubble gives at most 100 whatever it is asked.
    """

    def __init__(self, transport: HttpTransport, *, page_size: int) -> None:
        self.page_size = page_size
        self._transport = transport

    async def page(
        self,
        query: Query,
        *,
        cursor: int = 0,
        limit: int | None = None,
        attempts: int | None = None,
    ) -> Page:
        """The page that begins at rank `cursor`, counted from 0.

        Raises:
            SourceRefused: token, type or constraints are not accepted.
            SourceBroken: the responses contradict the request.
            SourceUnavailable: there was no answer within the time budget.
        """
        return await self._transport.get(
            type_path(query.type_name),
            params=query.params(cursor=cursor, limit=limit or self.page_size),
            read=partial(read_page, query, cursor=cursor),
            attempts=attempts,
        )


def type_path(type_name: str) -> str:
    """The path of a type's records below the root of the API."""
    return f"obj/{quote(type_name, safe='')}"


def encoded(constraints: Iterable[Constraint]) -> str:
    """The JSON of the `constraints` parameter."""
    return orjson.dumps(list(map(_as_json, constraints))).decode()


def response_of(response: Response) -> Any:
    """The content of Bubble's envelope.

    Raises:
        InvalidResponse: there is no envelope.
    """
    match response.json():
        case {"response": content}:
            return content
        case _:
            raise InvalidResponse("JSON without “response”")


def read_page(query: Query, response: Response, *, cursor: int) -> Page:
    """The page in a response.

    Raises:
        InvalidResponse: the response is no page of records, or contradicts the request.
    """
    match response_of(response):
        case {"results": list(records), "remaining": int(remaining)} if remaining >= 0:
            keys = [_key(record, query.sort) for record in records]
        case _:
            raise InvalidResponse("a listing without “results” and “remaining”")
    if not records and remaining and not cursor:
        raise InvalidResponse(f"no records although {remaining} remain")
    if not all(map(query.holds, keys)):
        # With a user's token, privacy rules may hide the field: Bubble then drops the constraint silently.
        raise InvalidResponse(
            f"records outside of the range asked for: the constraint on “{query.sort}” is not applied. "
            "Is BUBBLE_API_TOKEN an API token of the app, and not a user's?"
        )
    if any(later < earlier for earlier, later in pairwise(keys)):
        raise InvalidResponse(f"records that are not in the order of “{query.sort}”")
    return Page(records, keys, remaining, response.date)


def _as_json(constraint: Constraint) -> dict[str, Any]:
    pair = {"key": constraint.key, "constraint_type": constraint.constraint_type}
    return pair if constraint.value is None else {**pair, "value": constraint.value}


def _key(record: Any, sort: SortField) -> int:
    try:
        # Scans report the greatest Modified Date whatever they sort by.
        millis_of(record.get("Modified Date", 0))
        if isinstance(record["_id"], str):
            return millis_of(record[sort])
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise InvalidResponse(f"a record without a usable “_id”, “{sort}” or “Modified Date”")
