"""The parameters of a listing: cursor, limit, constraints and order, as the URL gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sync_pipeline.simulators.bubble import responses
from sync_pipeline.simulators.bubble.constraints import read_constraints
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.schema import TypeSchema
from sync_pipeline.simulators.bubble.search import RANDOM_SORTING, Order, Query

_SEARCHING = ("constraints", "sort_field", "descending", "additional_sort_fields")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing asks for.

    Attributes:
        query: constraints and order.
        cursor: rank of the first thing requested.
        limit: how many are requested; -1 is answered, oddly, with a count of -1.
        exclude_remaining: whether the number of things left need not be counted.
    """

    query: Query
    cursor: int
    limit: int
    exclude_remaining: bool


def read_listing(parameters: Mapping[str, str], schema: TypeSchema, options: Options) -> Listing:
    """Read a listing from the parameters of its URL.

    Raises:
        ErrorResponse: a parameter cannot be used.
    """
    constraints = read_constraints(
        parameters.get("constraints") or "[]",
        schema,
        malformed=options.malformed_constraint,
        unapplied=options.unconstrainable_fields,
    )
    settings = (options.malformed_constraint, options.unconstrainable_fields, schema.revision)
    text = repr([settings, *(parameters.get(name) for name in _SEARCHING)])
    return Listing(
        query=Query(text, tuple(constraints), _read_order(parameters, schema)),
        cursor=max(_whole(parameters, "cursor", 0), 0),
        limit=min(_whole(parameters, "limit", options.page_limit), options.page_limit),
        exclude_remaining=_is_true(parameters.get("exclude_remaining")),
    )


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise responses.bad_request(f"Invalid value for {name}: {text}") from error


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "yes")


def _read_order(parameters: Mapping[str, str], schema: TypeSchema) -> tuple[Order, ...]:
    first = parameters.get("sort_field") or "Created Date"
    if first == RANDOM_SORTING:
        return ()
    orders = [_order(first, parameters.get("descending"), schema)]
    try:
        further = orjson.loads(parameters.get("additional_sort_fields") or "[]")
        orders += [_order(each["sort_field"], each.get("descending"), schema) for each in further]
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
        raise responses.bad_request(f"Invalid additional_sort_fields: {error}") from error
    return tuple(orders)


def _order(key: str, descending: Any, schema: TypeSchema) -> Order:
    field = schema.find(key)
    if field is None:
        raise responses.unknown_field(key, schema.name)
    if field.family == "list":
        raise responses.bad_request(f"Cannot sort by {field.display}: it holds a list")
    return Order(field, _is_true(descending))
