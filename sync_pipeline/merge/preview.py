"""Field changes as people see them, with personal data and long texts cut down.

The command line formats values with this too, so nothing here imports SQL.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

SHOWN = 48  # characters of a value; enough to recognise it


@dataclass(frozen=True)
class FieldChange:
    """One field of one row, before and after; values already shortened."""

    key: str
    state: str  # of the row in the plan: updated, or conflicted when another field was withheld
    column: str
    old: str
    new: str


def shortened(value: Any, *, personal: bool = False) -> str:
    """A value as a preview may show it: one line, cut; of personal data only its beginning."""
    if value is None:
        return "∅"
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    text = " ".join(text.split())
    if personal:
        return f"{text[:2]}…({len(text)})"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def markdown(changes: Iterable[FieldChange], limit: int = 20) -> str:
    """The first changes as a Markdown table; values cannot break out of their cells."""
    rows = list(changes)
    if not rows:
        return "No field changed."
    lines = ["| key | field | old | new |", "|---|---|---|---|"]
    lines += [
        f"| {cell(c.key)} | {cell(c.column)} | {cell(c.old)} | {cell(c.new)} |"
        for c in rows[:limit]
    ]
    if len(rows) > limit:
        lines.append(f"\n… and more; the first {limit} are shown.")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that cannot break out of a Markdown table's cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
