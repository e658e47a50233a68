"""Every reply that is not data: Bubble's error bodies, word for word where they are documented.

Most errors have the shape `{"statusCode", "body": {"status", "message"}}`; those about permission
have another one, and clients must read both.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


class Refusal(Exception):
    """An answer other than success, raised wherever it is found out."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.status = status
        self.body = body

    @property
    def message(self) -> str:
        """The text for a person, in whichever shape the body has."""
        return self.body.get("translation") or self.body["body"]["message"]


class JSONReply(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode a value, or take bytes that are JSON already."""
        return content if isinstance(content, bytes) else orjson.dumps(content)


async def refuse(_: Request, refusal: Exception) -> Response:
    """Turn a raised refusal into its reply."""
    assert isinstance(refusal, Refusal)
    return JSONReply(refusal.body, refusal.status)


def missing_thing(kind: str, uid: str) -> Refusal:
    """No thing has this id; deleted, hidden and wrong branch look the same."""
    problem = f"Missing object of type {kind}: object with id {uid} does not exist"
    return _refusal(404, "MISSING_DATA", problem)


def unknown_type(kind: str) -> Refusal:
    """The app has no such type, or its Data API does not expose it."""
    return _refusal(404, "NOT_FOUND", f"Type not found {kind}")


def unknown_field(key: str, kind: str) -> Refusal:
    """A search names a field that the type does not have."""
    return _refusal(404, "NOT_FOUND", f"Field not found {key} for type {kind}")


def unfit_constraint(constraint_type: str, field: str, kind: str) -> Refusal:
    """The constraint type does not exist for a field of this kind."""
    problem = f"Constraint type not found {constraint_type} for field {field} and type {kind}"
    return _refusal(404, "NOT_FOUND", problem)


def unrecognized_field(key: str) -> Refusal:
    """A body names a field that cannot be written."""
    return bad_request(f"Unrecognized field: {key}")


def bad_request(problem: str, *, status: str = "ERROR") -> Refusal:
    """Anything else that is wrong with a request."""
    return _refusal(400, status, problem)


def unauthorized(translation: str) -> Refusal:
    """No permission: the other shape of error."""
    body = {
        "error_class": "Unauthorized",
        "args": {"code": "1700000000000x000000000000000001"},
        "message": None,
        "translation": translation,
    }
    return Refusal(401, body)


def _refusal(status_code: int, status: str, problem: str) -> Refusal:
    body = {"statusCode": status_code, "body": {"status": status, "message": problem}}
    return Refusal(status_code, body)
