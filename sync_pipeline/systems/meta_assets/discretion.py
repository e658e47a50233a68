"""Keeping tokens out of everything that is written down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from urllib.parse import quote, quote_plus

_BLOT = "***"
_TELLING = 8
"""So many characters of a token are taken for it."""

# Whatever stands where a token stands, or looks like one: also of others, and cut short by the source.
_LIKELY = (
    (re.compile(r"(access_token(?:=|%3D))[^&\s\"'<>]+", re.IGNORECASE), rf"\g<1>{_BLOT}"),
    (re.compile(r"\bEAA\w{8,}"), _BLOT),
)


class Discretion:
    """Blots tokens out of texts; what it is given never shows in its repr.

    The beginning of a token counts as one, since a source or a broken connection may have cut it. Texts are
    to be cut only afterwards: a few characters of it would not be recognised.

    Args:
        secrets: what must not be told, in whichever form.
    """

    def __init__(self, *secrets: str) -> None:
        self._forms = {form for secret in secrets if secret for form in _forms(secret)}

    def __call__(self, text: str) -> str:
        """The text with stars in place of what is secret."""
        for beginning in {form[:_TELLING] for form in self._forms}:
            text = self._without(text, beginning)
        for pattern, instead in _LIKELY:
            text = pattern.sub(instead, text)
        return text

    def _without(self, text: str, beginning: str) -> str:
        kept: list[str] = []
        while (start := text.find(beginning)) >= 0:
            rest = text[start:]
            # Several forms begin alike; the one that is meant goes furthest.
            length = max(_in_common(rest, form) for form in self._forms)
            kept += [text[:start], _BLOT]
            text = rest[length:]
        return "".join([*kept, text])


def _in_common(text: str, form: str) -> int:
    pairs = zip(text, form, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _forms(secret: str) -> Iterable[str]:
    for form in (secret, quote(secret, safe=""), quote_plus(secret), secret.replace("/", r"\/")):
        yield form
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), form)
