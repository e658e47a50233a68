"""Constraints of a search: read from the URL, checked against the type, turned into predicates.

All constraints of a search must hold; Bubble has no "or". Comparisons are strict only. Values may
come as text whatever the field's kind.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from sync_pipeline.simulators.bubble import responses
from sync_pipeline.simulators.bubble.dates import read_moment
from sync_pipeline.simulators.bubble.schema import Field, Record, TypeSchema

Predicate = Callable[[Record], bool]
Form = Callable[[Any], Any]
_Builder = Callable[[str, Form, Any], Predicate]

_EVERYWHERE = frozenset({"equals", "not equal", "is_empty", "is_not_empty", "in", "not in"})
_ORDERED = frozenset({"greater than", "less than"})
_TEXT = frozenset({"text contains", "not text contains"})
_LIST = frozenset({"contains", "not contains", "empty", "not empty"})
_ALLOWED = {
    "text": _EVERYWHERE | _ORDERED | _TEXT,
    "number": _EVERYWHERE | _ORDERED,
    "date": _EVERYWHERE | _ORDERED,
    "boolean": _EVERYWHERE,
    "list": _EVERYWHERE | _LIST,
    "other": _EVERYWHERE,
}
_WITHOUT_VALUE = frozenset({"is_empty", "is_not_empty", "empty", "not empty"})
_STOP_WORDS = frozenset(["a", "an", "and", "at", "for", "in", "is", "of", "on", "or", "the", "to"])
_YES = frozenset({"yes", "true", "y", "1"})


@dataclass(frozen=True, slots=True)
class Constraint:
    """One condition on a field; `value` has the form in which the field is compared."""

    field: Field
    type: str
    value: Any


def read_constraints(
    text: str,
    schema: TypeSchema,
    *,
    malformed: Literal["refuse", "overlook"],
    unapplied: Collection[str] = (),
) -> list[Constraint]:
    """The constraints in a URL's parameter.

    Args:
        text: the decoded parameter, a JSON array.
        schema: the type that is searched.
        malformed: what to do about an object without key or constraint type.
        unapplied: display names of fields whose constraints are silently dropped.

    Raises:
        ErrorResponse: the JSON, a key, a constraint type or a value cannot be used.
    """
    constraints: list[Constraint] = []
    for given in _decode(text):
        if "key" not in given or "constraint_type" not in given:
            if malformed == "overlook":
                continue
            raise responses.bad_request("Invalid constraint: key and constraint_type are required")
        constraint = _read_one(given, schema)
        if constraint.field.display not in unapplied:
            constraints.append(constraint)
    return constraints


def predicate(constraint: Constraint) -> Predicate:
    """A function that tests whether a stored record meets the constraint."""
    build = _PREDICATES[constraint.type]
    return build(constraint.field.stored, stored_form(constraint.field), constraint.value)


def _decode(text: str) -> list[dict[str, Any]]:
    try:
        decoded = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise responses.bad_request(f"Could not parse constraints as JSON: {error}") from error
    if not isinstance(decoded, list) or not all(isinstance(item, dict) for item in decoded):
        raise responses.bad_request("Constraints must be a list of objects")
    return decoded


def _read_one(given: dict[str, Any], schema: TypeSchema) -> Constraint:
    key, constraint_type = str(given["key"]), str(given["constraint_type"])
    field = schema.find(key)
    if field is None:
        raise responses.unknown_field(key, schema.name)
    if constraint_type not in _ALLOWED[field.family]:
        raise responses.unfit_constraint(constraint_type, field.database, schema.name)
    return Constraint(field, constraint_type, _value(given.get("value"), field, constraint_type))


def _value(value: Any, field: Field, constraint_type: str) -> Any:
    if constraint_type in _WITHOUT_VALUE:
        return None
    if constraint_type in _TEXT:
        return _stems(value)
    if constraint_type in ("contains", "not contains"):
        return value
    form = _FORMS[field.family]
    if constraint_type in ("in", "not in"):
        if not isinstance(value, list):
            raise responses.bad_request(f"Invalid value for {field.display}: a list is required")
        formed = [form(item) for item in value]
        return formed if field.family == "list" else frozenset(formed)
    formed = form(value)
    if formed is None and (value is not None or constraint_type in _ORDERED):
        raise responses.bad_request(f"Invalid value for {field.display}: {value}")
    return formed


def _as_is(value: Any) -> Any:
    return value


def _as_number(value: Any) -> float | None:
    if value is None or isinstance(value, (int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _as_boolean(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    return str(value).lower() in _YES


def _as_stored_date(value: Any) -> str | None:
    # Nearly all dates are stored in their final form; parsing each of them would cost too much.
    if isinstance(value, str) and len(value) == 24 and value[23] == "Z":
        return value
    return read_moment(value)


_FORMS: dict[str, Form] = {
    "text": _as_text,
    "number": _as_number,
    "date": read_moment,
    "boolean": _as_boolean,
    "list": _as_is,
    "other": _as_text,
}
_STORED_FORMS = {**_FORMS, "date": _as_stored_date}


def stored_form(field: Field) -> Form:
    """What turns a stored value into the form in which the field is compared and sorted."""
    return _STORED_FORMS[field.family]


def _empty(name: str, _: Form, __: Any) -> Predicate:
    return lambda record: name not in record


def _equal(name: str, form: Form, value: Any) -> Predicate:
    return lambda record: form(record.get(name)) == value


def _among(name: str, form: Form, values: Any) -> Predicate:
    return lambda record: form(record.get(name)) in values


def _holding(name: str, _: Form, value: Any) -> Predicate:
    return lambda record: value in record.get(name, ())


def _contains_words(name: str, _: Form, stems: Any) -> Predicate:
    return lambda record: stems <= _stems(record.get(name, ""))


def _greater(name: str, form: Form, value: Any) -> Predicate:
    return lambda record: (held := form(record.get(name))) is not None and held > value


def _less(name: str, form: Form, value: Any) -> Predicate:
    return lambda record: (held := form(record.get(name))) is not None and held < value


def _not(build: _Builder) -> _Builder:
    def build_opposite(name: str, form: Form, value: Any) -> Predicate:
        holds = build(name, form, value)
        return lambda record: not holds(record)

    return build_opposite


_PREDICATES: dict[str, _Builder] = {
    "is_empty": _empty,
    "empty": _empty,
    "is_not_empty": _not(_empty),
    "not empty": _not(_empty),
    "equals": _equal,
    "not equal": _not(_equal),
    "in": _among,
    "not in": _not(_among),
    "contains": _holding,
    "not contains": _not(_holding),
    "text contains": _contains_words,
    "not text contains": _not(_contains_words),
    "greater than": _greater,
    "less than": _less,
}


def _stems(value: Any) -> frozenset[str]:
    words = re.findall(r"\w+", str(value).lower())
    return frozenset(_stem(word) for word in words if word not in _STOP_WORDS)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)]
    return word
