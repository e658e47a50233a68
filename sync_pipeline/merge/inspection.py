"""Questions that checks ask of a synced table: dangling links, repeated keys, owners, the last run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from sync_pipeline.merge.plan import parent_columns
from sync_pipeline.merge.relations import AND, Relations, columns, ident
from sync_pipeline.merge.stage import Connection
from sync_pipeline.model.catalog import System
from sync_pipeline.model.entity import Entity, Field, Link


@dataclass(frozen=True)
class Dangling:
    """Values of one link that point at nothing.

    Attributes:
        values: how many, counting every row.
        examples: some of them, as `row → value`.
    """

    column: str
    parents: tuple[str, ...]
    values: int
    examples: list[str]


def dangling_links(connection: Connection, system: System, entity: Entity) -> list[Dangling]:
    """Each link of an entity, with what it names that is not there."""
    return [_dangling(connection, system, entity, f, link) for f, link in entity.links]


def _dangling(
    connection: Connection, system: System, entity: Entity, f: Field, link: Link
) -> Dangling:
    missing = AND.join(
        sql.SQL("not exists (select from {} pt where {})").format(
            Relations(system[name]).target,
            sql.SQL(" or ").join(
                sql.SQL("pt.{} = v.value").format(ident(c))
                for c in parent_columns(link, system[name])
            ),
        )
        for name in link.parents
    )
    exempt = [
        AND.join([sql.SQL("not starts_with(v.value, {})").format(sql.Literal(e))])
        for e in link.exempt
    ]
    rel = Relations(entity)
    each = sql.SQL("unnest(t.{})" if f.type.is_list else "(select t.{})").format(ident(f.column))
    query = sql.SQL(
        "with dangling as (select concat_ws(', ', {}) || ' → ' || v.value as example"
        " from {} t, lateral {} as v(value)"
        " where v.value is not null and v.value::text <> '' and {})"
        " select (select count(*) from dangling), array(select example from dangling order by 1 limit 5)"
    ).format(columns(entity.key, "t"), rel.target, each, AND.join([*exempt, missing]))
    row: Any = connection.execute(query).fetchone()
    return Dangling(f.column, link.parents, row[0], row[1])


def repeated_keys(connection: Connection, entity: Entity) -> int:
    """Keys that more than one row of the table carries."""
    query = sql.SQL(
        "select count(*) from (select from {} group by {} having count(*) > 1) x"
    ).format(Relations(entity).target, columns(entity.key))
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


def foreign_rows(connection: Connection, entity: Entity) -> int:
    """Rows that belong to another owner."""
    rel = Relations(entity)
    query = sql.SQL("select count(*) from {} t where not {}").format(rel.target, rel.ours("t"))
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


@dataclass(frozen=True)
class LastMerge:
    """The last merge of an entity that was entered into the history."""

    status: str
    counts: dict[str, int]
    finished_at: dt.datetime
    error: str | None
    facts: dict[str, Any]
    started_at: dt.datetime

    @property
    def took(self) -> dt.timedelta:
        """From the beginning of its reading to the commit."""
        return self.finished_at - self.started_at


def last_merge(connection: Connection, entity: Entity) -> LastMerge | None:
    """The entity's last step, whatever became of it; None before the first."""
    row = connection.execute(
        "select status, coalesce(counts, '{}'), finished_at, error, facts, started_at from sync.step"
        " where system = %s and entity = %s and action = 'merge' order by id desc limit 1",
        [entity.system, entity.name],
    ).fetchone()
    return LastMerge(*row) if row else None


def open_conflicts(connection: Connection, entity: Entity, kind: str) -> tuple[int, list[str]]:
    """How many conflicts of a kind nobody has settled, and the keys of some of them."""
    row: Any = connection.execute(
        "select count(*), (array_agg((select string_agg(value, ', ') from jsonb_each_text(key))"
        " order by id))[:5] from sync.conflict"
        " where system = %s and entity = %s and kind = %s and resolved_at is null",
        [entity.system, entity.name, kind],
    ).fetchone()
    return row[0], row[1] or []


def unmarked_rows(connection: Connection, entity: Entity) -> int:
    """Rows that do not say whose they are."""
    assert entity.owner
    query = sql.SQL("select count(*) from {} where {} is null").format(
        Relations(entity).target, ident(entity.owner.column)
    )
    row = connection.execute(query).fetchone()
    return row[0] if row else 0


@dataclass(frozen=True)
class Difference:
    """Why the source's count and the table's differ.

    Attributes:
        at_source: records, when the source was last read; None where it does not tell.
        complete: whether that read was of everything.
        on_target: rows.
        known: records that the sync has accepted, and that the source still had when last looked for.
        waiting: records that are parked or rejected, and so not accepted.
        duplicates: records that lost to another of the same key, in that read.
        not_here: accepted records without a row: deleted here, or another owner's that is gone.
        others: rows of other owners that the source does not have.
        ours_alone: rows of ours that the source does not have.
        repeats: further rows of a key that the table repeats.
    """

    at_source: int | None
    complete: bool
    on_target: int
    known: int
    waiting: int
    duplicates: int
    not_here: int
    others: int
    ours_alone: int
    repeats: int

    @property
    def unexplained(self) -> int:
        """Records at the source that nothing accounts for; only a complete read can tell."""
        if self.at_source is None or not self.complete:
            return 0
        return self.at_source - self.known - self.waiting - self.duplicates

    def table(self) -> list[tuple[str, int]]:
        """The way from one count to the other, a line each."""
        first = [] if self.at_source is None else [("at the source", self.at_source)]
        return [
            *first,
            ("− repeated keys", self.duplicates),
            ("− parked or rejected", self.waiting),
            ("− not on the target: deleted here", self.not_here),
            ("+ other owners' rows that the source does not have", self.others),
            ("+ our rows that the source does not have", self.ours_alone),
            ("+ rows that repeat a key", self.repeats),
            ("= on the target", self.on_target),
        ]


def difference(connection: Connection, entity: Entity) -> Difference:
    """Account for the difference between the source's count and the table's."""
    rel = Relations(entity)
    last: Any = connection.execute(
        "select (facts ->> 'source_rows')::int, coalesce((facts ->> 'complete_scan')::boolean, false),"
        " coalesce((counts ->> 'duplicates')::int, 0) from sync.step where system = %s and entity = %s"
        " and action = 'merge' and status = 'completed' order by id desc limit 1",
        [entity.system, entity.name],
    ).fetchone() or (None, False, 0)
    query = sql.SQL(
        "with rows as (select {ours} as ours, b.ctid is not null and b._missing_since is null as known"
        " from {target} t left join {base} b on {same})"
        " select (select count(*) from rows),"
        " (select count(*) from {base} where _missing_since is null),"
        " (select count(*) from {base} b where _missing_since is null"
        " and not exists (select from {target} t where {same})),"
        " (select count(*) from rows where not known and not ours),"
        " (select count(*) from rows where not known and ours)"
    ).format(ours=rel.ours("t"), target=rel.target, base=rel.base, same=rel.same_key("t", "b"))
    counted: Any = connection.execute(query).fetchone()
    on_target, known, not_here, others, ours_alone = counted
    waiting: Any = connection.execute(
        sql.SQL(
            "select count(*) from (select key, fingerprint from sync.parked where system = %(s)s"
            " and entity = %(e)s union all select key, fingerprint from sync.rejected where system = %(s)s"
            " and entity = %(e)s) w where key is null or not exists"
            " (select from {} b where b._missing_since is null and {} = w.key)"
        ).format(rel.base, rel.key_json("b")),
        {"s": entity.system, "e": entity.name},
    ).fetchone()
    return Difference(
        at_source=last[0],
        complete=last[1],
        on_target=on_target,
        known=known,
        waiting=waiting[0],
        duplicates=last[2],
        not_here=not_here,
        others=others,
        ours_alone=ours_alone,
        repeats=on_target - others - ours_alone - (known - not_here),
    )
