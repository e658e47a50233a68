"""From what the catalog says to what is declared, table by table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sync_pipeline.inspectdb.declarations import FieldDeclaration, Mark, TableDeclaration
from sync_pipeline.inspectdb.drafts import TableDraft, drafts
from sync_pipeline.inspectdb.formatting import quoted, tuple_of
from sync_pipeline.inspectdb.links import Links, linked
from sync_pipeline.inspectdb.ordering import in_order
from sync_pipeline.inspectdb.schema import Table

# Names of columns that look like the time of the last change, the likeliest first.
_MODIFIED = (
    "updated_at", "modified_at", "last_modified", "last_modified_at", "modified", "updated", "last_updated",
    "last_updated_at", "updated_on", "modified_on", "modified_date", "update_date", "updated_date",
    "changed_at", "date_modified", "date_updated", "mtime",
)  # fmt: skip


def decide(tables: Sequence[Table], system: str) -> tuple[TableDeclaration, ...]:
    """Every table of a schema, parents before children and otherwise by name."""
    drafted = drafts(tables, system)
    links, edges = linked(drafted)
    order = in_order(list(drafted), edges)
    return tuple(_decided(drafted[name], links[name]) for name in order)


def _decided(draft: TableDraft, found: Links) -> TableDeclaration:
    table = draft.table
    fields = tuple(
        FieldDeclaration(
            column=column.name,
            type=draft.columns[column.name].type,
            note=column.comment,
            nulls_not_distinct=column.name in draft.key.nulls_not_distinct,
            marks=(*draft.columns[column.name].marks, *found.column_marks[column.name]),
        )
        for column in table.columns
    )
    declared = [f.column for f in fields if f.type]
    return TableDeclaration(
        name=draft.name,
        schema=table.schema,
        table=table.name,
        source=table.sql,
        description=table.comment,
        declarable=not draft.problem,
        key=draft.key.columns,
        after=tuple(found.after),
        fields=fields,
        links=tuple(found.links[column] for column in declared if column in found.links),
        marks=(Mark(draft.problem),) if draft.problem else tuple(_marks(draft, found)),
    )


def _marks(draft: TableDraft, found: Links) -> Iterator[Mark]:
    if draft.key.problem:
        yield Mark(f"{draft.key.problem}; name the columns that do, if any")
    if draft.key.alternative:
        yield Mark(
            f"unique too, where {draft.key.columns[0]} is only a number that the source counts up",
            f"key={tuple_of(map(quoted, draft.key.alternative))},",
        )
    modified = _modified(draft)
    if modified:
        yield modified
    if draft.table.heirs:
        yield Mark("tables that inherit from it are read with it, and may repeat its keys")
    yield from found.marks


def _modified(draft: TableDraft) -> Mark | None:
    """A column like the time of the last change: only offered, because a wrong one loses changes."""
    moments = {
        c.name.lower(): c
        for c in draft.table.columns
        if c.type.startswith("timestamp") and draft.columns[c.name].type.startswith("timestamp")
    }
    for name in (n for n in _MODIFIED if n in moments):
        column = moments[name]
        zoned = column.type.endswith("with time zone")
        if zoned or column.not_null:
            clock = "" if zoned else ", in UTC"
            return Mark(
                f"if every writer of the table maintains it{clock}",
                f"modified={quoted(column.name)},",
            )
    return None
