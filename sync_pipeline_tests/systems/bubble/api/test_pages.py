"""Which answers of a listing are believed, and how a walk and its dates treat odd ones."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import anyio
import httpx2
import orjson
import pytest

from sync_pipeline.errors import SourceBroken
from sync_pipeline.sources.http.retry import InvalidResponse
from sync_pipeline.sources.http.transport import Response
from sync_pipeline.systems.bubble.api.dates import bubble_date, millis_of, moment_of
from sync_pipeline.systems.bubble.api.keyset import KeysetReader
from sync_pipeline.systems.bubble.api.pages import Page, PageReader, Query, read_page

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def record(millis: int, **values: Any) -> dict[str, Any]:
    date = bubble_date(millis_of(NOON) + millis)
    return {"_id": f"{millis}x1", "Created Date": date, "Modified Date": date, **values}


def reply(content: Any) -> Response:
    return Response(200, httpx2.Headers(), orjson.dumps(content), "/obj/payment")


def listing(*results: Any, remaining: Any = 0) -> Any:
    return {"response": {"results": results, "remaining": remaining}}


@pytest.mark.parametrize(
    "content",
    [
        [],
        "ok",
        {"results": [], "remaining": 0},
        {"response": []},
        {"response": {"results": []}},
        listing(remaining=None),
        listing(remaining=-1),
        listing(remaining=7),
        listing(7),
        listing({"Created Date": bubble_date(0)}),
        listing(record(5, _id=5)),
        listing(record(5, **{"Created Date": None})),
        listing(record(5, **{"Modified Date": "yesterday"})),
        listing(record(6), record(5)),
        listing(record(-1)),
        listing(record(101)),
    ],
)
def test_an_answer_that_contradicts_the_question_is_not_believed(content: Any) -> None:
    noon = millis_of(NOON)
    query = Query(type_name="payment", after=noon, until=noon + 100)
    with pytest.raises(InvalidResponse):
        read_page(query, reply(content), cursor=0)


def test_an_answer_that_fits_the_question_is_believed() -> None:
    records = [record(5), record(5, _id="other"), record(6)]
    page = read_page(Query(type_name="payment"), reply(listing(*records, remaining=7)), cursor=0)
    assert page.records == records
    assert page.total == 10


def test_nothing_past_the_cursor_cap_is_an_answer_although_more_remains() -> None:
    page = read_page(Query(type_name="payment"), reply(listing(remaining=7)), cursor=50_000)
    assert page.records == []


def test_a_walk_that_is_given_the_same_page_for_ever_fails() -> None:
    class Stuck:
        page_size = 2

        async def page(self, *_: Any, **__: Any) -> Page:
            return Page([record(2)], [2], 40, None)

    async def walk_to_the_end() -> None:
        walk = KeysetReader(cast("PageReader", Stuck()), Query(type_name="payment"))
        while not walk.ended:
            await walk.next_records()

    with pytest.raises(SourceBroken, match="the same page again and again"):
        anyio.run(walk_to_the_end)


@pytest.mark.parametrize(
    "value",
    [
        "2025-06-01T12:00:00.000Z",
        "2025-06-01T20:00:00+08:00",
        1_748_779_200_000,
        1_748_779_200_000.0,
        "1748779200000",
        NOON,
        NOON.astimezone(timezone(timedelta(hours=8))) + timedelta(microseconds=999),
    ],
)
def test_dates_are_understood_in_every_form_that_bubble_uses(value: object) -> None:
    assert millis_of(value) == 1_748_779_200_000
    assert moment_of(millis_of(value)) == NOON


@pytest.mark.parametrize("value", ["", "yesterday", "2025-06-01", None, True, datetime(2025, 6, 1)])  # noqa: DTZ001
def test_what_is_no_instant_is_no_date(value: object) -> None:
    with pytest.raises(ValueError, match=r"date|isoformat"):
        millis_of(value)
