"""Messages of psycopg errors, as one line."""

import psycopg

# Their detail recites the whole row, personal data included.
_RECITES_ROW = (
    psycopg.errors.CheckViolation,
    psycopg.errors.NotNullViolation,
    psycopg.errors.WithCheckOptionViolation,
)

# Hints of libpq that repeat what our own messages say better.
_LIBPQ_HINTS = ("Is the server running", "Multiple connection attempts failed")


def one_line(error: BaseException) -> str:
    """The whole text of an error on one line, without its full stop."""
    return " ".join(str(error).split()).rstrip(".")


def message(error: BaseException) -> str:
    """The primary message of an error, without detail, hint and position."""
    diagnostic = getattr(error, "diag", None)
    return " ".join((getattr(diagnostic, "message_primary", None) or str(error)).split())


def message_with_detail(error: BaseException) -> str:
    """The primary message and its detail, such as the key of a unique violation.

    Left out is a detail that recites the whole row, because rows hold personal data and secrets.
    """
    detail = getattr(getattr(error, "diag", None), "message_detail", None)
    if not detail or isinstance(error, _RECITES_ROW):
        return message(error)
    return f"{message(error)}: {' '.join(detail.split())}".removesuffix(".")


def connection_message(error: psycopg.Error) -> str:
    """Why a connection could not be made; each of libpq's attempts named once, without its hints."""
    lines = (line.strip() for line in str(error).splitlines())
    text = "; ".join(line for line in lines if line and not line.startswith(_LIBPQ_HINTS))
    return text.removeprefix("connection failed: ").removeprefix("connection is bad: ").rstrip(".")
