"""What is counted after a run: dangling links, repeated keys, owners, local overrides, reconciliation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from sync_pipeline.merge.bookkeeping import listings
from sync_pipeline.merge.bookkeeping.listings import LastCounts
from sync_pipeline.merge.plan import no_parent, references
from sync_pipeline.merge.relations import AND, Relations, columns, ident, listed
from sync_pipeline.model.entity import Entity, Field, Link
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection, scalar


@dataclass(frozen=True)
class Dangling:
    """Values of one link that point at nothing."""

    column: str
    parents: tuple[str, ...]
    values: int  # how many, counting every row
    examples: list[str]  # some of them, as `row → value`


def dangling_links(connection: Connection, system: System, entity: Entity) -> list[Dangling]:
    """Each link of an entity, with its values that name no parent."""
    parents = {e.name: e for e in system.entities}
    return [_dangling(connection, Relations(entity), f, link, parents) for f, link in entity.links]


def _dangling(
    connection: Connection, rel: Relations, f: Field, link: Link, parents: Mapping[str, Entity]
) -> Dangling:
    query = rel.bind(
        references=references(f, ident("t", f.column)), no_parent=no_parent(link, parents)
    ).compose("""
        with dangling as (
            select concat_ws(', ', {keys(t)}) || ' → ' || reference.key as example
            from {target} t, lateral {references}
            where reference.key::text <> '' and {no_parent}
        )
        select (select count(*) from dangling), array(select example from dangling order by 1 limit 5)
    """)
    row: Any = connection.execute(query).fetchone()
    return Dangling(f.column, link.parents, row[0], row[1])


def repeated_keys(connection: Connection, entity: Entity) -> int:
    """Keys of more than one row; another owner's row with a null in such a key column has no key."""
    lacking = [f.column for f in entity.key_fields if f.null_means_other_owner]
    whole = AND.join(
        [sql.SQL("true"), *(sql.SQL("{} is not null").format(ident(c)) for c in lacking)]
    )
    query = sql.SQL(
        "select count(*) from (select from {} where {} group by {} having count(*) > 1) x"
    ).format(Relations(entity).target, whole, columns(entity.key))
    return scalar(connection, query)


def foreign_rows(connection: Connection, entity: Entity) -> int:
    """Rows that belong to another owner."""
    rel = Relations(entity)
    query = sql.SQL("select count(*) from {} t where not {}").format(rel.target, rel.ours("t"))
    return scalar(connection, query)


def unmarked_rows(connection: Connection, entity: Entity) -> int:
    """Rows without an owner mark."""
    assert entity.owner
    query = sql.SQL("select count(*) from {} where coalesce(rtrim({}::text), '') = ''").format(
        Relations(entity).target, ident(entity.owner.column)
    )
    return scalar(connection, query)


def overrides(connection: Connection, rel: Relations) -> dict[str, int]:
    """Local overrides: per column, values of our rows that differ from the base, which the merge keeps."""
    if not rel.value_columns:
        return {}
    differs = sql.SQL("""
        count(*) filter (
            where t.{c} is distinct from b.{c} and coalesce({name} <> all(b._unknown), true)
        )
    """)
    counts = listed(differs.format(c=ident(c), name=c) for c in rel.value_columns)
    query = rel.bind(counts=counts).compose("""
        select {counts}
        from {target} t
        join {base} b on {same_key(t, b)}
        where {ours(t)}
    """)
    row = connection.execute(query).fetchone() or ()
    return {name: n for name, n in zip(rel.value_columns, row, strict=True) if n}


@dataclass(frozen=True, kw_only=True)
class Difference(LastCounts):
    """Why the source's count and the table's differ.

    What became of records that were not accepted is known from the last read of everything.

    Attributes:
        known: records that the sync has accepted, and that the source still had when last looked for.
        not_here: those of them without a row: deleted here, or another owner's that was deleted.
        others: rows of other owners, of which the sync has accepted no record.
        ours_alone: rows of ours that the source does not have.
        repeats: further rows of a key that the table repeats.
        on_target: rows.
    """

    known: int
    not_here: int
    others: int
    ours_alone: int
    repeats: int
    on_target: int

    @property
    def rest(self) -> int:
        """Records at the source that no other term explains."""
        if self.at_source is None:
            return 0
        accounted = self.duplicates + self.held_back - self.released - self.undelivered
        return self.at_source - accounted - self.known

    @property
    def unexplained(self) -> int:
        """`rest` after a complete read; after a delta the source may have changed meanwhile."""
        return self.rest if self.complete else 0

    def table(self) -> list[tuple[str, int]]:
        """The terms from one count to the other, a line each; rare ones only when not zero."""
        seldom = "unaccounted for"
        if not self.complete:
            seldom = "repeated, held back or gone since everything was last read"
        first = [
            ("at the source", self.at_source),
            ("+ parked before, and staged again", self.released or None),
            ("− repeated keys", self.duplicates),
            ("− parked, rejected, or other owners' rows", self.held_back),
            ("+ not delivered any more, which does not prove them gone", self.undelivered or None),
            (f"− {seldom}", self.rest or None),
        ]
        if self.at_source is None:
            first = [("accepted from the source", self.known)]
        return [
            *((what, count) for what, count in first if count is not None),
            ("− not on the target: deleted here", self.not_here),
            ("+ other owners' rows", self.others),
            ("+ our rows that the source does not have", self.ours_alone),
            ("+ rows that repeat a key", self.repeats),
            ("= on the target", self.on_target),
        ]


def difference(connection: Connection, entity: Entity) -> Difference:
    """Reconcile the source's count with the table's."""
    rel = Relations(entity)
    query = rel.compose("""
        with rows as (
            select {ours(t)} as ours, b.ctid is not null and b._missing_since is null as known
            from {target} t
            left join {base} b on {same_key(t, b)}
        ),
        accepted as (
            select exists (select from {target} t where {same_key(t, b)}) as on_target
            from {base} b
            where b._missing_since is null
        )
        select
            (select count(*) from rows),
            (select count(*) from accepted),
            (select count(*) from accepted where not on_target),
            (select count(*) from rows where not known and not ours),
            (select count(*) from rows where not known and ours)
    """)
    counted: Any = connection.execute(query).fetchone()
    on_target, known, not_here, others, ours_alone = counted
    return Difference(
        **vars(listings.last_counts(connection, entity)),
        known=known,
        not_here=not_here,
        others=others,
        ours_alone=ours_alone,
        repeats=on_target - others - ours_alone - (known - not_here),
        on_target=on_target,
    )
