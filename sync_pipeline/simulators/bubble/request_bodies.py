"""Request bodies of writes: field names and values are validated and converted to their stored form.

Bubble converts what it can: dates in several notations, numbers and yes/no as text. The editor's
own actions do not come through here.
"""

from typing import Any

import orjson

from sync_pipeline.simulators.bubble import responses
from sync_pipeline.simulators.bubble.dates import read_moment
from sync_pipeline.simulators.bubble.schema import Field, Record, TypeSchema

_YES_NO = {"yes": True, "true": True, "no": False, "false": False}


def read_body(body: bytes, schema: TypeSchema) -> Record:
    """The stored form of a body; None stands for an emptied field.

    Raises:
        ErrorResponse: it is no JSON object, names a field that cannot be written, or a value is of
            the wrong kind.
    """
    return _read_values(_decode(body), schema)


def read_new_user(body: bytes, schema: TypeSchema) -> Record:
    """The stored form of a body that creates a user, whose e-mail address is required.

    Raises:
        ErrorResponse: as for `read_body`, or the address is missing.
    """
    given = _decode(body)
    if "email" not in given:
        raise responses.bad_request("Missing parameter: email", status="MISSING_DATA")
    address = {"email": given.pop("email"), "email_confirmed": False}
    given.pop("password", None)
    return {**_read_values(given, schema), "authentication": {"email": address}}


def _decode(body: bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        text = body.decode(errors="replace")
        raise responses.bad_request(f"Could not parse as JSON: {text}") from error
    if not isinstance(given, dict):
        raise responses.bad_request("Expecting a JSON object")
    return given


def _read_values(given: dict[str, Any], schema: TypeSchema) -> Record:
    stored: Record = {}
    for display, value in given.items():
        field = schema.named(display)
        if field is None or field.built_in or field.kind == "authentication":
            raise responses.unrecognized_field(display)
        stored[field.stored] = _accepted(value, field)
    return stored


def _accepted(value: Any, field: Field) -> Any:
    if value in (None, "", []):
        return None
    accepted = _convert(value, field.family)
    if accepted is None:
        problem = f"Invalid data for field {field.display}: {value} is not a {field.family}"
        raise responses.bad_request(problem, status="INVALID_DATA")
    return accepted


def _convert(value: Any, family: str) -> Any:
    match family:
        case "date":
            return read_moment(value)
        case "number":
            return _number(value)
        case "boolean":
            return value if isinstance(value, bool) else _YES_NO.get(str(value).lower())
        case "list":
            return value if isinstance(value, list) else None
        case "text":
            return value if isinstance(value, str) else orjson.dumps(value).decode()
        case _:
            return value


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else number
