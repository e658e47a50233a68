"""Identifiers and conditions of one entity, composed with `psycopg.sql`.

Aliases used in every statement of this package: `t` target row, `b` base row, `s` the record as seen,
`r` its converted values, `p` its plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from string import Formatter
from typing import LiteralString

from psycopg import sql

from sync_pipeline.merge.schema.metadata import BASE_SCHEMA, base_name
from sync_pipeline.model.entity import Entity

COMMA = sql.SQL(", ")
AND = sql.SQL(" and ")


def ident(*names: str) -> sql.Identifier:
    """A quoted, possibly qualified identifier."""
    return sql.Identifier(*names)


def columns(names: Iterable[str], alias: str | None = None) -> sql.Composed:
    """A comma-separated column list, qualified when an alias is given."""
    return COMMA.join(ident(alias, n) if alias else ident(n) for n in names)


def listed(expressions: Iterable[sql.Composable]) -> sql.Composed:
    """Expressions separated by commas."""
    return COMMA.join(expressions)


def given(column: str) -> sql.Composed:
    """Whether the record `r` has the column: a partial record lists those that it leaves out."""
    return sql.SQL("coalesce({} <> all(r._absent), true)").format(column)


def _temporary(name: str) -> cached_property[sql.Identifier]:
    """A temporary table of an entity."""
    return cached_property(lambda rel: ident("pg_temp", f"{name}_{rel.entity.name}"[:63]))


@dataclass(frozen=True)
class Relations:
    """The tables that one entity's merge touches, and the statements on them."""

    entity: Entity
    names: Mapping[str, object] = field(default_factory=dict[str, object], compare=False)

    def bind(self, **names: object) -> Relations:
        """The same tables, with more names for `compose`."""
        return replace(self, names={**self.names, **names})

    def compose(self, template: LiteralString) -> sql.Composed:
        """Fill in the braces of a statement.

        They hold bound names, `{system}` and `{entity}` (of the bookkeeping), and members of this class, with
        aliases where they take some: `join {target} t on {same_key(t, p)}`. Plain values become literals.
        """
        names = {"system": self.entity.system, "entity": self.entity.name, **self.names}
        fields = {name for _, name, _, _ in Formatter().parse(template) if name}
        members = {name: self._member(name) for name in fields - names.keys()}
        return sql.SQL(template).format(**names, **members)

    def _member(self, call: str) -> object:
        name, _, aliases = call.removesuffix(")").partition("(")
        member = getattr(self, name)
        return member(*aliases.split(", ")) if aliases else member() if callable(member) else member

    @cached_property
    def target(self) -> sql.Identifier:
        """The table that people and apps also edit."""
        return ident(self.entity.schema, self.entity.table)

    def within(self, partitions: Collection[str] | None, alias: str) -> sql.Composable:
        """The condition that a row is in one of these partitions of the entity; None means all."""
        if partitions is None:
            return sql.SQL("true")
        column = self.entity.partition_by
        return sql.SQL("{} = any({}::text[]::{}[])").format(
            ident(alias, column),
            sql.Literal(sorted(partitions)),
            sql.SQL(self.entity.field(column).type.name),  # pyright: ignore[reportArgumentType]
        )

    @cached_property
    def held(self) -> sql.Composable:
        """The target's rows, one for each key, to be read under the alias `t`.

        Of several rows of a key, one of another owner, if there is one: then the key is left alone.
        """
        if self.entity.unique_key:
            return self.target
        return self.compose("""
            (
                select distinct on ({keys(x)}) x.ctid, x.*, count(*) over (partition by {keys(x)}) as _times
                from {target} x
                -- "is true": without an owner it is a constant, which ORDER BY refuses.
                order by {keys(x)}, {ours(x)} is true
            )
        """)

    @cached_property
    def repeats(self) -> sql.SQL:
        """Whether several rows of the target have the key of `t`, an alias of `held`."""
        return sql.SQL("false" if self.entity.unique_key else "coalesce(t._times > 1, false)")

    @cached_property
    def alone(self) -> sql.Composable:
        """Whether the row of the alias `t` is the only one of its key."""
        if self.entity.unique_key:
            return sql.SQL("true")
        return self.compose(
            "not exists (select from {target} o where {same_key(o, t)} and o.ctid <> t.ctid)"
        )

    @cached_property
    def base(self) -> sql.Identifier:
        """What the source last delivered."""
        return ident(BASE_SCHEMA, base_name(self.entity))

    seen = _temporary("seen")  # every record of the run, by key and digest
    rows = _temporary("rows")  # converted values of the records that the base does not already hold
    moved = _temporary("moved")  # rows whose looked-up values have moved; numbered as in `seen`
    missing = _temporary("missing")  # keys that a complete scan no longer found
    plan = _temporary("plan")  # what the run would do, per record

    @cached_property
    def value_columns(self) -> tuple[str, ...]:
        """Mapped columns outside the key."""
        return tuple(f.column for f in self.entity.values)

    @cached_property
    def mapped_columns(self) -> tuple[str, ...]:
        """Key columns, then the other mapped columns: the order of the base table."""
        return (*self.entity.key, *self.value_columns)

    def keys(self, alias: str | None = None) -> sql.Composed:
        """The key's columns."""
        return columns(self.entity.key, alias)

    def row(self, alias: str) -> sql.Composed:
        """The place of the row of that alias, which identifies it as long as it is locked."""
        return sql.SQL("{a}.tableoid as _table, {a}.ctid as _row").format(a=ident(alias))

    def values(self, alias: str | None = None) -> sql.Composed:
        """The mapped columns outside the key."""
        return columns(self.value_columns, alias)

    def mapped(self, alias: str | None = None) -> sql.Composed:
        """The mapped columns, in the order of the base table."""
        return columns(self.mapped_columns, alias)

    def same_key(self, left: str, right: str) -> sql.Composed:
        """Equality of the key between two aliases.

        Only columns in which null is a value are compared with IS NOT DISTINCT FROM: it rules out hash
        and merge joins, which the other columns keep possible.
        """
        tests: list[sql.Composable] = []
        for f in self.entity.key_fields:
            test = sql.SQL("{} is not distinct from {}" if f.nulls_not_distinct else "{} = {}")
            tests.append(test.format(ident(left, f.column), ident(right, f.column)))
        return AND.join(tests)

    def unmatched(self, alias: str) -> sql.Composable:
        """Whether an outer join found no row for that alias.

        Tests a key column: testing ctid would rule out an index-only scan.
        """
        never_null = (f.column for f in self.entity.key_fields if not f.nulls_not_distinct)
        return sql.SQL("{} is null").format(ident(alias, next(never_null, "ctid")))

    def key_json(self, alias: str) -> sql.Composed:
        """The key as a jsonb object of column and value, the form that bookkeeping stores."""
        pairs = (sql.SQL("{}, {}").format(sql.Literal(c), ident(alias, c)) for c in self.entity.key)
        return sql.SQL("jsonb_build_object({})").format(listed(pairs))

    def field_values(self, positions: Iterable[int], *aliases: str) -> sql.Composed:
        """Rows of VALUES for fields: position from 1, name, and as jsonb the value of each alias."""
        fields = [(i, self.value_columns[i]) for i in positions]
        return listed(
            sql.SQL("({}, {}, {})").format(
                i + 1, name, listed(sql.SQL("to_jsonb({})").format(ident(a, name)) for a in aliases)
            )
            for i, name in fields
        )

    def record(self, action: str) -> sql.Composed:
        """The end of a write that keeps before-images: `written` has a row's `key`, `before` and `after`."""
        return self.bind(action=action).compose("""
            insert into sync.change (run_id, system, entity, key, action, before, after)
            select {run}, {system}, {entity}, key, {action}, before, after
            from written
        """)

    def ours(self, alias: str) -> sql.Composable:
        """Whether the sync may write the row of that alias."""
        owner = self.entity.owner
        if owner is None:
            return sql.SQL("true")
        column = ident(alias, owner.column)
        # A char(1) column pads; trim so that the mark is compared, not its padding.
        test = sql.SQL("rtrim({}::text) = any({})").format(column, sql.Literal(list(owner.ours)))
        if owner.unmarked_is_ours:
            return sql.SQL("(coalesce(rtrim({}::text), '') = '' or {})").format(column, test)
        return sql.SQL("coalesce({}, false)").format(test)
