"""The tables of a schema, as the catalog describes them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its name.
        type: its type as SQL writes it, with its length.
        domain_of: for a domain, the type beneath it; otherwise empty.
        not_null: whether no row holds null in it.
        numbered: whether the database numbers it by itself: serial or identity.
        generated: whether it is computed from the other columns.
        comment: what people wrote about it.
    """

    name: str
    type: str
    domain_of: str
    not_null: bool
    numbered: bool
    generated: bool
    comment: str


@dataclass(frozen=True)
class Unique:
    """A unique index.

    Attributes:
        name: of the index.
        columns: in the index's order.
        primary: whether it is the primary key.
        nulls_count: whether two nulls are equal to it.
        flaw: why it does not hold for every row at every moment, in words; empty where it does.
    """

    name: str
    columns: tuple[str, ...]
    primary: bool
    nulls_count: bool
    flaw: str


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key.

    Attributes:
        name: of the constraint.
        columns: here.
        schema: of the table that it references.
        table: that it references.
        referenced: columns there, in the order of `columns`.
        checked: whether it holds for every row; one that is not valid, or not enforced, may not.
    """

    name: str
    columns: tuple[str, ...]
    schema: str
    table: str
    referenced: tuple[str, ...]
    checked: bool

    @property
    def column(self) -> str:
        """The column here, of a foreign key of one; otherwise empty."""
        return "".join(self.columns) if len(self.columns) == 1 else ""


@dataclass(frozen=True)
class Table:
    """A table, or a partitioned table as a whole.

    Attributes:
        schema: its schema.
        name: its name.
        sql: how SQL names it when `public` is searched.
        comment: what people wrote about it.
        heirs: whether other tables inherit from it, so that their rows are read with its own.
        columns: in the table's order.
        uniques: by name.
        foreign_keys: by name.
    """

    schema: str
    name: str
    sql: str
    comment: str
    heirs: bool
    columns: tuple[Column, ...]
    uniques: tuple[Unique, ...]
    foreign_keys: tuple[ForeignKey, ...]
