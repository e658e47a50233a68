"""Sensor cursors: a moment per name, as JSON with a version; a cursor that cannot be read starts afresh."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

VERSION = 1


@dataclass
class Cursor:
    """How far a sensor has looked, by the name of what it looks at."""

    moments: dict[str, dt.datetime] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read a cursor; one that is malformed or of another version counts as none."""
        try:
            content = json.loads(text or "")
            if content["version"] != VERSION:
                return cls()
            return cls(
                {name: dt.datetime.fromisoformat(m) for name, m in content["moments"].items()}
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def dump(self) -> str:
        """The cursor as text."""
        moments = {name: moment.isoformat() for name, moment in sorted(self.moments.items())}
        return json.dumps({"version": VERSION, "moments": moments})
