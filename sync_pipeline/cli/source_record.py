"""One row as its source has it right now; for `explain`."""

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects import postgresql

from sync_pipeline.errors import ConversionError, SyncError
from sync_pipeline.merge.relations import listed
from sync_pipeline.merge.schema.metadata import column_type
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.entity import Entity, Field, source_value
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.definitions import source_of


@dataclass
class AtSource:
    """A record's values at its source, by column as the target would hold them; or why there are none."""

    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read_record(connection: Connection, system: System, entity: Entity, key: str) -> AtSource:
    """Read a record from the source and convert it as a merge would; the target formats the values."""
    source = source_of(system.name)
    try:
        stream = source.read(entity, _scope(entity, key), Progress())
        records = [r for batch in stream.batches for r in batch if _has(entity, r, key)]
    except SyncError as error:
        return AtSource(problem=str(error))
    finally:
        source.close()
    if not records:
        return AtSource(problem="; ".join(stream.outcome.problems) or "it has no such record")
    return AtSource(_formatted(connection, entity, records[0]))


def _scope(entity: Entity, key: str) -> Scope:
    if not entity.partition_by:
        return Scope(mode="keys", keys=(key,))
    # A partitioned source reads a partition, and of it the row with this key in the source's notation.
    values = key.split(",", len(entity.key) - 1)
    partition = dict(zip(entity.key, values, strict=False)).get(entity.partition_by, "")
    return Scope(mode="keys", keys=(":".join(values),), partition=partition)


def _has(entity: Entity, record: Any, key: str) -> bool:
    """Whether a record is the one; a partitioned source may deliver its whole partition."""
    if not entity.partition_by:
        return True
    own = [_converted(f, record) for f in entity.key_fields]
    return ",".join("" if value is None else str(value) for value in own) == key


def _formatted(connection: Connection, entity: Entity, record: Any) -> dict[str, Any]:
    """The values as the target formats them, so that equal values look equal."""
    values = {f.column: _converted(f, record) for f in entity.fields}
    types = [_type_name(f, values[f.column]) for f in entity.fields]
    expressions = [sql.SQL("to_jsonb(%s::{})").format(sql.SQL(type_)) for type_ in types]
    query = sql.SQL("select {}").format(listed(expressions))
    parameters = [str(v) if isinstance(v, ConversionError) else v for v in values.values()]
    row = connection.execute(query, parameters).fetchone() or ()
    return dict(zip(values, row, strict=True))


def _converted(f: Field, record: Any) -> Any:
    value = source_value(f, record)
    try:
        return None if value is None else f.type.convert(value)
    except ConversionError as error:
        return error


def _type_name(f: Field, value: Any) -> Any:
    # Without its length: a cast would cut off what does not fit, and here it is to be seen.
    is_text = isinstance(value, ConversionError) or f.type.name in {"varchar", "char"}
    kind = sa.Text() if is_text else column_type(f.type)
    return kind.compile(dialect=postgresql.dialect())
