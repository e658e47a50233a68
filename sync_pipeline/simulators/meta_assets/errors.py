"""Graph's errors: their JSON, and errors that tests arm for calls to come."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from secrets import token_urlsafe
from threading import Lock
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphError:
    """An error of the Graph API; most have HTTP status 400, whatever their code.

    Attributes:
        code: the kind of error.
        subcode: a more precise one; None: omitted.
        message: for developers.
        kind: the `type` on the wire.
        status: of HTTP.
        transient: the `is_transient` on the wire; None: omitted.
    """

    code: int
    subcode: int | None = None
    message: str = "An error occurred"
    kind: str = "OAuthException"
    status: int = 400
    transient: bool | None = None

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> GraphError:
        """An error from decoded JSON.

        Raises:
            ValueError: a name is unknown.
        """
        if unknown := set(value) - {f.name for f in fields(cls)}:
            raise ValueError(f"an error has no {', '.join(sorted(unknown))}")
        return cls(**value)

    def body(self, echoed: str = "") -> dict[str, Any]:
        """The body, with a trace id that differs each time."""
        error: dict[str, Any] = {
            "message": self.message + echoed,
            "type": self.kind,
            "code": self.code,
            "fbtrace_id": "A" + token_urlsafe(16),
        }
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.transient is not None:
            error["is_transient"] = self.transient
        return {"error": error}


class ErrorResponse(Exception):
    """An error reply."""

    def __init__(self, error: GraphError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(slots=True)
class _Armed:
    error: GraphError
    path: re.Pattern[str]
    token: str | None
    left: int | None


class ArmedErrors:
    """Errors to reply with; the first that matches a call is used."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._lock = Lock()

    def arm(
        self,
        error: GraphError,
        *,
        times: int | None = None,
        path: str = "",
        token: str | None = None,
    ) -> None:
        """Reply to calls with an error.

        Args:
            error: the reply.
            times: how many calls; None: all of them.
            path: a regular expression searched in their path.
            token: only calls with this token.
        """
        with self._lock:
            self._armed.append(_Armed(error, re.compile(path), token, times))

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed.clear()

    def check(self, path: str, token: str) -> None:
        """Raise the error that is armed for a call, if any.

        Raises:
            ErrorResponse: an error was armed for it.
        """
        with self._lock:
            for armed in self._armed:
                matches = armed.path.search(path) and armed.token in (None, token)
                if matches and armed.left != 0:
                    armed.left = None if armed.left is None else armed.left - 1
                    raise ErrorResponse(armed.error)


def bad_token(subcode: int | None, now: str) -> ErrorResponse:
    """The token is invalid; the message contains the time, so it differs each time."""
    why = {
        463: f"Session has expired on Friday, 01-May-26 00:00:00 PDT. The current time is {now}.",
        460: "The session has been invalidated because the user changed their password.",
    }
    message = why.get(subcode or 0, "The access token could not be decrypted")
    return ErrorResponse(
        GraphError(code=190, subcode=subcode, message=f"Error validating access token: {message}")
    )


def not_permitted() -> ErrorResponse:
    """The token lacks the permission for this kind of call."""
    return ErrorResponse(
        GraphError(
            code=200,
            message="(#200) You do not have the necessary permissions required to send this request",
            status=403,
        )
    )


def not_found(node: str, method: str = "get") -> ErrorResponse:
    """No such object, or none that this token may read: Graph does not distinguish them."""
    message = (
        f"Unsupported {method} request. Object with ID '{node}' does not exist, cannot be loaded due"
        " to missing permissions, or does not support this operation"
    )
    return ErrorResponse(
        GraphError(code=100, subcode=33, message=message, kind="GraphMethodException")
    )


def bad_parameter(problem: str) -> ErrorResponse:
    """A parameter is invalid."""
    return ErrorResponse(GraphError(code=100, message=f"(#100) {problem}"))
