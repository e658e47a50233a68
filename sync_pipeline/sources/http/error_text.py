"""The error message in a response body, as one short line.

Bodies are JSON of several dialects, the HTML page of a proxy, or plain text.
"""

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import orjson

MAX_LENGTH = 200
MAX_PAGE_LENGTH = 20_000
"""Characters of a page that are read."""

# The best first: Bubble's 401 leaves `message` null and has its text in `translation`.
_MESSAGE_KEYS = (
    "message",
    "translation",
    "detail",
    "error_description",
    "title",
    "error",
    "reason",
)
_WRAPPERS = ("body", "error", "errors", "o:errorDetails")


def error_message(content: bytes, redact: Callable[[str], str] = str) -> str:
    """The message in a body, tags and line breaks removed; empty when there is none.

    Args:
        content: the body.
        redact: removes secrets, as a `Redactor` does.
    """
    # Redact before cutting, which may leave half of a secret, and after decoding, which may join one.
    text = redact(content.decode("utf-8", errors="replace"))[:MAX_PAGE_LENGTH]
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return truncate(redact(_without_tags(text)))
    return truncate(redact(next(_messages(parsed), text)))


def truncate(text: str) -> str:
    """The text on one line of at most `MAX_LENGTH` characters."""
    line = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 1].rstrip() + "…"


def _messages(parsed: Any) -> Iterator[str]:
    match parsed:
        case str() if parsed.strip():
            yield parsed
        case list():
            for item in parsed:
                yield from _messages(item)
        case dict():
            for wrapper in _WRAPPERS:
                if isinstance(parsed.get(wrapper), dict | list):
                    yield from _messages(parsed[wrapper])
            for key in _MESSAGE_KEYS:
                if isinstance(parsed.get(key), str):
                    yield from _messages(parsed[key])
        case _:
            return


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        # A page's title and its first heading are usually the same words.
        if not self._hidden and data.strip() and data not in self.parts:
            self.parts.append(data)


def _without_tags(text: str) -> str:
    parser = _Text()
    parser.feed(text)
    parser.close()
    return " ".join(parser.parts)
