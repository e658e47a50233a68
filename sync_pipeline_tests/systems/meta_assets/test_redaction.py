"""Tokens show in nothing that is written down: not in logs, errors, reprs or outcomes."""

import logging
from typing import Any

import pytest

from sync_pipeline.simulators.faults import Fault
from sync_pipeline.simulators.meta_assets.errors import GraphError
from sync_pipeline.simulators.meta_assets.simulator import MetaSimulator
from sync_pipeline_tests.fixtures.meta_assets import HARBOUR, NORTH
from sync_pipeline_tests.systems.meta_assets.fast_client import client_of, request, results_of

SECRET = "EAAGquaint/odd+token=for|nobody's,eyes"
"""Changes when it is percent-encoded, and when JSON escapes it."""


@pytest.mark.parametrize("echo", ["plain", "quoted"])
def test_an_echoed_token_is_blotted_out_before_the_words_are_cut(
    meta: MetaSimulator, echo: Any
) -> None:
    meta.options.echo = echo
    lengths = range(100, 200, 3)
    for length in lengths:
        meta.errors.arm(GraphError(code=100, message="x" * length), path=f"/{length}/")
    results = results_of(meta, *(request(str(length), SECRET) for length in lengths))
    texts = [a.error.text for a in results if a.error]
    assert len(texts) == len(lengths)
    assert not any("quaint" in text or "EAAG" in text for text in texts)
    assert not any("access_token=E" in text for text in texts)


@pytest.mark.parametrize("echo", ["no", "plain", "quoted"])
def test_no_log_no_repr_and_no_answer_holds_a_token(
    meta: MetaSimulator, caplog: pytest.LogCaptureFixture, echo: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    meta.options.echo = echo
    for token in (SECRET, "EAAGbroken/+token"):
        meta.accounts.connect(HARBOUR, (), token)
    meta.accounts.break_token("EAAGbroken/+token")
    meta.errors.arm(GraphError(code=4, status=429), times=1, token=SECRET)
    meta.errors.arm(GraphError(code=2, status=500), times=1, token=SECRET)
    meta.faults.add(Fault(kind="cut", times=1), Fault(kind="reset", nth=3, times=1))
    requests = [
        request(HARBOUR, SECRET),
        request(HARBOUR, "EAAGbroken/+token", workspace="w2"),
        request(NORTH, "EAAG with blanks", workspace="w3"),
    ]
    results = results_of(meta, *requests, page_size=25)
    with client_of(meta) as client:
        written = f"{results!r} {client!r} {vars(client)!r} {caplog.text}"
    assert len([a for a in results if a.error]) == 2
    assert "trying again" in caplog.text
    for form in ("quaint", "odd", "eyes", "EAAGbroken", "with blanks"):
        assert form not in written
