"""What Graph says when it does not do as it was asked, and what follows from that.

The code of the error decides, never the HTTP status: most errors have status 400, rate limits among
them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from sync_pipeline.sources.http.error_text import error_message
from sync_pipeline.sources.http.redaction import Redactor
from sync_pipeline.sources.http.retry import InvalidResponse, RetryableError

LONGEST = 200

# The token's expiry comes with the time of day, which would make a new text of the same error each time.
_CLOCK = re.compile(r"\s*The current time is [^.]*\.?")

_THROTTLED = frozenset({4, 17, 32, 341, 613, 130429, 131056, *range(80000, 80015)})
_CREDENTIAL = frozenset({102, 104, 190, 463, 467})
_PERMISSION = frozenset({3, 10, *range(200, 300)})
_PASSING_STATUS = frozenset({408, 425})


class ErrorKind(Enum):
    """What kind of no it is; the value says what to do about it, the end of a message."""

    THROTTLED = "Try again later: the rate limit of the account or the app is used up."
    PASSING = "Try again later."
    CREDENTIAL = (
        "Renew the workspace's token in meta_tokens (provider meta_system_user), or META_ACCESS_TOKEN"
        " for workspaces without one."
    )
    PERMISSION = (
        "Give the token's user whatsapp_business_management and access to the account in Business"
        " settings → System users."
    )
    MISSING = (
        "Check waba_id and phone_number_id in meta_whatsapp_connections, and that the token's user may"
        " see the account: Graph does not tell the two apart."
    )
    REFUSED = "Check META_GRAPH_URL, its version, and the names of the fields asked for."

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later."""
        return self in {ErrorKind.THROTTLED, ErrorKind.PASSING}


@dataclass(frozen=True)
class GraphError:
    """An answer other than what was asked for.

    Attributes:
        status: of HTTP; 0: there was no answer.
        words: what Graph says, without tokens and without what differs from one time to the next.
        verdict: what kind of no it is.
        of_host: the host or something before it failed, whoever asked.
    """

    status: int
    words: str
    verdict: ErrorKind = ErrorKind.REFUSED
    of_host: bool = False

    @property
    def text(self) -> str:
        """`HTTP n: ` and what Graph says, of that at most `LONGEST` characters."""
        return f"HTTP {self.status}: {self.words[:LONGEST]}".strip()


class GraphCallFailed(RetryableError):
    """Carries a complaint to whoever retries, or as the cause of the error that tells of it.

    Attributes:
        complaint: what was said.
    """

    def __init__(
        self, complaint: GraphError, *, wait: float | None = None, counts: bool = True
    ) -> None:
        super().__init__(complaint.text, wait=wait, counts=counts)
        self.complaint = complaint


def complaint_of(status: int, content: bytes, discretion: Redactor) -> GraphError | None:
    """What a reply complains about; None: nothing, it is a reply to what was asked.

    Args:
        status: of HTTP.
        content: the body.
        discretion: blots out what must not be told.
    """
    error = _error_of(content)
    if error is not None:
        return GraphError(status, discretion(_words(error)), _verdict(status, error))
    if 200 <= status < 300:
        return None
    text = discretion(content.decode("utf-8", errors="replace"))
    return GraphError(
        status,
        error_message(text.encode()),
        _verdict_without_code(status),
        # Graph itself explains its failures; this is a proxy, or what answers while it is away.
        of_host=status >= 500,
    )


def _error_of(content: bytes) -> dict[str, Any] | None:
    try:
        match orjson.loads(content):
            case {"error": dict(error)}:
                return error
    except orjson.JSONDecodeError:
        pass
    return None


def _words(error: dict[str, Any]) -> str:
    code, subcode = error.get("code"), error.get("error_subcode")
    codes = f"code {code}" if subcode is None else f"code {code}, subcode {subcode}"
    # Not its fbtrace_id, which differs each time.
    message = _CLOCK.sub("", str(error.get("message") or ""))
    return f"{codes}: " + re.sub(r"[\s\x00-\x1f\x7f]+", " ", message).strip()


def _verdict(status: int, error: dict[str, Any]) -> ErrorKind:
    code, subcode = error.get("code"), error.get("error_subcode")
    if code in _CREDENTIAL:
        return ErrorKind.CREDENTIAL
    if code == 803 or (code == 100 and subcode == 33):
        return ErrorKind.MISSING
    if code in _PERMISSION:
        return ErrorKind.PERMISSION
    if code in _THROTTLED:
        return ErrorKind.THROTTLED
    if error.get("is_transient") is True or code == 2:
        return ErrorKind.PASSING
    # A parameter does not become better because the server failed over it.
    return ErrorKind.REFUSED if code == 100 else _verdict_without_code(status)


def _verdict_without_code(status: int) -> ErrorKind:
    if status == 429:
        return ErrorKind.THROTTLED
    passes = status in _PASSING_STATUS or status >= 500
    return ErrorKind.PASSING if passes else ErrorKind.REFUSED


def complaint_in(error: Exception) -> GraphError:
    """What an error of a call tells about the workspace that it was made for."""
    match error.__cause__:
        case GraphCallFailed(complaint=complaint):
            return complaint
        # A constant text, while the reasons of the single attempts, which the log has, vary.
        case InvalidResponse():
            return GraphError(200, "an answer that is not the protocol of the Graph API")
        case _:
            return GraphError(0, "no answer from the Graph API", ErrorKind.PASSING, of_host=True)
