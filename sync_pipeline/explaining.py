"""What the source holds of one row, right now; for `explain`."""

from __future__ import annotations

from typing import Any

from sync_pipeline.errors import ConversionError, SyncError
from sync_pipeline.merge.convert import payload
from sync_pipeline.model.catalog import System
from sync_pipeline.model.entity import Entity, source_value
from sync_pipeline.model.scope import Scope
from sync_pipeline.systems.sources import source_of


def source_values(system: System, entity: Entity, key: str) -> tuple[dict[str, Any], str | None]:
    """The source's values by column, converted, and why there are none."""
    source = source_of(system.name)
    try:
        stream = source.read(entity, Scope(mode="keys", keys=(key,)), None)
        records = [record for batch in stream.batches for record in batch]
    except SyncError as error:
        return {}, str(error)
    finally:
        source.close()
    if not records:
        return {}, "; ".join(stream.outcome.problems) or "it has no such record"
    return {f.column: _shown(f, records[0]) for f in entity.fields}, None


def _shown(f: Any, record: Any) -> Any:
    value = source_value(f, record)
    try:
        return None if value is None else payload(f.type.convert(value))
    except ConversionError as error:
        return f"{value} ({error})"
