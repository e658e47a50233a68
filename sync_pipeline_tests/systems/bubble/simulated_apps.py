"""Simulated apps whose records a test lays out itself, and clients that talk to them in haste."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

from sync_pipeline.simulators.bubble.company import make_company
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.systems.bubble.api.client import BubbleClient
from sync_pipeline.systems.bubble.api.dates import bubble_date
from sync_pipeline_tests.fixtures.fast_retries import QUICK

Record = dict[str, Any]

KIND = "payment"
FIRST_INSTANT = 1_700_000_000_000
_EMPTY = make_company(scale=0.01)


def payments(sizes: Iterable[int], *, modified_later: int = 0) -> list[Record]:
    """Records in instants of these sizes: `[1, 1, 50]` creates two one by one and 50 at once."""
    random = Random(7)
    return [
        {
            "_id": f"{instant}x{random.randrange(10**17, 10**18)}",
            "Created Date": bubble_date(instant),
            "Modified Date": bubble_date(instant + modified_later),
            "Remark": f"payment {number}",
        }
        for instant, size in enumerate(sizes, start=FIRST_INSTANT)
        for number in range(size)
    ]


@contextmanager
def app_with(records: list[Record], options: Options | None = None) -> Iterator[BubbleSimulator]:
    """A running app that holds nothing but these payments."""
    nothing: dict[str, list[Record]] = {kind: [] for kind in _EMPTY.records}
    company = replace(_EMPTY, records={**nothing, KIND: records})
    with BubbleSimulator(company, options) as simulator:
        yield simulator


def client_of(bubble: BubbleSimulator, **settings: Any) -> BubbleClient:
    """A client that does not dawdle; with pages of ten, a few hundred records are many pages."""
    hasty: dict[str, Any] = {"retry_policy": QUICK, "requests_per_minute": 1e6, "page_size": 10}
    return BubbleClient(bubble.url, settings.pop("token", bubble.token), **{**hasty, **settings})


def ids_of(pages: Iterable[list[Record]]) -> list[str]:
    """The ids on all pages, in the order in which they came."""
    return [record["_id"] for page in pages for record in page]
