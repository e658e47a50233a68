"""The documents of this project, taken apart: fenced blocks, commands and links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sync_pipeline.settings import PROJECT
from sync_pipeline.systems.registry import variables

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents() -> list[Path]:
    """README, CONTRIBUTING and everything in docs/."""
    top = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]
    return [*top, *sorted((PROJECT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    document: Path
    language: str
    text: str


def blocks(document: Path) -> list[Block]:
    return [Block(document, *found) for found in FENCE.findall(document.read_text())]


def prose(document: Path) -> str:
    """The document without its fenced blocks."""
    return FENCE.sub("", document.read_text())


def command_lines(document: Path) -> Iterator[list[str]]:
    """The lines of a document's fenced blocks of commands, as words; comments and redirections left out."""
    for block in blocks(document):
        if block.language in {"", "bash", "sh"}:
            for line in block.text.splitlines():
                words = shlex.split(line, comments=True)
                ends = [i for i, word in enumerate(words) if word in {"<", ">"}]
                if words:
                    yield words[: ends[0]] if ends else words


def inline_commands(document: Path, program: str) -> Iterator[list[str]]:
    """Commands of a program that stand in the prose, as words."""
    for text in INLINE.findall(prose(document)):
        words = shlex.split(text)
        if words[0] == program:
            yield words


def anchors(document: Path) -> set[str]:
    """What links may name of a document, made from its headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def links(document: Path) -> Iterator[str]:
    """Targets of links that are not URLs."""
    for target in LINK.findall(prose(document)):
        if "://" not in target:
            yield target


def markdown_table() -> str:
    """The table of variables for the documents."""
    rows = ["| variable | system | meaning | default or example |", "|---|---|---|---|"]
    for system, variable in variables():
        value = variable.default or variable.example
        notes = ["optional"] * (bool(system) and variable.optional) + ["secret"] * variable.secret
        meaning = f"{variable.meaning} ({', '.join(notes)})" if notes else variable.meaning
        code = f"`{value}`" if value else ""
        name = f"`{system}`" if system else ""
        rows.append(f"| `{variable.name}` | {name} | {meaning} | {code} |")
    return "\n".join(rows) + "\n"
