"""Error responses: Bubble's error bodies, word for word where they are documented.

Most errors have the shape `{"statusCode", "body": {"status", "message"}}`; those about permission
have another one, and clients must read both.
"""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


class ErrorResponse(Exception):
    """An error response, raised where the error is found."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.status = status
        self.body = body

    @property
    def message(self) -> str:
        """The message, in whichever shape the body has."""
        return self.body.get("translation") or self.body["body"]["message"]


class JSONReply(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode a value, or take bytes that are JSON already."""
        return content if isinstance(content, bytes) else orjson.dumps(content)


async def send_error(_: Request, error: Exception) -> Response:
    """Turn a raised error into its response."""
    assert isinstance(error, ErrorResponse)
    return JSONReply(error.body, error.status)


def missing_thing(kind: str, uid: str) -> ErrorResponse:
    """No thing has this id; deleted, hidden and wrong branch look the same."""
    problem = f"Missing object of type {kind}: object with id {uid} does not exist"
    return _error(404, "MISSING_DATA", problem)


def unknown_type(kind: str) -> ErrorResponse:
    """The app has no such type, or its Data API does not expose it."""
    return _error(404, "NOT_FOUND", f"Type not found {kind}")


def unknown_field(key: str, kind: str) -> ErrorResponse:
    """A search names a field that the type does not have."""
    return _error(404, "NOT_FOUND", f"Field not found {key} for type {kind}")


def unfit_constraint(constraint_type: str, field: str, kind: str) -> ErrorResponse:
    """The constraint type does not exist for a field of this kind."""
    problem = f"Constraint type not found {constraint_type} for field {field} and type {kind}"
    return _error(404, "NOT_FOUND", problem)


def unrecognized_field(key: str) -> ErrorResponse:
    """A body names a field that cannot be written."""
    return bad_request(f"Unrecognized field: {key}")


def bad_request(problem: str, *, status: str = "ERROR") -> ErrorResponse:
    """Anything else that is wrong with a request."""
    return _error(400, status, problem)


def unauthorized(translation: str) -> ErrorResponse:
    """No permission: the other shape of error."""
    body = {
        "error_class": "Unauthorized",
        "args": {"code": "1700000000000x000000000000000001"},
        "message": None,
        "translation": translation,
    }
    return ErrorResponse(401, body)


def _error(status_code: int, status: str, problem: str) -> ErrorResponse:
    body = {"statusCode": status_code, "body": {"status": status, "message": problem}}
    return ErrorResponse(status_code, body)
