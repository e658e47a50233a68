"""Secrets in texts, in every form that an echo may give them."""

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from sync_pipeline.sources.http.redaction import Redactor
from sync_pipeline.sources.http.response import Response

SECRET = "EAAGquaint/odd+token=for|nobody's,eyes"
"""Changes when it is percent-encoded, and when JSON or HTML escapes it."""
CLIENT_SECRET = 'q7/Zk+9d & "TTn0"\n\u00e9\U0001f511=='


@pytest.mark.parametrize(
    "text",
    [
        f"Malformed access token {SECRET}.",
        f"?access_token={quote(SECRET, safe='')}&limit=1",
        f"?access_token={quote(SECRET, safe='').replace('%2F', '%2f')}&limit=1",
        '{"token": "' + SECRET.replace("/", r"\/") + '"}',
        f"cut short: {SECRET[:-5]}",
        "?access_token=EAAGsomebodyElses&x=1",
        '{\\"access_token\\": \\"somebodyElses\\"}',
        "?fields=id&access_token=EAAGquaint%2Fodd%2Btok",
        "Malformed token EAAGsomebodyElses1f",
    ],
)
def test_a_token_is_blotted_out_in_every_form(text: str) -> None:
    blotted = Redactor(SECRET)(text)
    assert "***" in blotted
    assert not any(part in blotted for part in ("quaint", "odd", "nobody", "eyes", "some"))
    assert Redactor(SECRET)(blotted) == blotted


@pytest.mark.parametrize(
    "form",
    [
        CLIENT_SECRET,
        quote(CLIENT_SECRET, safe=""),
        quote(CLIENT_SECRET).replace("%2B", "%2b").replace("%3D", "%3d"),
        quote_plus(CLIENT_SECRET),
        quote(quote(CLIENT_SECRET, safe=""), safe=""),
        json.dumps(CLIENT_SECRET)[1:-1],
        json.dumps(CLIENT_SECRET, ensure_ascii=False)[1:-1].replace("/", r"\/"),
        json.dumps(CLIENT_SECRET)[1:-1].replace("+", r"\u002B").replace("=", r"\u003d"),
        json.dumps(json.dumps(CLIENT_SECRET))[3:-3],
        html.escape(CLIENT_SECRET),
        CLIENT_SECRET.replace("/", "&#x2F;").replace("+", "&#43;"),
        CLIENT_SECRET[:9],
    ],
)
def test_no_encoding_hides_a_secret(form: str) -> None:
    assert Redactor(CLIENT_SECRET)(f"bad: “{form}” twice “{form}”.") == "bad: “***” twice “***”."


def test_of_secrets_that_begin_alike_the_one_that_is_meant_is_blotted_out_whole() -> None:
    redactor = Redactor("invented-token-1", "invented-token-22", "invented-")
    assert redactor("invented-token-22 and invented-token-1!") == "*** and ***!"
    assert redactor("the one before, invented-tok.9-old.") == "the one before, ***."


def test_other_words_are_left_alone() -> None:
    text = "code 190: Error validating access token: EAA is a prefix, EARNINGS are not"
    assert Redactor(SECRET, "")(text) == text
    assert Redactor()(text) == text


@pytest.mark.parametrize(
    "body",
    [
        "bad request: client_id=id&client_secret=" + quote_plus(CLIENT_SECRET),
        json.dumps({"message": f"invalid client {CLIENT_SECRET}"}).replace("/", r"\/"),
        json.dumps({"message": f"invalid client {CLIENT_SECRET}"}).replace("+", r"\u002b"),
        json.dumps({"sent": {"key": CLIENT_SECRET}}).replace("+", r"\u002b"),
        json.dumps({"message": f"cut {CLIENT_SECRET}"}).replace("+", r"\u002b")[:-9],
        f"<p>invalid client <b>{html.escape(CLIENT_SECRET)}</b></p>",
        "x" * 190 + f" {CLIENT_SECRET}",
        "<i>" * 6_660 + f"bad {CLIENT_SECRET}",
    ],
)
def test_a_reply_is_quoted_without_the_secret_that_it_echoes(body: str) -> None:
    said = Response(400, {}, body.encode(), "/", secrets=(CLIENT_SECRET,)).quoted
    assert "*" in said
    assert not any(part in said for part in ("q7", "Zk", "9d", "TTn0", "==", "%3D"))


def test_a_redirection_is_reported_without_credentials() -> None:
    target = f"https://me:pass@host.example/in/{quote(SECRET, safe='')}/x#token=other"
    reply = Response(302, {"location": target}, b"", "/", secrets=(SECRET,))
    assert reply.redirection == "https://host.example/in/***/x"
    assert Response(200, {}, b"", "/").redirection is None
