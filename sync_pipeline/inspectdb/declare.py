"""Declares tables: their names, columns, keys and links, from the catalog."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import sqlalchemy as sa

from sync_pipeline.inspectdb.declarations import (
    FieldDeclaration,
    Key,
    Question,
    TableDeclaration,
    TableDraft,
)
from sync_pipeline.inspectdb.formatting import quoted, tuple_of
from sync_pipeline.inspectdb.links import Links, linked
from sync_pipeline.inspectdb.names import entity_names
from sync_pipeline.inspectdb.ordering import in_order
from sync_pipeline.inspectdb.types import MappedColumn, mapped
from sync_pipeline.merge.schema.bookkeeping_tables import add_bookkeeping
from sync_pipeline.postgres.catalog import Index, Table

# Names of columns that look like the time of the last change, the likeliest first.
_MODIFIED = (
    "updated_at", "modified_at", "last_modified", "last_modified_at", "modified", "updated", "last_updated",
    "last_updated_at", "updated_on", "modified_on", "modified_date", "update_date", "updated_date",
    "changed_at", "date_modified", "date_updated", "mtime",
)  # fmt: skip


def declare(tables: Sequence[Table], system: str) -> tuple[TableDeclaration, ...]:
    """Every table of a schema, parents before children and otherwise by name."""
    drafted = _drafts(tables, system)
    links, edges = linked(drafted)
    order = in_order(list(drafted), edges)
    return tuple(_declared(drafted[name], links[name]) for name in order)


def _declared(draft: TableDraft, found: Links) -> TableDeclaration:
    table = draft.table
    fields = tuple(
        FieldDeclaration(
            column=column.name,
            type=draft.columns[column.name].type,
            note=column.comment,
            nulls_not_distinct=column.name in draft.key.nulls_not_distinct,
            marks=(*draft.columns[column.name].marks, *found.column_marks[column.name]),
        )
        for column in table.columns.values()
    )
    names = [f.column for f in fields if f.type]
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
        links=tuple(found.links[column] for column in names if column in found.links),
        marks=(Question(draft.problem),) if draft.problem else tuple(_marks(draft, found)),
    )


def _marks(draft: TableDraft, found: Links) -> Iterator[Question]:
    if draft.key.problem:
        yield Question(f"{draft.key.problem}; name the columns that do, if any")
    if draft.key.alternative:
        yield Question(
            f"unique too, where {draft.key.columns[0]} is only a number that the source counts up",
            f"key={tuple_of(map(quoted, draft.key.alternative))},",
        )
    modified = _modified(draft)
    if modified:
        yield modified
    if draft.table.kind == "r" and draft.table.has_children:
        yield Question("tables that inherit from it are read with it, and may repeat its keys")
    yield from found.marks


def _modified(draft: TableDraft) -> Question | None:
    """A column that may be the time of the last change; only suggested, because a wrong one loses changes."""
    times = {
        c.name.lower(): c
        for c in draft.table.columns.values()
        if c.type.startswith("timestamp") and draft.columns[c.name].type.startswith("timestamp")
    }
    for name in (n for n in _MODIFIED if n in times):
        column = times[name]
        zoned = column.type.endswith("with time zone")
        if zoned or column.not_null:
            clock = "" if zoned else ", in UTC"
            return Question(
                f"if every writer of the table maintains it{clock}",
                f"modified={quoted(column.name)},",
            )
    return None


def _drafts(tables: Sequence[Table], system: str) -> dict[str, TableDraft]:
    """A draft of each table, by the table's name."""
    names = entity_names(system, [table.name for table in tables])
    ours = _bookkeeping()
    return {table.name: _draft(table, names[table.name], ours) for table in tables}


def _draft(table: Table, name: str, ours: Iterable[str]) -> TableDraft:
    columns = {column.name: mapped(column) for column in table.columns.values()}
    problem = ""
    if "%" in table.schema + table.name:
        problem = "left out: its name contains %, which no declaration can hold; rename it"
    elif f"{table.schema}.{table.name}" in ours:
        problem = "left out: a bookkeeping table of the sync has this name; rename it"
    return TableDraft(table, name, columns, _key(table, columns), problem)


def _bookkeeping() -> set[str]:
    meta = sa.MetaData()
    add_bookkeeping(meta)
    return {f"{table.schema or 'public'}.{table.name}" for table in meta.tables.values()}


def _key(table: Table, columns: Mapping[str, MappedColumn]) -> Key:
    """The primary key; else a unique index of columns that are never null; else one to which nulls are equal.

    Of several the one with the fewest columns is taken, then the first by name.
    """
    usable = [u for u in _uniques(table) if not _unfit(u, columns)]
    usable.sort(key=lambda u: len(u.columns))
    never_null = {c.name for c in table.columns.values() if c.not_null}
    total = [u for u in usable if never_null.issuperset(u.columns)]
    primary = [u for u in total if u.primary]
    found = primary or total or [u for u in usable if u.nulls_not_distinct]
    if not found:
        return Key(problem=_problem(table, columns))
    key = found[0]
    others = [u for u in total if set(u.columns) != set(key.columns)]
    numbered = {c.name for c in table.columns.values() if c.is_numbered}
    only_a_number = key.primary and len(key.columns) == 1 and numbered.issuperset(key.columns)
    return Key(
        columns=key.columns,
        nulls_not_distinct=tuple(c for c in key.columns if c not in never_null),
        alternative=others[0].columns if only_a_number and len(others) == 1 else (),
    )


def _problem(table: Table, columns: Mapping[str, MappedColumn]) -> str:
    reasons = [f"{u.name} {_unfit(u, columns) or 'allows several nulls'}" for u in _uniques(table)]
    return "nothing tells its rows apart" + (f": {', '.join(reasons)}" if reasons else "")


def _unfit(index: Index, columns: Mapping[str, MappedColumn]) -> str:
    """Why an index is no key, nulls aside; empty where it is one."""
    flaws = {
        "is not valid": not index.valid,
        "is deferrable": not index.immediate,
        "holds for some rows only": bool(index.condition),
        "is of an expression": index.has_expressions,
        "is of ranges": index.exclusion,
    }
    for flaw, applies in flaws.items():
        if applies:
            return flaw
    for column in (columns[c] for c in index.columns):
        if not column.type:
            return f"has the column {column.column}, which is left out"
        if not column.fits_a_key:
            return f"has the column {column.column}, whose type is none for keys"
    return ""


def _uniques(table: Table) -> list[Index]:
    return [index for index in table.indexes if index.unique]
