"""Entities: one synced table each, declared once, as data.

An entity lists the columns of its table in the table's order: `Field` is mapped from the source,
`Local` belongs to the people and apps beside us and is never written, `Stamp` is set by the sync,
`Serial` by the database. Errors of one declaration are found here, at import; errors between entities are
found in `system`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sync_pipeline.errors import DeclarationError
from sync_pipeline.model.types import Type, integer

Policy = Literal["source", "local", "ask"]
Absent = Literal["cleared", "unknown"]
WhenMissing = Literal["keep", "flag", "delete"]
BASE_MARKS = ("_digest", "_modified", "_unknown", "_missing_since", "_run", "_inserted_by")
"""Columns of every base table besides the mapped ones."""
PLAN_MARKS = (
    "_absent", "_d", "_elsewhere", "_found", "_has_base", "_n", "_parked_on", "_place", "_raw", "_seq",
    "_stale", "_state", "_times", "_wide", "_writes",
)  # fmt: skip
"""Columns of the merge's temporary tables besides the mapped ones."""


@dataclass(frozen=True)
class Link:
    """A field, or list field, that points at the key of another entity.

    Attributes:
        to: the entity, or entities, one of which holds the parent.
        deferred: no lineage and no level; checked and patched after the sync. A link that would
            close a cycle must be deferred.
        required: a row without its parent is parked until the parent arrives.
        match: columns of the parent that the value may equal; empty means its key.
        exempt: values with one of these beginnings point at nothing that is synced.
    """

    to: str | tuple[str, ...]
    deferred: bool = False
    required: bool = False
    match: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the entities that may hold the parent."""
        return (self.to,) if isinstance(self.to, str) else self.to


@dataclass(frozen=True)
class Lookup:
    """A value that the target itself holds: a column of another entity's row, found by equal columns.

    It is merged like a value from the source: when the other row's value changes, it changes too, unless
    it was edited here. Of several rows the one with the lowest key decides.

    Attributes:
        to: the entity whose row holds the value; it is synced first.
        by: pairs of a column here, mapped and not looked up itself, and the column there that equals it.
        take: the column there whose value is taken.
    """

    to: str
    by: tuple[tuple[str, str], ...]
    take: str


@dataclass(frozen=True)
class Field:
    """A mapped column.

    Attributes:
        column: the target column.
        type: the conversion and column type.
        source: name in the source record; of several names the first that is filled wins. Empty for a
            value that is looked up.
        policy: who wins when both sides changed the field since the base.
        link: what the value points at.
        lookup: where the value is found on the target, when no record holds it.
        default: the column's default in a table that we create; never used to fill a record.
        nulls_not_distinct: in a key, null is a value like any other; elsewhere without meaning.
        null_means_other_owner: in a key, others insert rows with null there, which no record has; elsewhere
            without meaning.
        personal: shortened in previews, logs and messages, because it identifies a person.
        note: for the column's description.
    """

    column: str
    type: Type
    source: str | tuple[str, ...]
    policy: Policy = "source"
    link: Link | None = None
    lookup: Lookup | None = None
    default: str | None = None
    nulls_not_distinct: bool = False
    null_means_other_owner: bool = False
    personal: bool = False
    note: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """Source names in order of preference."""
        if isinstance(self.source, str):
            return (self.source,) if self.source else ()
        return self.source


@dataclass(frozen=True)
class Local:
    """A column that the sync never writes."""

    column: str
    type: Type
    default: str | None = None
    nullable: bool = True
    note: str = ""


@dataclass(frozen=True)
class Stamp:
    """A column that the sync sets on rows that it writes.

    Attributes:
        value: a mapped column whose value is copied, or None for the moment of the write.
        insert_only: set when the row is inserted and never again.
        default: the column's default in a table that we create.
    """

    column: str
    type: Type
    value: str | None = None
    insert_only: bool = False
    default: str | None = None


@dataclass(frozen=True)
class Serial:
    """The surrogate key that the database makes by itself: a number, or a random uuid."""

    column: str = "id"
    type: Type = integer


Column = Field | Local | Stamp | Serial


@dataclass(frozen=True)
class Owner:
    """Which rows of a shared table the sync may write.

    Attributes:
        column: holds the owner's mark; set to `mark` on insert and never changed afterwards.
        ours: marks of rows that the sync may write.
        unmarked_is_ours: whether a row without a mark, or with a blank one, may be written too.
        mark: what inserted rows carry.
        source: field of the source record that names the owner of the record, where the source keeps other
            owners' rows as well. Such a record counts as owned elsewhere and is never inserted; it may
            be a copy of a row that has been deleted here.
    """

    column: str
    ours: tuple[str, ...]
    mark: str
    unmarked_is_ours: bool = True
    source: str | None = None

    def owns(self, mark: Any) -> bool:
        """Whether a row or record of this mark is ours."""
        text = "" if mark is None else str(mark).rstrip()
        return text in self.ours if text else self.unmarked_is_ours


@dataclass(frozen=True)
class Limit:
    """A budget: exceeded when a count is above `floor` and above `percent` of the whole."""

    percent: float
    floor: int

    def exceeded_by(self, count: int, whole: int) -> bool:
        """Whether `count` of `whole` is out of proportion."""
        return count > self.floor and count * 100 > self.percent * whole


@dataclass(frozen=True)
class Budget:
    """What one run may do to one entity before a person has to approve it.

    Attributes:
        updates: rows updated, of the rows on the target.
        blanking: values of one field that go from filled to empty, of those that were filled among
            the delivered rows.
        missing: rows that a complete scan no longer found, of the rows with a base.
        hidden_field: a field that was filled in at least this many delivered rows and is now filled in
            no record of the run looks renamed or hidden at the source, whatever the share.
    """

    updates: Limit = Limit(percent=30, floor=200)
    blanking: Limit = Limit(percent=20, floor=10)
    missing: Limit = Limit(percent=5, floor=20)
    hidden_field: int = 5


@dataclass(frozen=True)
class Entity:
    """One synced table.

    Attributes:
        name: unique in its system; also the table's name unless `table` is given.
        source: name of the record type at the source.
        key: target columns that identify a row on both sides.
        columns: every column of the table, in the table's order.
        absent: what a key missing from a source record means.
        modified: mapped column with the source's modification time; None where it keeps none.
        owner: who may write a row; None where the sync may write every row.
        missing: what happens to a row that a complete scan no longer finds.
        missing_flag: local column that `missing="flag"` sets to true.
        after: entities to sync first although no column points at them.
        budget: impact budgets.
        unique: further unique column sets of the table.
        indexes: further indexed column sets.
        schema: schema of the table.
        unique_key: a unique index on the target covers the key. False for a table that we may not index
            and that may repeat keys: the sync locks it against other writers while it applies, and a
            record whose key it repeats is a conflict.
        key_prefix: the first components of the asset key.
        partition_by: mapped column by which the source is read in partitions, such as one account or one
            site at a time; a complete read of some says nothing about the others. Empty: not partitioned.
        partition_error: local column that holds, in every row of a partition, the error of its last read;
            cleared in the rows that a later read delivers.
    """

    name: str
    source: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    absent: Absent
    modified: str | None = None
    table: str = ""
    schema: str = "public"
    description: str = ""
    owner: Owner | None = None
    missing: WhenMissing = "keep"
    missing_flag: str | None = None
    after: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    unique_key: bool = True
    system: str = ""
    key_prefix: tuple[str, ...] = ()
    partition_by: str = ""
    partition_error: str = ""
    where: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the declaration.

        Raises:
            DeclarationError: with the entity, the file and line of the literal, and the repair.
        """
        if not self.table:
            object.__setattr__(self, "table", self.name)
        if not self.where:
            object.__setattr__(self, "where", _caller())
        for problem in _problems(self):
            raise DeclarationError(f"entity {self.name!r} ({self.where}): {problem}")

    @property
    def label(self) -> str:
        """The entity as messages name it."""
        return f"{self.system}/{self.name}"

    @property
    def fields(self) -> tuple[Field, ...]:
        """Mapped columns, in the table's order."""
        return tuple(c for c in self.columns if isinstance(c, Field))

    @property
    def values(self) -> tuple[Field, ...]:
        """Mapped columns that are not part of the key."""
        return tuple(f for f in self.fields if f.column not in self.key)

    @property
    def key_fields(self) -> tuple[Field, ...]:
        """Fields of the key, in the key's order."""
        return tuple(self.field(column) for column in self.key)

    @property
    def stamps(self) -> tuple[Stamp, ...]:
        """Columns that the sync sets."""
        return tuple(c for c in self.columns if isinstance(c, Stamp))

    @property
    def links(self) -> Iterator[tuple[Field, Link]]:
        """Mapped fields that point at other entities."""
        return ((f, f.link) for f in self.fields if f.link)

    @property
    def lookups(self) -> Iterator[tuple[Field, Lookup]]:
        """Mapped fields whose value is looked up on the target."""
        return ((f, f.lookup) for f in self.fields if f.lookup)

    @property
    def hard_parents(self) -> tuple[str, ...]:
        """Entities that must be synced before this one, each once, in order of declaration."""
        linked = [p for _, link in self.links if not link.deferred for p in link.parents]
        linked += [lookup.to for _, lookup in self.lookups]
        return tuple(dict.fromkeys(p for p in (*linked, *self.after) if p != self.name))

    def field(self, column: str) -> Field:
        """The mapped field of a column.

        Raises:
            KeyError: the column is not mapped.
        """
        for f in self.fields:
            if f.column == column:
                return f
        raise KeyError(f"{self.name} maps no column {column!r}")

    def bound_to(self, system: str, key_prefix: tuple[str, ...] = ()) -> Entity:
        """The same entity within `system`, whose asset keys begin with `key_prefix`."""
        return dataclasses.replace(self, system=system, key_prefix=key_prefix or (system,))


def _caller() -> str:
    """File and line of the literal: the first frame outside this module and dataclasses."""
    frame = sys._getframe(1)  # noqa: SLF001  the documented way to name the declaring line
    while frame and (frame.f_code.co_filename in {__file__, dataclasses.__file__, "<string>"}):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "unknown file"


def _problems(entity: Entity) -> Iterator[str]:
    columns = [c.column for c in entity.columns]
    mapped = {f.column for f in entity.fields}
    yield from _repeated("column", columns)
    yield from _repeated("source field", [s for f in entity.fields for s in f.sources])
    if not entity.key:
        yield "key is empty; name the columns that identify a row"
    for column in entity.key:
        if column not in mapped:
            yield f"key column {column!r} is not mapped; give it a Field, or choose another key"
    if entity.modified and entity.modified not in mapped:
        yield f"modified={entity.modified!r} is not a mapped column"
    yield from _stamp_problems(entity, mapped)
    yield from _reference_problems(entity, {c.column for c in entity.columns})
    yield from _partition_problems(entity, {c.column for c in entity.columns} - mapped)
    yield from _lookup_problems(entity, mapped)
    for name in (n for n in (entity.schema, entity.table, *columns) if "%" in n):
        yield f"name {name!r} contains %, which psycopg takes for a parameter; rename it on the target"
    yield from _literal_problems(entity)


def _lookup_problems(entity: Entity, mapped: set[str]) -> Iterator[str]:
    looked_up = {f.column for f, _ in entity.lookups}
    for f in entity.fields:
        if bool(f.sources) == bool(f.lookup):
            yield f"field {f.column!r} needs either a source name or a lookup"
        if f.lookup and f.column in entity.key:
            yield f"key column {f.column!r} is looked up; a key comes from the record"
    for f, lookup in entity.lookups:
        if not lookup.by:
            yield f"lookup of {f.column!r} goes by no column; name the columns here and there that are equal"
        for column, _ in lookup.by:
            if column not in mapped - looked_up:
                yield f"lookup of {f.column!r} goes by {column!r}, which no record holds"


def _literal_problems(entity: Entity) -> Iterator[str]:
    """Values that a type checker rejects, for declarations that none has checked."""
    if entity.absent not in get_args(Absent):
        yield f"absent={entity.absent!r} is neither 'cleared' nor 'unknown'"
    if entity.missing not in get_args(WhenMissing):
        yield f"missing={entity.missing!r} is none of 'keep', 'flag' and 'delete'"
    for f in entity.fields:
        if f.policy not in get_args(Policy):
            yield f"policy={f.policy!r} of {f.column!r} is none of 'source', 'local' and 'ask'"
        if f.column in {*BASE_MARKS, *PLAN_MARKS}:
            yield f"column {f.column!r} has the name of a mark of the merge; map it to another column"


def _stamp_problems(entity: Entity, mapped: set[str]) -> Iterator[str]:
    for stamp in entity.stamps:
        if stamp.value and stamp.value not in mapped:
            yield f"stamp {stamp.column!r} copies {stamp.value!r}, which is not mapped"


def _reference_problems(entity: Entity, columns: set[str]) -> Iterator[str]:
    mapped = {f.column for f in entity.fields}
    if entity.owner and entity.owner.column not in columns:
        yield f"owner column {entity.owner.column!r} is not among the columns"
    if entity.owner and entity.owner.mark not in entity.owner.ours:
        yield f"owner mark {entity.owner.mark!r} is not among ours; inserted rows would be lost to us"
    if entity.owner and entity.owner.column in mapped:
        yield f"owner column {entity.owner.column!r} is mapped; the sync would re-own rows"
    if (entity.missing == "flag") != bool(entity.missing_flag):
        yield "missing='flag' and missing_flag go together"
    if entity.missing_flag and entity.missing_flag not in columns - mapped:
        yield f"missing_flag {entity.missing_flag!r} must be a Local column"
    for name, sets in (("unique", entity.unique), ("indexes", entity.indexes)):
        for column in (c for group in sets for c in group if c not in columns):
            yield f"{name} names {column!r}, which is not among the columns"


def _partition_problems(entity: Entity, local: set[str]) -> Iterator[str]:
    if entity.partition_by and entity.partition_by not in entity.key:
        yield (
            f"partition_by {entity.partition_by!r} is not a column of the key, so a row could change"
            " partitions"
        )
    if entity.partition_error and not entity.partition_by:
        yield "partition_error needs partition_by: which rows a failed read concerns"
    if entity.partition_error and entity.partition_error not in local:
        yield f"partition_error {entity.partition_error!r} must be a Local column"


def _repeated(what: str, names: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        yield f"{what} {name!r} is declared {names.count(name)} times; remove one"


def source_value(f: Field, record: Mapping[str, Any]) -> Any:
    """The record's value for a field: of several source names, the first that is filled."""
    for name in f.sources:
        value = record.get(name)
        if value is not None and value != "":
            return value
    return record.get(f.sources[0]) if f.sources else None
