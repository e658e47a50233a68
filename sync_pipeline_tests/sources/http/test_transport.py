"""The transport over real HTTP: what is retried, what is final, what is counted."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any, TypeVar

import anyio
import pytest

from sync_pipeline.errors import SourceBroken, SourceRefused, SourceUnavailable
from sync_pipeline.simulators.bubble.simulator import BubbleSimulator
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.sources.event_loop import gather
from sync_pipeline.sources.http.retry import InvalidResponse, Retries, RetryableError, RetryPolicy
from sync_pipeline.sources.http.transport import HttpTransport, Response
from sync_pipeline_tests.fixtures.fast_retries import QUICK

T = TypeVar("T")

BRIEF = replace(QUICK, time_budget=timedelta(seconds=0.4))


def with_transport(
    bubble: BubbleSimulator, work: Callable[[HttpTransport], Awaitable[T]], **settings: Any
) -> T:
    async def run() -> T:
        given = {"retry_policy": QUICK, "requests_per_minute": 1e6, "concurrency": 4, **settings}
        async with HttpTransport(
            "Source",
            given.pop("url", bubble.url),
            headers={"Authorization": f"Bearer {bubble.token}"},
            remedy=lambda status, path: f"Check what answers {status} at {path}.",
            secrets=[bubble.token],
            **given,
        ) as transport:
            return await work(transport)

    return anyio.run(run)


async def ask(transport: HttpTransport) -> Any:
    return await transport.get("obj/agent", read=Response.json)


async def ask_and_count(transport: HttpTransport) -> tuple[int, int]:
    await ask(transport)
    return transport.traffic.calls, transport.traffic.retries


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset"),
        Fault(kind="stall", seconds=20),
        Fault(kind="truncate"),
        Fault(kind="cut"),
        Fault(kind="garbage", body="html"),
        Fault(kind="garbage", body="plain"),
        *(Fault(kind="status", status=status) for status in (408, 425, 429, 500, 502, 503, 504)),
        Fault(kind="status", status=429, body="plain"),
        Fault(kind="status", status=503, body="html"),
        Fault(kind="status", status=429, headers={"Retry-After": "0"}),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status} {fault.body}",
)
class TestRetryable:
    def test_a_passing_failure_is_survived(self, bubble: BubbleSimulator, fault: Fault) -> None:
        bubble.faults.add(replace(fault, times=2))
        assert with_transport(bubble, ask_and_count) == (3, 2)

    def test_a_lasting_failure_ends_in_an_error_within_the_budget(
        self, bubble: BubbleSimulator, fault: Fault
    ) -> None:
        bubble.faults.add(fault)
        begun = time.monotonic()
        broken = fault.kind in {"truncate", "cut", "garbage"}
        with pytest.raises(SourceBroken if broken else SourceUnavailable) as failure:
            with_transport(bubble, ask, retry_policy=BRIEF)
        assert time.monotonic() - begun < 2
        assert "GET /version-live/api/1.1/obj/agent" in str(failure.value)
        assert bubble.stats.total == 4 if broken else bubble.stats.total > 0


class TestRetryAfter:
    def test_the_source_says_how_long_to_wait(self, bubble: BubbleSimulator) -> None:
        bubble.faults.add(Fault(kind="status", status=429, times=1, headers={"Retry-After": "1"}))
        begun = time.monotonic()
        assert with_transport(bubble, ask_and_count) == (2, 1)
        assert 1 <= time.monotonic() - begun < 3

    def test_it_may_say_until_when(self, bubble: BubbleSimulator) -> None:
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        bubble.faults.add(Fault(kind="status", status=503, times=1, headers={"Retry-After": until}))
        begun = time.monotonic()
        assert with_transport(bubble, ask_and_count) == (2, 1)
        assert 0.9 <= time.monotonic() - begun < 3

    @pytest.mark.parametrize(
        "value",
        [
            "soon",
            "",
            "-5",
            "Wed, 99 Foo 2026",
            "Fri, 31 Dec 99999999999 23:59:59 GMT",
        ],
    )
    def test_nonsense_is_ignored(self, bubble: BubbleSimulator, value: str) -> None:
        bubble.faults.add(Fault(kind="status", status=429, times=1, headers={"Retry-After": value}))
        assert with_transport(bubble, ask_and_count) == (2, 1)

    def test_an_absurd_value_is_capped(self, bubble: BubbleSimulator) -> None:
        bubble.faults.add(
            Fault(kind="status", status=429, times=1, headers={"Retry-After": "86400"})
        )
        retry_policy = replace(QUICK, longest_retry_after=timedelta(milliseconds=100))
        assert with_transport(bubble, ask_and_count, retry_policy=retry_policy) == (2, 1)

    def test_a_pause_longer_than_the_budget_is_not_waited_for(
        self, bubble: BubbleSimulator
    ) -> None:
        bubble.faults.add(Fault(kind="status", status=429, headers={"Retry-After": "30"}))
        begun = time.monotonic()
        with pytest.raises(SourceUnavailable, match="429"):
            with_transport(bubble, ask)
        assert time.monotonic() - begun < 1
        assert bubble.stats.total == 1

    def test_a_pause_holds_for_all_calls(self, bubble: BubbleSimulator) -> None:
        bubble.options.rate_limit_per_minute = 3
        bubble.options.rate_limit_window_s = 1
        bubble.options.rate_limit_retry_after = True

        async def ask_eight_times(transport: HttpTransport) -> int:
            await gather([partial(ask, transport)] * 8)
            return transport.traffic.calls

        # Three pass, and of the other five only those under way at that moment are turned away.
        assert with_transport(bubble, ask_eight_times, concurrency=1) <= 8 + 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 414, 422])
def test_other_client_errors_are_final_at_once(bubble: BubbleSimulator, status: int) -> None:
    bubble.faults.add(Fault(kind="status", status=status, body="html"))
    with pytest.raises(SourceRefused) as failure:
        with_transport(bubble, ask)
    message = str(failure.value)
    path = "/version-live/api/1.1/obj/agent"
    assert message.startswith(f"Source refused GET {path} with status {status}: “")
    assert message.endswith(f"”. Check what answers {status} at {path}.")
    assert "<" not in message
    assert bubble.stats.total == 1


def test_a_redirection_is_not_followed_because_the_token_is_for_this_host_only(
    bubble: BubbleSimulator,
) -> None:
    headers = {"Location": "https://elsewhere.example.com/api?secret=1"}
    bubble.faults.add(Fault(kind="status", status=301, headers=headers))
    with pytest.raises(SourceRefused, match=r"redirecting to https://elsewhere.example.com/api\."):
        with_transport(bubble, ask)


def test_a_redirection_that_repeats_the_token_is_reported_without_it(
    bubble: BubbleSimulator,
) -> None:
    headers = {"Location": f"https://elsewhere.example.com/{bubble.token}/x#access={bubble.token}"}
    bubble.faults.add(Fault(kind="status", status=302, headers=headers))
    with pytest.raises(SourceRefused, match=r"to https://elsewhere.example.com/\*\*\*/x\. Check"):
        with_transport(bubble, ask)


def test_a_source_that_does_not_listen_is_unavailable(bubble: BubbleSimulator) -> None:
    bubble.stop()
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        with_transport(bubble, ask, retry_policy=BRIEF)


def test_a_reader_may_ask_for_another_attempt_or_a_status_of_its_own(
    bubble: BubbleSimulator,
) -> None:
    bubble.faults.add(Fault(kind="status", status=409, times=1))

    def read(reply: Response) -> int:
        if reply.status == 409:
            raise RetryableError("busy", wait=0.01)
        return reply.status

    async def ask_patiently(transport: HttpTransport) -> int:
        return await transport.get("obj/agent", read=read, accept={409})

    assert with_transport(bubble, ask_patiently) == 200


def test_a_secret_that_the_source_echoes_is_blotted_out(bubble: BubbleSimulator) -> None:
    async def ask_for_the_token(transport: HttpTransport) -> Any:
        return await transport.get(f"obj/agent/{bubble.token}", read=Response.json)

    with pytest.raises(SourceRefused, match=r"object with id \*\*\* does not exist"):
        with_transport(bubble, ask_for_the_token)


class TestPace:
    def test_half_of_the_minutes_calls_may_come_at_once(self, bubble: BubbleSimulator) -> None:
        async def ask_for_a_moment(transport: HttpTransport) -> int:
            with anyio.move_on_after(1):
                await gather([partial(ask, transport)] * 20)
            return transport.traffic.calls

        assert with_transport(bubble, ask_for_a_moment, requests_per_minute=16) == 8

    def test_a_pace_below_one_a_minute_is_possible(self, bubble: BubbleSimulator) -> None:
        assert with_transport(bubble, ask_and_count, requests_per_minute=0.5) == (1, 0)

    def test_no_more_calls_are_under_way_than_allowed(self, bubble: BubbleSimulator) -> None:
        bubble.options.latency_ms = 20

        async def ask_often(transport: HttpTransport) -> None:
            await gather([partial(ask, transport)] * 20)

        with_transport(bubble, ask_often, concurrency=3)
        assert bubble.stats.max_concurrent == 3

    def test_waiting_in_line_is_not_charged_to_the_source(self, bubble: BubbleSimulator) -> None:
        bubble.options.latency_ms = 60

        async def ask_often(transport: HttpTransport) -> None:
            await gather([partial(ask, transport)] * 12)

        with_transport(bubble, ask_often, concurrency=1, retry_policy=BRIEF)


class TestRetries:
    def test_waits_are_drawn_from_zero_to_a_bound_that_doubles(self) -> None:
        retry_policy = RetryPolicy(
            first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=4)
        )

        def fourfold() -> list[float]:
            retries = Retries(retry_policy, "GET /")
            retries.start()
            return [float(retries.wait_after(RetryableError("no"))) for _ in range(4)]

        columns = zip(*(fourfold() for _ in range(300)), strict=True)
        for waits, bound in zip(columns, [1, 2, 4, 4], strict=True):
            assert 0.9 * bound < max(waits) <= bound
            assert min(waits) < 0.1 * bound

    def test_a_bound_on_attempts_does_not_count_being_told_to_slow_down(self) -> None:
        retries = Retries(QUICK, "GET /", attempts=2)
        retries.start()
        assert retries.wait_after(RetryableError("status 429", counts=False)) is not False
        assert retries.wait_after(RetryableError("status 500")) is not False
        assert retries.wait_after(RetryableError("status 500")) is False

    def test_nonsense_now_and_then_in_an_outage_does_not_make_the_source_broken(self) -> None:
        retries = Retries(QUICK, "GET /", attempts=2)
        retries.start()
        retries.wait_after(RetryableError("status 500"))
        assert retries.wait_after(InvalidResponse("a body cut short")) is False
        failure = retries.exhausted()
        assert isinstance(failure, SourceUnavailable)
        assert "status 500; a body cut short" in str(failure)

    def test_other_errors_are_not_retried(self) -> None:
        assert Retries(QUICK, "GET /").wait_after(ZeroDivisionError()) is False
