"""Plan: one set-based comparison of the staged (s), base (b) and local (l) value of every field.

The merge rule of `design.md` §3 is the CASE expression of `_decision`. Decisions are bit sets, one per
field, so that guard, apply and bookkeeping read the same plan and none of them decides again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from sync_pipeline.merge.relations import AND, Relations, columns, ident, listed
from sync_pipeline.model.entity import Entity, Field, Link
from sync_pipeline.postgres.connect import Connection

TAKE, CONFLICT, BLANK, OPEN = 1, 2, 4, 8
"""Bits of a decision: the source's value is written; both sides changed; the write empties a filled
field; a person is asked. No bit: keep local."""

TAKING = sql.SQL("array[1, 3, 5, 7]::smallint[]")
WITHHOLDING = sql.SQL("array[2, 10]::smallint[]")
CONFLICTING = sql.SQL("array[2, 3, 7, 10]::smallint[]")

_FIRST_CONTACT = {"source": TAKE, "local": CONFLICT, "ask": CONFLICT | OPEN}
_BOTH_CHANGED = {"source": TAKE | CONFLICT, "local": CONFLICT, "ask": CONFLICT | OPEN}


@dataclass
class PlanSummary:
    """What guard, accounting and apply need to know of a plan.

    Attributes:
        states: records by state, see `build`.
        writes: rows of the target that exist and would be written.
        taken: positions of the fields of which at least one value would be written.
        disputed: positions of the fields with at least one conflict.
        blanked: values per column that would go from filled to empty.
        missing: rows with a base that a complete scan no longer found.
    """

    states: dict[str, int] = field(default_factory=dict)
    writes: int = 0
    taken: list[int] = field(default_factory=list)
    conflicting: list[int] = field(default_factory=list)
    blanked: dict[str, int] = field(default_factory=dict)
    missing: int = 0


def build(
    connection: Connection,
    rel: Relations,
    parents: Mapping[str, Entity],
    *,
    force: bool,
    complete: bool,
    partitions: Collection[str] | None = None,
    together: Collection[str] = (),
) -> PlanSummary:
    """Create the plan table and sum it up.

    Every record that the base did not already hold gets a `_state`: inserted, updated, conflicted
    (something was withheld), unchanged, stale (older than what was merged before), owned_elsewhere,
    deleted_locally or parked; rows on both sides get a decision `_d` per field. Records that the base
    did hold are only counted: they need nothing. The temporary tables' own columns begin with an
    underscore, because a mapped column may well be called `seq` or `state`.

    Args:
        connection: in the run's transaction.
        rel: the entity's tables.
        parents: entities that required links point at, by name.
        force: re-assert the source where it differs.
        complete: the scan has seen every record, so what it did not see is missing.
        partitions: of a partitioned entity, those of which that is true; None: all.
        together: entities planned before in the same transaction, which is about to insert their rows.
    """
    connection.execute(_wide_plan(rel, parents, together, force=force))
    connection.execute(sql.SQL("analyze {} (_seq, _state, _writes, _has_base)").format(rel.plan))
    summary = _summarize(connection, rel)
    for state, count in connection.execute(_narrow_states(rel)):
        summary.states[state] = summary.states.get(state, 0) + count
    if complete:
        summary.missing = _find_missing(connection, rel, partitions)
    return summary


def _wide_plan(
    rel: Relations, parents: Mapping[str, Entity], together: Collection[str], *, force: bool
) -> sql.Composed:
    decisions = listed(_decision(f, rel.entity, force=force) for f in rel.entity.values)
    # "offset 0": merged into the outer query, the decisions would be made once for each mention of them.
    return sql.SQL(
        "create temporary table {plan} on commit drop as"
        " select x.*, coalesce(_d && {taking}, false) as _writes,"
        " case when _found <> 'present' then _found when _d && {withholding} then 'conflicted'"
        " when _d && {taking} then 'updated' else 'unchanged' end as _state from ("
        "select s._seq, {keys}, s._digest, s._modified, b.ctid is not null as _has_base,"
        " {stale} as _stale, _parked_on, case when _parked_on is not null then 'parked'"
        " when {elsewhere} then 'owned_elsewhere'"
        " when t.ctid is null and b.ctid is not null then 'deleted_locally'"
        " when t.ctid is null then 'inserted' when {stale} then 'stale'"
        " when {repeats} then 'conflicted' else 'present' end as _found,"
        " case when t.ctid is not null and not {elsewhere} and not {stale} and not {repeats}"
        " and _parked_on is null then array[{decisions}]::smallint[] end as _d"
        " from {seen} s join {rows} r on r._seq = s._seq"
        " left join {base} b on {base_key} left join {held} t on {target_key}"
        " cross join lateral (select {parked_on} as _parked_on offset 0) k"
        " where s._state is null and s._wide offset 0) x"
    ).format(
        plan=rel.plan,
        keys=columns(rel.entity.key, "s"),
        parked_on=_parked_on(rel, parents, together, stale=_stale(force=force)),
        elsewhere=sql.SQL("(s._elsewhere or t.ctid is not null and not {})").format(rel.ours("t")),
        repeats=rel.repeats,
        stale=_stale(force=force),
        taking=TAKING,
        withholding=WITHHOLDING,
        decisions=decisions,
        seen=rel.seen,
        rows=rel.rows,
        base=rel.base,
        base_key=rel.same_key("b", "s"),
        held=rel.held,
        target_key=rel.same_key("t", "s"),
    )


def _stale(*, force: bool) -> sql.Composable:
    """Older than the version merged before: an index that lags, or an answer that was overtaken."""
    return sql.SQL("false") if force else sql.SQL("coalesce(s._modified < b._modified, false)")


def _decision(f: Field, entity: Entity, *, force: bool) -> sql.Composed:
    """The merge rule for one field of a row that exists on the target and is ours to write."""
    source, base, local = (ident(alias, f.column) for alias in "rbt")
    name = sql.Literal(f.column)
    known = sql.SQL("b.ctid is not null and coalesce({} <> all(b._unknown), true)").format(name)
    given: sql.Composable = sql.SQL("true")
    if entity.absent == "unknown":
        given = sql.SQL("coalesce({} <> all(r._absent), true)").format(name)
    blank = sql.SQL("case when {s} is null and {l} is not null then {bit} else 0 end").format(
        s=filled(f, "r"), l=filled(f, "t"), bit=sql.Literal(BLANK)
    )
    take = sql.SQL("{} | {}").format(sql.Literal(TAKE), blank)
    both = _BOTH_CHANGED[f.policy]
    dispute = (
        sql.SQL("{} | {}").format(sql.Literal(both), blank) if both & TAKE else sql.Literal(both)
    )
    first = TAKE if force else _FIRST_CONTACT[f.policy]
    return sql.SQL(
        "case when not {given} or {s} is not distinct from {l} then 0"
        " when not ({known}) then case when {s} is null then 0 when {l} is null then {TAKE} else {first} end"
        " when {force} then {take}"
        " when {s} is not distinct from {b} then 0"
        " when {l} is not distinct from {b} then {take}"
        " else {dispute} end"
    ).format(
        given=given,
        known=known,
        s=source,
        b=base,
        l=local,
        TAKE=sql.Literal(TAKE),
        first=sql.Literal(first),
        force=sql.Literal(force),
        take=take,
        dispute=dispute,
    )


def filled(f: Field, alias: str) -> sql.Composable:
    """The value, or null where it is empty: to people a text of no characters is."""
    column = ident(alias, f.column)
    is_text = f.type.name in {"text", "varchar", "char"}
    return sql.SQL("nullif({}::text, '')").format(column) if is_text else column


def _parked_on(
    rel: Relations,
    parents: Mapping[str, Entity],
    together: Collection[str],
    *,
    stale: sql.Composable,
) -> sql.Composable:
    """The first column whose required parent is not there; null when all are."""
    tests = [
        sql.SQL("when {} then {}").format(
            _orphaned(rel, f, link, parents, together), sql.Literal(f.column)
        )
        for f, link in rel.entity.links
        if link.required
    ]
    if not tests:
        return sql.SQL("null::text")
    # What the source does not own is not held back, nor what comes from the base: it has landed before.
    free = sql.SQL("{} or s._elsewhere or r._raw is null").format(stale)
    return sql.SQL("case when {} then null {} end").format(free, sql.SQL(" ").join(tests))


def _orphaned(
    rel: Relations,
    f: Field,
    link: Link,
    parents: Mapping[str, Entity],
    together: Collection[str],
) -> sql.Composed:
    """Whether a row names a parent that none of the link's entities holds or is about to hold."""
    wanted: sql.Composable = ident("s" if f.column in rel.entity.key else "r", f.column)
    tests = [sql.SQL("wanted.key is not null")]
    tests += [
        sql.SQL("not starts_with(wanted.key::text, {})").format(sql.Literal(start))
        for start in link.exempt
    ]
    for name in link.parents:
        parent = Relations(parents[name])
        places = [sql.SQL("{} pt").format(parent.target)]
        if name in together:
            arriving = sql.SQL("{} join {} using (_seq)").format(parent.plan, parent.rows)
            places.append(
                sql.SQL("(select * from {} where _state = 'inserted') pt").format(arriving)
            )
        same = sql.SQL(" or ").join(
            sql.SQL("pt.{} = wanted.key").format(ident(c))
            for c in parent_columns(link, parents[name])
        )
        tests += [
            sql.SQL("not exists (select from {} where {})").format(place, same) for place in places
        ]
    each = sql.SQL("unnest({})" if f.type.is_list else "(select {})").format(wanted)
    return sql.SQL("exists (select from {} as wanted(key) where {})").format(each, AND.join(tests))


def parent_columns(link: Link, parent: Entity) -> tuple[str, ...]:
    """Columns of the parent that a link's value may equal."""
    return link.match or parent.key


def _summarize(connection: Connection, rel: Relations) -> PlanSummary:
    summary = PlanSummary()
    states = sql.SQL(
        "select _state, count(*), count(*) filter (where _writes) from {} group by _state"
    )
    for state, count, writes in connection.execute(states.format(rel.plan)):
        summary.states[state] = count
        summary.writes += writes
    bits = _bits(connection, rel)
    summary.taken = [i for i, bit in enumerate(bits) if bit & TAKE]
    summary.conflicting = [i for i, bit in enumerate(bits) if bit & CONFLICT]
    blanking = [i for i, bit in enumerate(bits) if bit & BLANK]
    summary.blanked = dict(_count_blanked(connection, rel, blanking))
    return summary


def _bits(connection: Connection, rel: Relations) -> tuple[int, ...]:
    """Which decisions occur at all, per field: cheap, and it spares the rest of the fields."""
    if not rel.entity.values:
        return ()
    ors = listed(
        sql.SQL("coalesce(bit_or(_d[{}]), 0)").format(sql.Literal(i + 1))
        for i in range(len(rel.entity.values))
    )
    query = sql.SQL("select {} from {} where _d is not null").format(ors, rel.plan)
    return connection.execute(query).fetchone() or ()


def _count_blanked(
    connection: Connection, rel: Relations, fields: list[int]
) -> Iterator[tuple[str, int]]:
    if not fields:
        return
    counts = listed(
        sql.SQL("count(*) filter (where _d[{}] & {} > 0)").format(
            sql.Literal(i + 1), sql.Literal(BLANK)
        )
        for i in fields
    )
    row = connection.execute(sql.SQL("select {} from {}").format(counts, rel.plan)).fetchone() or ()
    yield from zip((rel.entity.values[i].column for i in fields), row, strict=True)


def _narrow_states(rel: Relations) -> sql.Composed:
    """Counts of the records that the base already holds: their rows are left alone, whatever they are."""
    return sql.SQL(
        "select case when s._elsewhere then 'owned_elsewhere' when {} then 'deleted_locally'"
        " when not {} then 'owned_elsewhere' else 'unchanged' end, count(*)"
        " from {} s left join {} t on {} where s._state is null and not s._wide group by 1"
    ).format(rel.unmatched("t"), rel.ours("t"), rel.seen, rel.held, rel.same_key("t", "s"))


def missing_table(rel: Relations) -> sql.Identifier:
    """Temporary: keys that a complete scan no longer found."""
    return ident("pg_temp", f"missing_{rel.entity.name}"[:63])


def _find_missing(
    connection: Connection, rel: Relations, partitions: Collection[str] | None
) -> int:
    statement = sql.SQL(
        "create temporary table {} on commit drop as select row_number() over () as _seq, {} from {} b"
        " where b._missing_since is null and {} and not exists"
        " (select from {} s where s._state is distinct from 'gone' and {})"
    ).format(
        missing_table(rel),
        columns(rel.entity.key, "b"),
        rel.base,
        rel.within(partitions, "b"),
        rel.seen,
        rel.same_key("s", "b"),
    )
    return connection.execute(statement).rowcount


def moved_bases(connection: Connection, rel: Relations) -> int:
    """Records that were taken for unchanged, and so have no values, whose base has moved since.

    To be asked after staging again: `wide` then says what the base holds now.
    """
    statement = sql.SQL(
        "select count(*) from {} s where s._wide and s._state is null"
        " and not exists (select from {} r where r._seq = s._seq)"
    ).format(rel.seen, rel.rows)
    row = connection.execute(statement).fetchone()
    return row[0] if row else 0


def digest(connection: Connection, rel: Relations, summary: PlanSummary) -> str:
    """Names exactly this plan: which rows would be written with which values, and what they would replace.

    The order in which records arrived does not matter, so the same plan made again has the same name.
    """
    parts_of = [columns(rel.entity.key, "p"), sql.SQL("p._state, p._d")]
    if rel.value_columns:
        parts_of += [columns(rel.value_columns, "r"), columns(rel.value_columns, "t")]
    row_of = listed(parts_of)
    query = sql.SQL(
        "select coalesce(sum(hash_record_extended(row({}), 0)::numeric), 0)::text from {} p"
        " join {} r on r._seq = p._seq left join {} t on {}"
        " where p._state in ('inserted', 'updated', 'conflicted')"
    ).format(row_of, rel.plan, rel.rows, rel.target, rel.same_key("t", "p"))
    parts: list[Any] = [rel.entity.system, rel.entity.name, connection.execute(query).fetchone()]
    if summary.missing:
        gone = sql.SQL(
            "select sum(hash_record_extended(row({}), 0)::numeric)::text from {} m"
        ).format(columns(rel.entity.key, "m"), missing_table(rel))
        parts.append(connection.execute(gone).fetchone())
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def changes(
    connection: Connection, rel: Relations, summary: PlanSummary, limit: int
) -> list[tuple]:
    """Field changes that the plan would make, as (key, state, column, old, new), at most `limit`."""
    if not summary.taken:
        return []
    triples = listed(
        sql.SQL("({}, {}, to_jsonb({}), to_jsonb({}))").format(
            sql.Literal(i + 1), sql.Literal(column), ident("t", column), ident("r", column)
        )
        for i, column in ((i, rel.entity.values[i].column) for i in summary.taken)
    )
    query = sql.SQL(
        "select {key}, p._state, v.name, v.old, v.new from (select * from {plan} where _writes"
        " order by _seq limit {limit}) p join {rows} r on r._seq = p._seq join {target} t on {same},"
        " lateral (values {triples}) as v(i, name, old, new) where p._d[v.i] & 1 = 1 limit {limit}"
    ).format(
        key=rel.key_json("p"),
        plan=rel.plan,
        rows=rel.rows,
        target=rel.target,
        same=rel.same_key("t", "p"),
        triples=triples,
        limit=sql.Literal(limit),
    )
    return connection.execute(query).fetchall()
