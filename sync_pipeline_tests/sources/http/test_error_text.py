"""The source's own words, out of whatever it wraps them in."""

import pytest

from sync_pipeline.sources.http.error_text import MAX_LENGTH, error_message

PAGE = b"""<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>p {color: red}</style>
<script>if (1 < 2) { alert("no") }</script></head>
<body><h1>502 Bad Gateway</h1><p>The origin is   not&nbsp;well.</p></body></html>"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"statusCode":404,"body":{"status":"NOT_FOUND","message":"No type x"}}', "No type x"),
        (
            b'{"error_class":"Unauthorized","message":null,"translation":"Permission denied"}',
            "Permission denied",
        ),
        (b'{"error":{"message":"Expired","type":"OAuthException","code":190}}', "Expired"),
        (b'{"errors":[{"message":"Throttled"}]}', "Throttled"),
        (
            b'{"title":"Bad Request","o:errorDetails":[{"detail":"Unknown column"}]}',
            "Unknown column",
        ),
        (b'{"error":"invalid_client"}', "invalid_client"),
        (b'"just text"', "just text"),
        (b'{"code":7}', '{"code":7}'),
        (PAGE, "502 Bad Gateway The origin is not well."),
        (b"Too Many\r\n\tRequests\x00", "Too Many Requests"),
        (b"", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_words_are_found_in_every_shape(content: bytes, words: str) -> None:
    assert error_message(content) == words


def test_long_words_are_shortened() -> None:
    words = error_message(b"word " * 100_000)
    assert len(words) <= MAX_LENGTH
    assert words.endswith("word…")
