"""What follows from an error: its code decides, not the HTTP status."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sync_pipeline.simulators.clock import ManualClock
from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.meta_assets.errors import GraphError
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline.systems.meta_assets.api.errors import ErrorKind
from sync_pipeline_tests.fixtures.fast_retries import QUICK
from sync_pipeline_tests.fixtures.meta_assets import NORTH
from sync_pipeline_tests.systems.meta_assets.fast_client import error_of, ids, request, results_of

BRIEF = replace(QUICK, time_budget=timedelta(seconds=0.2))


FINAL = (
    (190, 460, ErrorKind.CREDENTIAL),
    (190, 463, ErrorKind.CREDENTIAL),
    (102, None, ErrorKind.CREDENTIAL),
    (10, None, ErrorKind.PERMISSION),
    (200, None, ErrorKind.PERMISSION),
    (100, 33, ErrorKind.MISSING),
    (803, None, ErrorKind.MISSING),
    (100, None, ErrorKind.REFUSED),
    (99999, None, ErrorKind.REFUSED),
)
TRANSIENT = (
    *(GraphError(code=code) for code in (4, 17, 32, 613, 80008)),
    GraphError(code=4, subcode=2446079, status=429, transient=True),
    GraphError(code=613, status=403),
    GraphError(code=2),
    GraphError(code=2, status=500),
    GraphError(code=131000, status=500),
    GraphError(code=1, status=503),
    GraphError(code=99999, transient=True),
    GraphError(code=99999, status=429),
)


@pytest.mark.parametrize("status", [400, 403])
def test_a_final_error_is_not_retried_whatever_its_status(meta: MetaSimulator, status: int) -> None:
    requests = []
    for place, (code, subcode, kind) in enumerate(FINAL):
        error = GraphError(code=code, subcode=subcode, status=status, message="No.")
        meta.errors.arm(error, path=f"/{place}/")
        # A token that was refused is not sent again.
        token = f"EAA{place}" if kind is ErrorKind.CREDENTIAL else meta.token
        requests.append(request(str(place), token))
    errors = [a.error for a in results_of(meta, *requests) if a.error]
    assert [c.kind for c in errors] == [kind for _, _, kind in FINAL]
    assert [c.text for c in errors] == [
        f"HTTP {status}: code {code}{f', subcode {subcode}' if subcode else ''}: No."
        for code, subcode, _ in FINAL
    ]
    assert not any(c.of_host for c in errors)
    assert meta.stats.total == len(FINAL)


def test_a_refused_token_is_final_even_if_the_server_failed(meta: MetaSimulator) -> None:
    meta.errors.arm(GraphError(code=190, status=500))
    assert error_of(meta, request(NORTH, meta.token)).kind is ErrorKind.CREDENTIAL
    assert meta.stats.total == 1


def test_a_transient_error_is_retried(meta: MetaSimulator) -> None:
    accounts = [f"70{place}" for place in range(len(TRANSIENT))]
    for account, error in zip(accounts, TRANSIENT, strict=True):
        meta.accounts.connect(account, (f"{account}1",), meta.token)
        meta.errors.arm(error, times=2, path=f"/{account}/")
    results = results_of(
        meta, *(request(account, meta.token, workspace=account) for account in accounts)
    )
    assert sorted(ids(results)) == sorted(f"{account}1" for account in accounts)
    assert meta.stats.total == 3 * len(TRANSIENT)


def test_what_does_not_pass_is_given_up_in_the_words_of_the_source(meta: MetaSimulator) -> None:
    meta.errors.arm(GraphError(code=17, message="User request limit reached"))
    error = error_of(meta, request(NORTH, meta.token), retry_policy=BRIEF)
    assert error.text == "HTTP 400: code 17: User request limit reached"
    assert error.kind is ErrorKind.THROTTLED


def test_words_that_were_heard_count_more_than_the_silence_after_them(
    meta: MetaSimulator,
) -> None:
    meta.errors.arm(GraphError(code=2, message="Service temporarily unavailable"))
    meta.faults.add(Fault(kind="stall", nth=2, seconds=20))
    error = error_of(meta, request(NORTH, meta.token), retry_policy=BRIEF)
    assert error.text == "HTTP 400: code 2: Service temporarily unavailable"
    assert not error.of_host


def test_a_proxy_may_say_how_long_to_wait(meta: MetaSimulator) -> None:
    late = {"Retry-After": "3600"}
    meta.faults.add(Fault(kind="status", status=429, body="plain", headers=late))
    error = error_of(meta, request(NORTH, meta.token))
    assert error.kind is ErrorKind.THROTTLED
    assert meta.stats.total == 1


def test_a_listing_without_data_is_not_the_protocol(meta: MetaSimulator) -> None:
    meta.faults.add(Fault(kind="status", status=200))
    error = error_of(meta, request(NORTH, meta.token))
    assert error.text == "HTTP 200: an answer that is not the protocol of the Graph API"


def test_the_same_error_has_the_same_words_each_time() -> None:
    clock = ManualClock(datetime(2026, 11, 21, 8, tzinfo=UTC))
    texts = set()
    with MetaSimulator(clock=clock) as meta:
        meta.accounts.break_token(meta.token)
        for _ in range(2):
            texts.add(error_of(meta, request(NORTH, meta.token)).text)
            clock.advance(minutes=71)
    (text,) = texts
    assert text.startswith("HTTP 400: code 190, subcode 463: Error validating access token:")
    assert text.endswith("Session has expired on Friday, 01-May-26 00:00:00 PDT.")


def test_long_words_are_cut_at_two_hundred_characters(meta: MetaSimulator) -> None:
    meta.errors.arm(GraphError(code=100, message="x" * 500))
    text = error_of(meta, request(NORTH, meta.token)).text
    assert text.startswith("HTTP 400: code 100: xxx")
    assert len(text) == len("HTTP 400: ") + 200
