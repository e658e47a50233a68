"""Sensor cursors: a change position per name, as versioned JSON; an unreadable cursor starts empty."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

VERSION = 2
LAST = "~"
"""Sorts after every id."""


@dataclass(frozen=True, order=True)
class ChangePosition:
    """The last record read of a listing ordered by modification time and id."""

    moment: dt.datetime
    id: str = LAST


@dataclass
class Cursor:
    """Positions by name."""

    positions: dict[str, ChangePosition] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read a cursor; one that is malformed or of another version counts as none."""
        try:
            content = json.loads(text or "")
            if content["version"] != VERSION:
                return cls()
            return cls({name: _position(*values) for name, values in content["places"].items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def dump(self) -> str:
        """The cursor as text."""
        positions = {
            name: [p.moment.isoformat(), p.id] for name, p in sorted(self.positions.items())
        }
        return json.dumps({"version": VERSION, "places": positions})


def _position(moment: str, last: str) -> ChangePosition:
    parsed = dt.datetime.fromisoformat(moment)
    if parsed.tzinfo is None or not isinstance(last, str):
        raise ValueError(f"{moment} {last} is no position")
    return ChangePosition(parsed, last)
