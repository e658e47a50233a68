"""Asset metadata for the Dagster UI: definition metadata of an entity, output metadata of a merge."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.preview import cell, markdown
from sync_pipeline.merge.schema.metadata import column_type
from sync_pipeline.model.entity import Column, Entity, Field, Serial, Stamp

# Facts of a merge that are lists.
_AS_JSON = (
    "problems", "rejected_examples", "parked_examples", "duplicate_examples", "conflict_examples", "blanked",
)  # fmt: skip


def defined(entity: Entity, level: int, origin: dg.AssetKey) -> dict[str, Any]:
    """Schema, lineage and place of an entity's table; its records come from `origin`."""
    return {
        "dagster/table_name": f"{entity.schema}.{entity.table}",
        "dagster/column_schema": dg.TableSchema(
            columns=[_column(entity, c) for c in entity.columns]
        ),
        "dagster/column_lineage": _lineage(entity, origin),
        "level": level,
        "key": ", ".join(entity.key),
        "mapped_columns": len(entity.fields),
    }


def _column(entity: Entity, column: Column) -> dg.TableColumn:
    kind = str(column_type(column.type).compile()).lower()
    if isinstance(column, Serial):
        return dg.TableColumn(column.column, kind, description="surrogate key")
    lenient = isinstance(column, Field) and (
        column.nulls_not_distinct or column.null_means_other_owner
    )
    nullable = column.column not in entity.key or lenient
    return dg.TableColumn(
        column.column,
        kind,
        description=_described(column),
        constraints=dg.TableColumnConstraints(
            nullable=nullable or not entity.unique_key,
            unique=entity.unique_key and entity.key == (column.column,),
        ),
    )


def _described(column: Column) -> str:
    if isinstance(column, Field):
        link = f" → {' or '.join(column.link.parents)}" if column.link else ""
        if column.lookup:
            return f"from {column.lookup.to}.{column.lookup.take} on the target{link}"
        return f"from {' or '.join(column.sources)}{link}"
    return (
        "set by the sync" if isinstance(column, Stamp) else "local-only: never written by the sync"
    )


def _lineage(entity: Entity, origin: dg.AssetKey) -> dg.TableColumnLineage:
    deps = {
        f.column: [dg.TableColumnDep(asset_key=origin, column_name=name) for name in f.sources]
        for f in entity.fields
    }
    for f, lookup in entity.lookups:
        found_in = dg.AssetKey([*entity.key_prefix, lookup.to])
        deps[f.column] = [dg.TableColumnDep(asset_key=found_in, column_name=lookup.take)]
    return dg.TableColumnLineage(deps)


def merged(result: MergeResult, *, rows: int, overrides: Mapping[str, int]) -> dict[str, Any]:
    """Output metadata of a merge: counts, traffic, watermark, and a preview of changes."""
    counts = result.counts
    facts = dict(result.metadata)
    coverage = facts.pop("coverage", None)
    metadata: dict[str, Any] = {
        "dagster/row_count": rows,
        **counts.as_dict(),
        "balanced": counts.read == counts.accounted,
        "status": result.status,
        "local_overrides": sum(overrides.values()),
        "changes": dg.MetadataValue.md(markdown(result.changes)),
        **{name: value for name, value in facts.items() if isinstance(value, int | float | str)},
    }
    if overrides:
        metadata["local_overrides_by_column"] = dg.MetadataValue.json(dict(overrides))
    for name in (n for n in _AS_JSON if facts.get(n)):
        metadata[name] = dg.MetadataValue.json(facts[name])
    if result.watermark:
        metadata["watermark"] = dg.MetadataValue.timestamp(result.watermark)
    if result.over_budget:
        metadata["over_budget"] = dg.MetadataValue.md(
            "\n".join(f"- {f}" for f in result.over_budget)
        )
        metadata["plan"] = result.digest
    if coverage:
        metadata["coverage"] = dg.MetadataValue.md(coverage_table(coverage))
    return metadata


def coverage_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A coverage report as Markdown: mapped fields that were never filled first, then unmapped ones."""
    shown = [row for row in rows if row["state"] != "mapped"]
    if not shown:
        return f"All {len(rows)} source fields are mapped and filled."
    lines = ["| source field | state | filled | example | local column |", "|---|---|---|---|---|"]
    lines += [
        f"| {cell(row['field'])} | {row['state']} | {row['fill_percent']} % | {cell(row['example'])}"
        f" | {row['column'] or ''} |"
        for row in shown
    ]
    return "\n".join(lines)
