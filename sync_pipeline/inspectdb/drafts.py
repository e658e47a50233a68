"""Tables on their way to entities: names, columns and keys, each table by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from sync_pipeline.inspectdb.keys import Key, choose
from sync_pipeline.inspectdb.names import entity_names
from sync_pipeline.inspectdb.schema import Table
from sync_pipeline.inspectdb.types import MappedColumn, mapped
from sync_pipeline.merge.schema.bookkeeping_tables import add_bookkeeping


@dataclass(frozen=True)
class TableDraft:
    """A table before its links.

    Attributes:
        table: what the catalog says.
        name: of the entity.
        columns: by name.
        key: the choice of a key.
        problem: why it cannot be declared at all, in words; mostly empty.
    """

    table: Table
    name: str
    columns: Mapping[str, MappedColumn]
    key: Key
    problem: str

    @property
    def is_entity(self) -> bool:
        """Whether others can point at it."""
        return not self.problem and bool(self.key.columns)


def drafts(tables: Sequence[Table], system: str) -> dict[str, TableDraft]:
    """A draft of each table, by the table's name."""
    names = entity_names(system, [table.name for table in tables])
    ours = _bookkeeping()
    return {table.name: _draft(table, names[table.name], ours) for table in tables}


def _draft(table: Table, name: str, ours: Iterable[str]) -> TableDraft:
    columns = {column.name: mapped(column) for column in table.columns}
    problem = ""
    if "%" in table.schema + table.name:
        problem = "left out: its name contains %, which no declaration can hold; rename it"
    elif f"{table.schema}.{table.name}" in ours:
        problem = "left out: the sync keeps account of itself in a table of this name; rename it"
    return TableDraft(table, name, columns, choose(table, columns), problem)


def _bookkeeping() -> set[str]:
    meta = sa.MetaData()
    add_bookkeeping(meta)
    return {f"{table.schema or 'public'}.{table.name}" for table in meta.tables.values()}
