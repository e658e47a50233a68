"""Python text as `ruff format` lays it out: strings, calls over one or several lines, comments."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LINE = 100
"""Characters of a line, the project's limit."""


@dataclass(frozen=True)
class Call:
    """A call, or a tuple, with the text before its parenthesis.

    Attributes:
        opening: everything up to and including the parenthesis: `link=Link(`.
        parts: what stands between the parentheses.
        closing: the parenthesis.
        comma: what follows each part when they stand on lines of their own.
        joined: whether all parts may stand on one line of their own, as in calls but not in tuples.
    """

    opening: str
    parts: tuple[Part, ...]
    closing: str = ")"
    comma: str = ","
    joined: bool = True

    def __str__(self) -> str:
        only = len(self.parts) == 1 and not self.joined and self.comma
        inside = ", ".join(map(str, self.parts)) + ("," if only else "")
        return f"{self.opening}{inside}{self.closing}"


Part = str | Call


def laid_out(part: Part, indent: int, after: str = ",") -> list[str]:
    """The lines of a part, so many columns from the left; `after` follows it on its last line."""
    margin = " " * indent
    flat = f"{margin}{part}{after}"
    if isinstance(part, str) or (part.comma and width(flat) <= LINE):
        return [flat]
    inner = f"{margin}    {', '.join(map(str, part.parts))}"
    if (
        part.joined
        and width(inner) <= LINE
        and all(isinstance(p, str) or p.comma for p in part.parts)
    ):
        body = [inner]
    else:
        body = [line for p in part.parts for line in laid_out(p, indent + 4, part.comma)]
    return [f"{margin}{part.opening}", *body, f"{margin}{part.closing}{after}"]


def tuple_of(parts: Iterable[str]) -> str:
    """A tuple on one line."""
    return str(Call("(", tuple(parts), joined=False))


def text(prefix: str, value: str, indent: int) -> Part:
    """A string behind a prefix such as `note=`, in pieces where it is too long for a line."""
    whole = f"{prefix}{quoted(value)}"
    if indent + width(whole) + 1 <= LINE:
        return whole
    pieces = tuple(quoted(piece) for piece in _pieces(value, LINE - indent - 4))
    return Call(f"{prefix}(", pieces, comma="", joined=False) if len(pieces) > 1 else whole


def _pieces(value: str, room: int) -> Iterator[str]:
    """Pieces of a text that fit into so many columns as literals, cut before a space where there is one."""
    while value:
        end = min(len(value), room)
        while width(quoted(value[:end])) > room:
            space = value.rfind(" ", 1, end)
            end = space if space > 0 else end - 1
        yield value[:end]
        value = value[end:]


def quoted(value: str) -> str:
    """A string literal; what cannot be seen is written as its escape."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join(_escaped(c, quote) for c in value) + quote


def _escaped(character: str, quote: str) -> str:
    if character in {"\\", quote}:
        return f"\\{character}"
    return character if character.isprintable() else ascii(character)[1:-1]


def visible(value: str) -> str:
    """Words for a comment: on one line, with nothing in them that cannot be seen."""
    words = " ".join(value.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)


def comment(value: str, indent: int, opening: str = "# ? ") -> Iterator[str]:
    """The lines of a comment; those after the first are indented further."""
    margin = " " * indent
    line = margin + opening.rstrip()
    for word in visible(value).split(" "):
        if width(line) + 1 + width(word) > LINE and line.strip() != opening.strip():
            yield line
            line = f"{margin}#  "
        line += f" {word}"
    yield line


def width(line: str) -> int:
    """Columns that a line takes, as the formatter counts them."""
    return sum(map(_columns, line))


def _columns(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
