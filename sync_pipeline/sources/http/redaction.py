"""Redaction of secrets from messages and logs."""

import html
import json
import re
from functools import lru_cache

_MASK = "***"
_SPECIAL = frozenset("&<>\"'")
_NEVER = r"(?!)"
_REST = re.compile(r"[\w~+/=%-]*(?:\.[\w~+/=%-]+)*")
"""The rest of a word after a partial match: it may belong to another secret with the same beginning."""
_PREFIX_LENGTH = 8
"""Characters of a secret that count as the whole."""

# Values of parameters that hold secrets, and Meta tokens by their shape: they may be of other clients.
_NAMES = r"access_token|refresh_token|client_secret|client_assertion"
_LIKELY = (
    (
        re.compile(rf"((?:{_NAMES})(?:=|%3D|\\?\"\s*:\s*\\?\"))[^&\s\"'<>\\]+", re.IGNORECASE),
        rf"\g<1>{_MASK}",
    ),
    (re.compile(r"\bEAA\w{8,}"), _MASK),
)


class Redactor:
    """Redacts secrets from text; its repr shows none of them.

    A secret is found in any form: as it is, or with any of its characters percent-encoded, escaped as
    in JSON or as in HTML. Its beginning counts as the whole, since a source or a broken connection may have
    cut it. Texts are to be cut only afterwards: a few characters of it would not be recognised.

    Args:
        secrets: what must not be shown.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets = tuple(filter(None, secrets))
        prefixes = (_pattern(secret[:_PREFIX_LENGTH]) for secret in self._secrets)
        self._prefixes = re.compile("|".join(prefixes) or _NEVER)

    def __call__(self, text: str) -> str:
        """The text with stars in place of secrets."""
        kept: list[str] = []
        end = 0
        while found := self._prefixes.search(text, end):
            kept += [text[end : found.start()], _MASK]
            # Several secrets may share a beginning; the longest match counts.
            end, whole = max(_reach(secret, text, found.start()) for secret in self._secrets)
            if not whole:
                rest = _REST.match(text, max(end, found.end()))
                end = rest.end() if rest else end
        text = "".join([*kept, text[end:]])
        for pattern, instead in _LIKELY:
            text = pattern.sub(instead, text)
        return text


def _reach(secret: str, text: str, start: int) -> tuple[int, bool]:
    """Where what the text has of the secret from `start` ends, and whether that is all of it."""
    if text.startswith(secret, start):
        return start + len(secret), True
    end = start
    for character in secret:
        further = _form(character).match(text, end)
        if further is None:
            return end, False
        end = further.end()
    return end, True


def _pattern(secret: str) -> str:
    return "".join(_form(character).pattern for character in secret)


@lru_cache(maxsize=512)
def _form(character: str) -> re.Pattern[str]:
    """All encodings of a character; encoders differ in which characters they escape."""
    code = ord(character)
    units = character.encode("utf-16-be", "surrogatepass")
    escaped = "".join(rf"\\{{1,3}}u(?i:{units[i : i + 2].hex()})" for i in range(0, len(units), 2))
    # %25 is a percent sign that was encoded once more.
    percent = "".join(
        f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass")
    )
    short = json.dumps(character)[1:-1]
    ways = [
        re.escape(html.escape(character)) if character in _SPECIAL else "",
        f"&#(?:0*{code}|[xX]0*(?i:{code:x}));",
        percent,
        escaped,
        # Once more for what was JSON within JSON.
        rf"\\{{1,3}}{short[1]}" if short[0] == "\\" and len(short) == 2 else "",
        r"\+" if character == " " else "",
        re.escape(character) if character.isalnum() else rf"\\{{0,3}}{re.escape(character)}",
    ]
    # The longest first: a lone “&” is also the beginning of “&amp;”.
    return re.compile(f"(?:{'|'.join(filter(None, ways))})")
