"""The app's schema as `/meta` returns it, and the same as a Swagger 2.0 file."""

from typing import Any

from sync_pipeline.simulators.bubble.records import APP
from sync_pipeline.simulators.bubble.schema import Field, TypeSchema

_SWAGGER_TYPES = {"number": "number", "boolean": "boolean", "list": "array"}


def meta(schemas: list[TypeSchema]) -> dict[str, Any]:
    """The readable types with their visible fields."""
    return {
        "get": [schema.name for schema in schemas],
        "post": [],
        "types": {schema.name: _type(schema) for schema in schemas},
        "app_data": {"appname": APP, "app_version": "live"},
    }


def swagger(schemas: list[TypeSchema]) -> dict[str, Any]:
    """The definitions; a link is known by its description."""
    return {
        "swagger": "2.0",
        "info": {"title": APP, "version": "1.1"},
        "definitions": {
            schema.name: {
                "type": "object",
                "properties": {field.display: _property(field) for field in schema.visible()},
            }
            for schema in schemas
        },
    }


def _type(schema: TypeSchema) -> dict[str, Any]:
    fields = [
        {"id": field.database, "display": field.display, "type": field.kind}
        for field in schema.visible()
    ]
    return {"display": schema.display, "fields": fields}


def _property(field: Field) -> dict[str, Any]:
    described = {"type": _SWAGGER_TYPES.get(field.family, "string")}
    target = field.kind.removeprefix("list.").removeprefix("custom.")
    if "custom." in field.kind or target == "user":
        described["description"] = f"{field.display} ('{target}' represented by a unique ID)"
    return described
