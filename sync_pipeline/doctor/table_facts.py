"""What the catalog says of one table, as far as a merge depends on it. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its name.
        type: as Postgres spells it, without a length; of a domain, what lies beneath.
        length: of a text type; None without a limit.
        precision: decimal digits of a numeric; None without a limit.
        scale: decimal places of a numeric, or of the seconds of a moment; None without a limit.
        not_null: no row holds null.
        filled: the database has a value for it when an insert names none.
        computed: a generated column, or an identity that accepts no value.
        denied: which of SELECT, INSERT and UPDATE our role may not.
        sequence: what its default counts with and our role may not use; empty if there is no such thing.
    """

    name: str
    type: str
    length: int | None
    precision: int | None
    scale: int | None
    not_null: bool
    filled: bool
    computed: bool
    denied: tuple[str, ...]
    sequence: str


@dataclass(frozen=True)
class Index:
    """A unique index, or one on plain columns, or an exclusion constraint.

    Attributes:
        name: its name, without a schema.
        columns: its key columns, in order; those that it only includes are not among them.
        refers: every column that its keys, expressions and condition name.
        unique: whether it keeps values apart.
        valid: whether its creation has ended well.
        immediate: whether it is checked at once; a deferrable constraint is not.
        condition: which rows it holds; empty for all.
        expressions: whether a key is an expression and not a column.
        exclusion: whether it belongs to an exclusion constraint.
        primary: whether it is the primary key.
        nulls_equal: whether two nulls collide: NULLS NOT DISTINCT.
        needed: whether a constraint or a foreign key rests on it.
        bytes: its size on disk.
    """

    name: str
    columns: tuple[str, ...]
    refers: tuple[str, ...]
    unique: bool
    valid: bool
    immediate: bool
    condition: str
    expressions: bool
    exclusion: bool
    primary: bool
    nulls_equal: bool
    needed: bool
    bytes: int

    @property
    def is_plain(self) -> bool:
        """Whether it holds every row by nothing but columns."""
        return not (self.condition or self.expressions or self.exclusion)


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key from or to a table.

    Attributes:
        name: the constraint's name.
        child: schema and table that refer.
        columns: the referring columns.
        parent: schema and table that are referred to.
        parent_columns: the columns that hold the values.
        on_delete: `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default.
        valid: whether all rows were checked when it was created.
        at_end: whether it is checked when the transaction ends.
    """

    name: str
    child: tuple[str, str]
    columns: tuple[str, ...]
    parent: tuple[str, str]
    parent_columns: tuple[str, ...]
    on_delete: str
    valid: bool
    at_end: bool


@dataclass(frozen=True)
class Trigger:
    """A row trigger that runs before a write.

    Attributes:
        name: its name.
        function: what it calls.
        events: the writes that it precedes, such as `INSERT or UPDATE`.
    """

    name: str
    function: str
    events: str


@dataclass(frozen=True)
class Table:
    """A relation with everything that a merge meets in it.

    Attributes:
        schema: its schema.
        name: its name.
        oid: its number in this database.
        kind: `r` table, `p` partitioned, `v` view, `m` materialized view, `f` foreign table.
        unlogged: whether a crash of the server empties it.
        secured: whether row security applies to our role.
        denied: privileges on the table or its schema that our role lacks and that no column grants.
        rules: names of rewrite rules on INSERT or UPDATE.
        columns: by name, in the table's order.
        indexes: by name.
        foreign_keys: from it.
        referrers: foreign keys to it.
        triggers: those that run before a write.
    """

    schema: str
    name: str
    oid: int
    kind: str
    unlogged: bool
    secured: bool
    denied: tuple[str, ...]
    rules: tuple[str, ...]
    columns: Mapping[str, Column]
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]
    referrers: tuple[ForeignKey, ...]
    triggers: tuple[Trigger, ...]
