"""What was decided about a schema: plain data, for the Python text and for JSON alike."""

from __future__ import annotations

from dataclasses import dataclass

from sync_pipeline.inspectdb.formatting import visible


@dataclass(frozen=True)
class Mark:
    """Something about a table that people decide.

    Attributes:
        text: in words.
        code: what one would write, where that is known.
    """

    text: str
    code: str = ""


@dataclass(frozen=True)
class FieldDeclaration:
    """A column.

    Attributes:
        column: its name, here and at the source.
        type: as Python writes it: `numeric(10, 2)`; empty where the column cannot be declared.
        note: what people wrote about it.
        nulls_not_distinct: whether it is part of the key and may be null.
        marks: what people decide, in words.
    """

    column: str
    type: str
    note: str
    nulls_not_distinct: bool
    marks: tuple[str, ...]


@dataclass(frozen=True)
class LinkDeclaration:
    """A column that points at another entity.

    Attributes:
        column: here.
        to: name of the entity.
        match: the column there; empty where it is the entity's key.
        deferred: whether it would close a cycle.
        required: whether a row without its parent waits for it.
    """

    column: str
    to: str
    match: tuple[str, ...]
    deferred: bool
    required: bool


@dataclass(frozen=True)
class TableDeclaration:
    """A table as an entity.

    Attributes:
        name: of the entity.
        schema: of the table.
        table: its name.
        source: how the source is asked for it.
        description: what people wrote about it.
        declarable: whether it can be declared at all.
        key: empty where nothing tells its rows apart; then it is no entity yet.
        after: entities that come first, although no single column points at them.
        fields: its columns, in the table's order.
        links: in the order of the columns.
        marks: what people decide about the table itself.
    """

    name: str
    schema: str
    table: str
    source: str
    description: str
    declarable: bool
    key: tuple[str, ...]
    after: tuple[str, ...]
    fields: tuple[FieldDeclaration, ...]
    links: tuple[LinkDeclaration, ...]
    marks: tuple[Mark, ...]

    @property
    def is_entity(self) -> bool:
        """Whether it can be synced as it is."""
        return self.declarable and bool(self.key)

    @property
    def undecided(self) -> list[str]:
        """Its marks, a line each."""
        lines = [f"{self.table}: {mark.code} {mark.text}" for mark in self.marks]
        if self.declarable:
            lines += (f"{self.table}.{f.column}: {mark}" for f in self.fields for mark in f.marks)
        return list(map(visible, lines))
