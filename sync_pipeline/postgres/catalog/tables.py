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
    """A column's type as Postgres spells it; a domain by its own name."""

    full: LiteralString  # with its length, such as `numeric(10,2)`
    bare: LiteralString  # without it


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str  # its type with its length; a domain by its own name
    domain_of: str  # the type of a domain, with its length; empty where the type is no domain
    base_type: str  # its type without a length; of a domain, the type that it is over
    length: int | None  # of a text type; None without a limit
    precision: int | None  # decimal digits of a numeric; None without a limit
    scale: int | None  # decimal places of a numeric, or of a time's seconds; None without a limit
    not_null: bool  # no row holds null
    has_default: bool  # the database supplies a value when an insert names none
    identity: str  # `a` generated always, `d` by default; empty for no identity column
    generated: bool  # it is computed from other columns
    comment: str
    missing_privileges: tuple[str, ...]  # which of SELECT, INSERT and UPDATE the role lacks
    sequence: str  # the sequence of its default; empty if there is none
    sequence_usable: bool  # the role has USAGE on that sequence

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
    """An index, as it is defined."""

    name: str  # its name, without a schema
    columns: tuple[str, ...]  # its key columns, in order; expressions are not among them
    included: tuple[str, ...]  # columns that it only includes
    referenced: tuple[str, ...]  # every column that its keys, expressions and condition name
    unique: bool  # no two rows have the same key
    valid: bool  # its build has completed
    immediate: bool  # it is checked at once; a deferrable constraint is not
    condition: str  # of a partial index; empty for all rows
    has_expressions: bool  # a key is an expression and not a column
    exclusion: bool  # it belongs to an exclusion constraint
    primary: bool
    nulls_not_distinct: bool  # two nulls are equal
    constraint: bool  # it belongs to a constraint of the same name
    required: bool  # a constraint or a foreign key depends on it
    definition: str  # the statement that creates it, or its constraint, again

    @property
    def is_plain(self) -> bool:
        """Whether it holds every row, and its keys are columns."""
        return not (self.condition or self.has_expressions or self.exclusion)


class PlainIndex(NamedTuple):
    """A valid index over all rows, whose keys are columns."""

    name: str
    columns: tuple[str, ...]  # of the key
    includes: bool  # it includes further columns
    unique: bool
    immediate: bool  # it is checked at once; a deferrable constraint is not
    nullable: tuple[str, ...]  # columns of the key in which a null may repeat


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key."""

    name: str
    child: TableName  # the referencing table
    columns: tuple[str, ...]
    parent: TableName  # the referenced table
    parent_columns: tuple[str, ...]  # in the order of `columns`
    on_delete: str  # `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default
    valid: bool  # it holds for every row; one that is NOT VALID or NOT ENFORCED may not
    deferred: bool  # it is checked when the transaction ends

    @property
    def column(self) -> str:
        """The referencing column, of a foreign key of one; otherwise empty."""
        return self.columns[0] if len(self.columns) == 1 else ""


@dataclass(frozen=True)
class Trigger:
    """A row trigger that runs before a write."""

    name: str
    function: str
    events: str  # the writes that it precedes, such as `INSERT or UPDATE`


@dataclass(frozen=True)
class Table:
    """A relation with rows: a table, partitioned table, view or foreign table."""

    schema: str
    name: str
    oid: int
    sql: str  # how SQL names it, quoted where it must be, when `public` is searched
    kind: str  # `r` table, `p` partitioned, `v` view, `m` materialized view, `f` foreign table
    has_children: bool  # other tables inherit from it, or are its partitions
    unlogged: bool  # a crash of the server empties it
    row_security: bool  # policies apply to the role
    missing_privileges: tuple[str, ...]  # on the table or its schema, that no column grants
    rules: tuple[str, ...]  # names of rewrite rules on INSERT or UPDATE
    comment: str
    columns: Mapping[str, Column]  # by name, in the table's order
    indexes: tuple[Index, ...]  # by name
    foreign_keys: tuple[ForeignKey, ...]  # from it, by name
    referrers: tuple[ForeignKey, ...]  # foreign keys to it, its own included, by name
    triggers: tuple[Trigger, ...]  # those that run before a write

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
