"""Tokens of the client credentials flow, from the simulated gateway's token endpoint."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest

from sync_pipeline.errors import SourceBroken, SourceRefused, SourceUnavailable
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.integrations.simulator import QuSimulator
from sync_pipeline.sources.event_loop import gather
from sync_pipeline.sources.http.oauth import ClientCredentials
from sync_pipeline.sources.http.transport import HttpTransport, Response
from sync_pipeline.systems.integrations.api import TOKENS, QuClient
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.fixtures.integrations import client_of, config_of

TOKEN_CALLS = f"POST /{TOKENS}".replace("api/v4/", "")
BRIEF = replace(QUICK, time_budget=timedelta(seconds=0.3))
SECOND_MINUTE = 61.0


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def ask(transport: HttpTransport) -> Any:
    return await transport.get("api/v4/locations/1001", read=Response.json)


def with_credentials(
    qu: QuSimulator, work: Callable[[HttpTransport], Any], clock: Clock | None = None
) -> ClientCredentials:
    forms = 0

    def form() -> dict[str, str]:
        nonlocal forms
        forms += 1
        return {
            "grant_type": "client_credentials",
            "client_id": qu.client_id,
            "client_secret": qu.client_secret,
        }

    auth = ClientCredentials(
        "Source",
        f"{qu.url}/{TOKENS}",
        form,
        secrets=[qu.client_secret],
        remedy="Check SOURCE_SECRET.",
        clock=clock or Clock(),
    )

    async def run() -> None:
        async with HttpTransport(
            "Source",
            qu.url,
            headers={},
            remedy=lambda _, path: f"Check {path}.",
            retry_policy=QUICK,
            requests_per_minute=1e6,
            concurrency=8,
            secrets=auth.secrets,
            auth=auth,
        ) as transport:
            await work(transport)
            assert transport.traffic.calls == qu.stats.total

    anyio.run(run)
    assert forms == qu.stats.by_path[TOKEN_CALLS]
    return auth


def test_concurrent_calls_request_one_token(qu: QuSimulator):
    qu.options.latency_ms = 10

    async def work(transport: HttpTransport) -> None:
        await gather([partial(ask, transport)] * 8)

    with_credentials(qu, work)
    assert qu.stats.by_path == {TOKEN_CALLS: 1, "GET /locations/{id}": 8}


def test_a_token_is_kept_until_shortly_before_it_expires(qu: QuSimulator):
    clock = Clock()

    async def work(transport: HttpTransport) -> None:
        await ask(transport)
        clock.now += 3_600 - SECOND_MINUTE
        await ask(transport)
        assert qu.stats.by_path[TOKEN_CALLS] == 1
        clock.now += SECOND_MINUTE / 2
        await ask(transport)
        assert qu.stats.by_path[TOKEN_CALLS] == 2

    with_credentials(qu, work, clock)
    assert qu.stats.by_status == {"200": 5}


def test_a_token_that_is_not_accepted_is_renewed_once_for_all_calls(qu: QuSimulator):
    async def work(transport: HttpTransport) -> None:
        await ask(transport)
        qu.gateway.expire_tokens()
        await gather([partial(ask, transport)] * 4)

    with_credentials(qu, work)
    assert qu.stats.by_path[TOKEN_CALLS] == 2


def test_a_gateway_that_accepts_no_token_refuses_after_one_more_try(
    qu: QuSimulator, qu_client: QuClient
):
    qu.faults.add(Fault(kind="status", status=401, type="menus"))
    with pytest.raises(
        SourceRefused, match=r"refused GET /api/v4/menus with status 401.*QU_CLIENT_ID"
    ):
        qu_client.menu(config_of())
    assert (qu.stats.by_type["menus"], qu.stats.by_type["authentication"]) == (2, 2)


def test_wrong_credentials_are_refused_at_once_naming_the_variables_and_not_the_secret(
    qu: QuSimulator, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    secret = "a-secret-of-somebody-else"
    with (
        client_of(qu, client_secret=secret) as client,
        pytest.raises(SourceRefused, match="Check QU_CLIENT_ID and QU_CLIENT_SECRET") as failure,
    ):
        client.menu(config_of())
    message = str(failure.value)
    assert (
        "POST /api/v4/authentication/oauth2/access-token with status 401: “invalid_client”"
        in message
    )
    assert secret not in message + repr(failure.value) + caplog.text
    assert qu.stats.total == 1


def test_a_token_that_the_source_echoes_is_blotted_out(qu: QuSimulator):
    qu.options.token_lifetime_s = 0

    async def work(transport: HttpTransport) -> None:
        with pytest.raises(SourceRefused, match=r"the token \*\*\* is not valid"):
            await ask(transport)

    auth = with_credentials(qu, work)
    assert auth.secrets == {qu.client_secret, "invented-token-0001", "invented-token-0002"}
    assert "invented-token" not in repr(vars(auth)["_token"])


def test_no_part_of_a_secret_is_left_where_words_are_shortened():
    secret = "x" * 900
    reply = Response(
        401, {}, b'{"error": "the token %s is old"}' % secret.encode(), "/", secrets=(secret,)
    )
    assert reply.quoted == ": “the token *** is old”"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="status", status=503),
        Fault(kind="status", status=429, headers={"Retry-After": "0"}),
        Fault(kind="garbage", body="html"),
        Fault(kind="status", status=200),
        Fault(kind="reset"),
        Fault(kind="truncate"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_a_token_endpoint_that_fails_for_a_while_is_retried(qu: QuSimulator, fault: Fault):
    qu.faults.add(replace(fault, type="authentication", times=2))
    with client_of(qu) as client:
        assert client.generation(config_of())
        assert client.traffic.retries == 2


def test_a_token_endpoint_that_keeps_failing_makes_the_source_unavailable_or_broken(
    qu: QuSimulator,
):
    for fault, failure in [
        (Fault(kind="garbage", type="authentication"), SourceBroken),
        (Fault(kind="status", status=500, type="authentication"), SourceUnavailable),
    ]:
        qu.faults.replace([fault])
        with (
            client_of(qu, retry_policy=BRIEF) as client,
            pytest.raises(failure, match="request for a token"),
        ):
            client.generation(config_of())
