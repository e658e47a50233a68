"""Columns whose types differ from their fields', and the values that do not fit."""

from collections.abc import Iterator
from typing import LiteralString, cast

from psycopg import sql

from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import EntityCheck, Finding
from sync_pipeline.merge.preflight import comparable
from sync_pipeline.merge.relations import Relations, ident
from sync_pipeline.model.entity import Field
from sync_pipeline.model.types import Type
from sync_pipeline.postgres.catalog import Column, Table
from sync_pipeline.postgres.connect import Connection

_REFUSED = "no run of this table starts"
_REJECTED = "a record with a value that does not fit is rejected"
_ROUNDED = "a value is rounded as it is written, and then looks like an edit made here"
_CONVERTED = "a value is converted as it is written, and may then look like an edit made here"

# The name of a field type, and Postgres's.
_POSTGRES_NAMES = {
    "varchar": "character varying",
    "char": "character",
    "double": "double precision",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}
_WHOLE = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
_TEXTS = {"text", "character varying", "character"}
_TIMES = {_POSTGRES_NAMES[name]: name for name in ("timestamptz", "timestamp", "time")}

_MICROSECONDS = 6

# What happens to values that a column cannot hold, and the condition that finds them, if there is one.
_Misfit = tuple[str, sql.SQL | None]


def types(connection: Connection, check: EntityCheck, base: Table | None) -> Iterator[Finding]:
    """Columns whose type is not the field's: incomparable, narrower, other, or wider."""
    fields = {f.column: f for f in check.entity.fields}
    for column in check.columns:
        field = fields.get(column.name)
        if field is None:
            continue
        declared = spelled(field.type)
        if not comparable(
            connection, cast("LiteralString", column.base_type), cast("LiteralString", declared)
        ):
            yield check.error(
                "type",
                f"column {column.name} is {column.base_type}, which cannot be compared with {declared}",
                cost=_REFUSED,
                remedy="change the column's type on the target, or the field's",
            )
        else:
            yield from _other_type(connection, check, column, field, base)


def spelled(type_: Type) -> str:
    """A field type without its length, as Postgres names it."""
    name = type_.name.removesuffix("[]")
    return _POSTGRES_NAMES.get(name, name) + ("[]" if type_.is_list else "")


def _sized(column: Column) -> str:
    """A column's type with its length."""
    if column.length:
        return f"{column.base_type}({column.length})"
    if column.base_type in _TIMES and column.scale is not None and column.scale < _MICROSECONDS:
        return f"{_TIMES[column.base_type]}({column.scale})"
    if column.precision and column.base_type == "numeric":
        return f"numeric({column.precision},{column.scale or 0})"
    return column.base_type


def _declared(type_: Type) -> str:
    return spelled(type_) + (f"({','.join(map(str, type_.args))})" if type_.args else "")


def _other_type(
    connection: Connection, check: EntityCheck, column: Column, field: Field, base: Table | None
) -> Iterator[Finding]:
    problem = f"column {column.name} is {_sized(column)}, declared as {_declared(field.type)}"
    misfit = _misfit(column, field.type)
    if misfit is None:
        if column.base_type != spelled(field.type):
            yield check.note(
                "type", problem, cost="none: it holds every value", remedy="nothing to do"
            )
        return
    cost, condition = misfit
    rows = 0
    if base and condition and field.column in base.columns:
        query = sql.SQL("select count(*) from {} b where {}").format(
            Relations(check.entity).base, condition.format(v=ident("b", field.column))
        )
        rows = bounded_query.count(connection, query)
        problem += f"; {rows:,} of the source's values do not fit" if rows else ""
    # The width of another program's table is that program's decision.
    yield check.finding(
        "warning" if rows or check.entity.unique_key else "note",
        "type",
        problem,
        cost=cost,
        remedy="change the column's type on the target, or the field's",
    )


def _misfit(column: Column, type_: Type) -> _Misfit | None:
    """How values fail to fit the column; None when it holds all."""
    declared = spelled(type_)
    if column.base_type in _TEXTS and declared in _TEXTS:
        return _text_misfit(column, type_)
    if column.base_type in _WHOLE and declared in {*_WHOLE, "numeric"}:
        return _integer_misfit(column, declared)
    if column.base_type == "numeric" and declared in {*_WHOLE, "numeric"}:
        return _numeric_misfit(column, type_)
    return _time_misfit(column) if column.base_type == declared else (_CONVERTED, None)


def _integer_misfit(column: Column, declared: str) -> _Misfit | None:
    """An integer column for larger numbers, or for fractions."""
    if declared == "numeric":
        return _ROUNDED, _condition("{v} <> trunc({v})")
    bound = _WHOLE[column.base_type]
    if bound >= _WHOLE[declared]:
        return None
    return _REJECTED, _condition(f"{{v}} not between -{bound} and {bound - 1}")


def _time_misfit(column: Column) -> _Misfit | None:
    """A time column with fewer decimal places than microseconds."""
    if column.base_type not in _TIMES or column.scale is None or column.scale >= _MICROSECONDS:
        return None
    return _ROUNDED, _condition(f"{{v}} <> {{v}}::{_TIMES[column.base_type]}({column.scale})")


def _condition(text: str) -> sql.SQL:
    """SQL made only of our own text and numbers."""
    return sql.SQL(cast("LiteralString", text))


def _text_misfit(column: Column, type_: Type) -> _Misfit | None:
    longest = type_.args[0] if type_.args else None
    if column.length is None or (longest is not None and longest <= column.length):
        return None
    condition = f"length({{v}}) > {column.length}"
    return _REJECTED, _condition(condition)


def _numeric_misfit(column: Column, type_: Type) -> _Misfit | None:
    if column.precision is None:
        return None
    scale, digits = column.scale or 0, column.precision - (column.scale or 0)
    if type_.args:
        declared, declared_scale = (*type_.args, 0)[:2]
        if declared_scale <= scale and declared - declared_scale <= digits:
            return None
    elif type_.name in _WHOLE and len(str(_WHOLE[type_.name])) <= digits:
        return None
    condition = f"{{v}} <> round({{v}}, {scale}) or abs({{v}}) >= 1e{digits}"
    return f"{_ROUNDED}; one that is too large is rejected", _condition(condition)
