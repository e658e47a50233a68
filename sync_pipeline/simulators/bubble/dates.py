"""Instants as Bubble writes them: ISO 8601 in UTC with three digits of milliseconds.

Texts of that form sort like the instants, so the simulator compares texts and parses only what
comes in from outside.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache

# The invented company is as it was at this instant, independent of the clock.
REFERENCE_NOW = datetime(2026, 11, 1, tzinfo=UTC)
FIRST_DAY = datetime(2023, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000

# Kuala Lumpur is eight hours ahead: a date entered there arrives as 16:00 of the day before.
_AHEAD_MS = 8 * 3_600_000

_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?$")
_EPOCH_MS = re.compile(r"\d{12,14}$")
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})$")
_SCRIPT_DATE = re.compile(r"\w{3} (\w{3} \d{2} \d{4} \d{2}:\d{2}:\d{2}) GMT([+-]\d{4})( \(.*\))?$")


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def iso(ms: int) -> str:
    """The text for an instant."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=8192)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def midnight(ms: int) -> str:
    """The text for the local midnight that opens the day of an instant."""
    return iso((ms + _AHEAD_MS) // DAY_MS * DAY_MS - _AHEAD_MS)


def read_moment(value: object) -> str | None:
    """The text for a date in any form that Bubble accepts, or None for anything else."""
    try:
        if isinstance(value, str):
            moment = _parse(value.strip())
            return None if moment is None else iso(milliseconds(moment))
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return iso(round(value))
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _parse(text: str) -> datetime | None:
    if _EPOCH_MS.match(text):
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    if _ISO.match(text):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if found := _US_DATE.match(text):
        month, day, year = (int(part) for part in found.groups())
        return datetime(year, month, day, tzinfo=UTC)
    if found := _SCRIPT_DATE.match(text):
        return datetime.strptime("".join(found.group(1, 2)), "%b %d %Y %H:%M:%S%z")
    return None
