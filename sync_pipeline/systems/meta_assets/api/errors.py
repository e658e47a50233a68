"""Errors of the Graph API, and which of them are transient.

The code of the error decides, not the HTTP status: most errors have status 400, rate limits among them.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from sync_pipeline.sources.http.error_text import error_message
from sync_pipeline.sources.http.redaction import Redactor
from sync_pipeline.sources.http.retry import InvalidResponse, RetryableError

MAX_MESSAGE_LENGTH = 200

# The message of an expired token contains the current time, so the same error differs each time.
_CLOCK = re.compile(r"\s*The current time is [^.]*\.?")

_THROTTLED = frozenset({4, 17, 32, 341, 613, 130429, 131056, *range(80000, 80015)})
_CREDENTIAL = frozenset({102, 104, 190, 463, 467})
_PERMISSION = frozenset({3, 10, *range(200, 300)})
_TRANSIENT_STATUS = frozenset({408, 425})


class ErrorKind(Enum):
    """The kind of an error; its value is the remedy that ends a message."""

    THROTTLED = "Try again later: the rate limit of the account or the app is used up."
    TRANSIENT = "Try again later."
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
        " see the account: Graph does not distinguish the two."
    )
    REFUSED = "Check META_GRAPH_URL, its version, and the names of the requested fields."

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self in {ErrorKind.THROTTLED, ErrorKind.TRANSIENT}


@dataclass(frozen=True)
class GraphError:
    """An error response, or none at all.

    Attributes:
        status: of HTTP; 0: no response.
        message: Graph's message, without tokens and without what differs each time.
        kind: what to do about it.
        of_host: the host or a proxy failed, independent of workspace and token.
    """

    status: int
    message: str
    kind: ErrorKind = ErrorKind.REFUSED
    of_host: bool = False

    @property
    def text(self) -> str:
        """`HTTP n: ` and the message, truncated."""
        return f"HTTP {self.status}: {self.message[:MAX_MESSAGE_LENGTH]}".strip()


class GraphCallFailed(RetryableError):
    """A failed attempt: raised for the retry, and the cause of the final error.

    Attributes:
        error: of the response.
    """

    def __init__(
        self, error: GraphError, *, wait: float | None = None, counts: bool = True
    ) -> None:
        super().__init__(error.text, wait=wait, counts=counts)
        self.error = error


def error_in_response(status: int, content: bytes, redact: Redactor) -> GraphError | None:
    """The error of a response; None if it succeeded."""
    error = _error_of(content)
    if error is not None:
        return GraphError(status, redact(_message(error)), _kind(status, error))
    if 200 <= status < 300:
        return None
    text = redact(content.decode("utf-8", errors="replace"))
    return GraphError(
        status,
        error_message(text.encode()),
        _kind_by_status(status),
        # Graph's own errors have an error object: this response is by a proxy.
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


def _message(error: dict[str, Any]) -> str:
    code, subcode = error.get("code"), error.get("error_subcode")
    codes = f"code {code}" if subcode is None else f"code {code}, subcode {subcode}"
    # Without its fbtrace_id, which differs each time.
    message = _CLOCK.sub("", str(error.get("message") or ""))
    return f"{codes}: " + re.sub(r"[\s\x00-\x1f\x7f]+", " ", message).strip()


def _kind(status: int, error: dict[str, Any]) -> ErrorKind:
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
        return ErrorKind.TRANSIENT
    # An invalid parameter stays invalid, even with status 500.
    return ErrorKind.REFUSED if code == 100 else _kind_by_status(status)


def _kind_by_status(status: int) -> ErrorKind:
    if status == 429:
        return ErrorKind.THROTTLED
    transient = status in _TRANSIENT_STATUS or status >= 500
    return ErrorKind.TRANSIENT if transient else ErrorKind.REFUSED


def graph_error_of(exception: Exception) -> GraphError:
    """The Graph error behind an exception of a call."""
    match exception.__cause__:
        case GraphCallFailed(error=error):
            return error
        # A constant text: the reasons of single attempts, which are logged, vary.
        case InvalidResponse():
            return GraphError(200, "an answer that is not the protocol of the Graph API")
        case _:
            return GraphError(0, "no answer from the Graph API", ErrorKind.TRANSIENT, of_host=True)
