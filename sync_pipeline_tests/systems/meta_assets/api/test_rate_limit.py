"""Going slower as the rate limit is used up, and stopping before it is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync_pipeline.simulators.meta_assets.credentials import PHONES
from sync_pipeline.simulators.meta_assets.errors import GraphError
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.fixtures.meta_assets import HARBOUR, NORTH
from sync_pipeline_tests.systems.meta_assets.fast_client import (
    Naps,
    error_of,
    ids,
    request,
    results_of,
)

LONG_BUDGET = replace(QUICK, time_budget=timedelta(seconds=200))


def naps_at(meta: MetaSimulator, **options: int | None) -> list[float]:
    """The waits of a client that reads an account of sixty numbers in three calls."""
    meta.options.update(options)
    naps = Naps()
    results = results_of(
        meta, request(HARBOUR, meta.token), page_size=25, sleep=naps, retry_policy=LONG_BUDGET
    )
    assert tuple(ids(results)) == PHONES[HARBOUR]
    return naps.seconds


@pytest.mark.parametrize("which", ["app_usage", "business_usage"])
def test_from_75_per_cent_on_each_call_waits_and_the_longer_the_more_is_used(
    meta: MetaSimulator, which: str
) -> None:
    assert naps_at(meta, **{which: 74}) == []
    at_75, at_90, at_95 = (naps_at(meta, **{which: n}) for n in (75, 90, 95))
    # The first call cannot know, the other two do.
    assert [len(naps) for naps in (at_75, at_90, at_95)] == [2, 2, 2]
    assert 0 < at_75[0] < at_90[0] < at_95[0] == 5


def test_replies_without_such_headers_say_nothing(meta: MetaSimulator) -> None:
    assert naps_at(meta, app_usage=None, business_usage=None) == []


def test_above_95_it_stops_until_the_limit_is_reset(meta: MetaSimulator) -> None:
    meta.options.update({"business_usage": 97, "regain_minutes": 3})
    naps = Naps(meanwhile=lambda: meta.options.update({"business_usage": 5, "regain_minutes": 0}))
    results = results_of(
        meta, request(HARBOUR, meta.token), page_size=25, sleep=naps, retry_policy=LONG_BUDGET
    )
    assert tuple(ids(results)) == PHONES[HARBOUR]
    assert naps.seconds == [180]


def test_it_does_not_wait_for_longer_than_the_budget_in_all(meta: MetaSimulator) -> None:
    meta.options.update({"business_usage": 97, "regain_minutes": 2})
    naps = Naps()
    *read, last = results_of(
        meta, request(HARBOUR, meta.token), page_size=25, sleep=naps, retry_policy=LONG_BUDGET
    )
    assert (naps.seconds, len(ids(read)), meta.stats.total) == ([120], 50, 2)
    assert last.error is not None
    assert (
        last.error.text == "HTTP 429: not asked, because more than 95 % of the rate limit is used"
    )


def test_a_used_up_limit_is_waited_for_only_if_it_returns_within_the_budget(
    meta: MetaSimulator,
) -> None:
    meta.options.update({"business_usage": 100, "regain_minutes": 30})
    meta.errors.arm(GraphError(code=80008, message="(#80008) Too many calls"))
    error = error_of(meta, request(NORTH, meta.token))
    assert error.text == "HTTP 400: code 80008: (#80008) Too many calls"
    assert meta.stats.total == 1


def test_tokens_are_slowed_down_each_by_itself(meta: MetaSimulator) -> None:
    meta.accounts.connect("555", ("5550001",), "EAAanotherToken")
    meta.options.business_usage = 90
    naps = Naps()
    requests = [request(NORTH, meta.token), request("555", "EAAanotherToken", workspace="w2")]
    assert len(ids(results_of(meta, *requests, sleep=naps))) == 3
    assert naps.seconds == []
