"""Bubble's dates: ISO 8601 in UTC with milliseconds, or milliseconds since the epoch.

Keyset reading compares and steps in whole milliseconds, so they are the working form here. Dates
of mapped fields are converted by their field types, not here.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def millis_of(value: object) -> int:
    """Milliseconds since the epoch, from a value in a record or a constraint.

    Raises:
        ValueError: it is no date, or a date without time zone.
    """
    match value:
        case bool():
            raise ValueError(f"{value!r} is no date")
        case int() | float():
            return int(value)
        case str() if value.lstrip("-").isdecimal():
            return int(value)
        case str():
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{value!r} is no date with a time zone")
    return (value - EPOCH) // MILLISECOND


def moment_of(millis: int) -> datetime:
    """The instant, in UTC."""
    return EPOCH + millis * MILLISECOND


def bubble_date(millis: int) -> str:
    """The instant as Bubble writes it."""
    return moment_of(millis).isoformat(timespec="milliseconds").replace("+00:00", "Z")
