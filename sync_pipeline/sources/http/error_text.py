"""A server's own words for what went wrong, as one short line that can stand in a message.

Here are the shapes that errors take on the wire: JSON of several dialects, the HTML page of a
proxy, plain text. What a status means, and what to do about it, is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import orjson

LONGEST = 200
LONGEST_PAGE = 20_000
"""So many characters of a page are looked at."""

# In the order of their worth: Bubble's 401 leaves `message` null and speaks in `translation`.
_TELLING_KEYS = (
    "message",
    "translation",
    "detail",
    "error_description",
    "title",
    "error",
    "reason",
)
_WRAPPERS = ("body", "error", "errors", "o:errorDetails")


def error_message(content: bytes, blot: Callable[[str], str] = str) -> str:
    """What the body says, tags and line breaks removed; empty when it says nothing.

    Args:
        content: the body.
        blot: takes out what must not be told, such as `Discretion` does.
    """
    # Before anything is cut, which may leave half of a secret; and once decoded, which may join one up.
    text = blot(content.decode("utf-8", errors="replace"))[:LONGEST_PAGE]
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return truncate(blot(_without_tags(text)))
    return truncate(blot(next(_telling(parsed), text)))


def truncate(text: str) -> str:
    """The text on one line of at most `LONGEST` characters."""
    line = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"


def _telling(parsed: Any) -> Iterator[str]:
    match parsed:
        case str() if parsed.strip():
            yield parsed
        case list():
            for item in parsed:
                yield from _telling(item)
        case dict():
            for wrapper in _WRAPPERS:
                if isinstance(parsed.get(wrapper), dict | list):
                    yield from _telling(parsed[wrapper])
            for key in _TELLING_KEYS:
                if isinstance(parsed.get(key), str):
                    yield from _telling(parsed[key])
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
