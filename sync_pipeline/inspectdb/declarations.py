"""Declarations of tables as plain data, for the Python text and for JSON, and their drafts."""

from collections.abc import Mapping
from dataclasses import dataclass

from sync_pipeline.inspectdb.formatting import visible
from sync_pipeline.inspectdb.types import MappedColumn
from sync_pipeline.postgres.catalog import Table


@dataclass(frozen=True)
class Question:
    """Something about a table that people decide; the code that would declare it, where that is known."""

    text: str
    code: str = ""


@dataclass(frozen=True)
class FieldDeclaration:
    """A column, of the same name at the source; its marks are questions that people decide.

    Its type is as Python writes it, `numeric(10, 2)`; empty where the column cannot be declared.
    """

    column: str
    type: str
    note: str
    nulls_not_distinct: bool
    marks: tuple[str, ...]


@dataclass(frozen=True)
class LinkDeclaration:
    """A column that references another entity; `match` is empty where it holds that entity's key."""

    column: str
    to: str
    match: tuple[str, ...]
    deferred: bool
    required: bool


@dataclass(frozen=True)
class TableDeclaration:
    """A table as an entity.

    Attributes:
        source: its name in the source's SQL.
        key: empty where no columns identify a row; then it is no entity yet.
        after: entities that come first, referenced by several columns together.
        marks: questions about the table itself.
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
    marks: tuple[Question, ...]

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


@dataclass(frozen=True)
class Key:
    """The key of a table, or the problem why it has none.

    The alternative is another key that would serve, where the chosen one is only a number.
    """

    columns: tuple[str, ...] = ()
    nulls_not_distinct: tuple[str, ...] = ()
    alternative: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class TableDraft:
    """A table before its links; the problem is why it cannot be declared at all, mostly empty."""

    table: Table
    name: str
    columns: Mapping[str, MappedColumn]
    key: Key
    problem: str

    @property
    def is_entity(self) -> bool:
        """Whether others can point at it."""
        return not self.problem and bool(self.key.columns)
