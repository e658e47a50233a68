"""Tables as pg_catalog describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString, NamedTuple

from psycopg import sql

_NUMBERS = {"smallint", "integer", "bigint", "numeric"}


class TableName(NamedTuple):
    """A table, by schema and name."""

    schema: str
    table: str

    @property
    def relation(self) -> sql.Identifier:
        """The table in SQL."""
        return sql.Identifier(self.schema, self.table)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


class ColumnType(NamedTuple):
    """A column's type as Postgres spells it; a domain by its own name.

    Attributes:
        full: with its length, such as `numeric(10,2)`.
        bare: without it.
    """

    full: LiteralString
    bare: LiteralString


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its name.
        type: its type with its length; a domain by its own name.
        domain_of: the type of a domain, with its length; empty where the type is no domain.
        base_type: its type without a length; of a domain, the type that it is over.
        length: of a text type; None without a limit.
        precision: decimal digits of a numeric; None without a limit.
        scale: decimal places of a numeric, or of the seconds of a time; None without a limit.
        not_null: no row holds null.
        has_default: the database supplies a value when an insert names none.
        identity: `a` generated always, `d` by default; empty for no identity column.
        generated: it is computed from other columns.
        comment: its description.
        missing_privileges: which of SELECT, INSERT and UPDATE the role lacks.
        sequence: the sequence of its default; empty if there is none.
        sequence_usable: the role has USAGE on that sequence.
    """

    name: str
    type: str
    domain_of: str
    base_type: str
    length: int | None
    precision: int | None
    scale: int | None
    not_null: bool
    has_default: bool
    identity: str
    generated: bool
    comment: str
    missing_privileges: tuple[str, ...]
    sequence: str
    sequence_usable: bool

    @property
    def accepts_no_value(self) -> bool:
        """Whether an insert or update that names it fails."""
        return self.generated or self.identity == "a"

    @property
    def is_numbered(self) -> bool:
        """Whether the database numbers it: serial or identity."""
        return bool(self.identity or self.sequence) and self.base_type in _NUMBERS


@dataclass(frozen=True)
class Index:
    """An index, as it is defined.

    Attributes:
        name: its name, without a schema.
        columns: its key columns, in order; expressions are not among them.
        included: columns that it only includes.
        referenced: every column that its keys, expressions and condition name.
        unique: no two rows have the same key.
        valid: its build has completed.
        immediate: it is checked at once; a deferrable constraint is not.
        condition: of a partial index; empty for all rows.
        has_expressions: a key is an expression and not a column.
        exclusion: it belongs to an exclusion constraint.
        primary: it is the primary key.
        nulls_not_distinct: two nulls are equal.
        constraint: it belongs to a constraint of the same name.
        required: a constraint or a foreign key depends on it.
        definition: the statement that creates it, or its constraint, again.
    """

    name: str
    columns: tuple[str, ...]
    included: tuple[str, ...]
    referenced: tuple[str, ...]
    unique: bool
    valid: bool
    immediate: bool
    condition: str
    has_expressions: bool
    exclusion: bool
    primary: bool
    nulls_not_distinct: bool
    constraint: bool
    required: bool
    definition: str

    @property
    def is_plain(self) -> bool:
        """Whether it holds every row, and its keys are columns."""
        return not (self.condition or self.has_expressions or self.exclusion)


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key.

    Attributes:
        name: of the constraint.
        child: the referencing table.
        columns: the referencing columns.
        parent: the referenced table.
        parent_columns: the referenced columns, in the order of `columns`.
        on_delete: `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default.
        valid: it holds for every row; one that is NOT VALID or NOT ENFORCED may not.
        deferred: it is checked when the transaction ends.
    """

    name: str
    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]
    on_delete: str
    valid: bool
    deferred: bool

    @property
    def column(self) -> str:
        """The referencing column, of a foreign key of one; otherwise empty."""
        return self.columns[0] if len(self.columns) == 1 else ""


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
    """A relation with rows: a table, partitioned table, view or foreign table.

    Attributes:
        schema: its schema.
        name: its name.
        oid: its number in this database.
        sql: how SQL names it, quoted where it must be, when `public` is searched.
        kind: `r` table, `p` partitioned, `v` view, `m` materialized view, `f` foreign table.
        has_children: other tables inherit from it, or are its partitions.
        unlogged: a crash of the server empties it.
        row_security: policies apply to the role.
        missing_privileges: on the table or its schema, that no column grants.
        rules: names of rewrite rules on INSERT or UPDATE.
        comment: its description.
        columns: by name, in the table's order.
        indexes: by name.
        foreign_keys: from it, by name.
        referrers: foreign keys to it, its own included, by name.
        triggers: those that run before a write.
    """

    schema: str
    name: str
    oid: int
    sql: str
    kind: str
    has_children: bool
    unlogged: bool
    row_security: bool
    missing_privileges: tuple[str, ...]
    rules: tuple[str, ...]
    comment: str
    columns: Mapping[str, Column]
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]
    referrers: tuple[ForeignKey, ...]
    triggers: tuple[Trigger, ...]

    @property
    def table_name(self) -> TableName:
        """Its schema and name."""
        return TableName(self.schema, self.name)

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns of the primary key; empty if there is none."""
        return next((index.columns for index in self.indexes if index.primary), ())

    @property
    def row_identity(self) -> tuple[str, ...]:
        """Columns that identify a row; all of them where there is no primary key."""
        return self.primary_key or tuple(self.columns)

    @property
    def insertable(self) -> list[str]:
        """Columns that an insert may name, an identity with OVERRIDING SYSTEM VALUE."""
        return [column.name for column in self.columns.values() if not column.generated]
