"""Sensor cursors: a place per name, as JSON with a version; a cursor that cannot be read starts afresh."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

VERSION = 2
LAST = "~"
"""Comes after every id."""


@dataclass(frozen=True, order=True)
class ChangePosition:
    """How far a listing by modification time was read.

    Attributes:
        moment: of the last record.
        id: the last record's; of those that share its moment, the ones after it are still to be read.
    """

    moment: dt.datetime
    id: str = LAST


@dataclass
class Cursor:
    """How far a sensor has looked, by the name of what it looks at."""

    places: dict[str, ChangePosition] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read a cursor; one that is malformed or of another version counts as none."""
        try:
            content = json.loads(text or "")
            if content["version"] != VERSION:
                return cls()
            return cls({name: _place(*place) for name, place in content["places"].items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def dump(self) -> str:
        """The cursor as text."""
        places = {name: [p.moment.isoformat(), p.id] for name, p in sorted(self.places.items())}
        return json.dumps({"version": VERSION, "places": places})


def _place(moment: str, last: str) -> ChangePosition:
    parsed = dt.datetime.fromisoformat(moment)
    if parsed.tzinfo is None or not isinstance(last, str):
        raise ValueError(f"{moment} {last} is no place")
    return ChangePosition(parsed, last)
