"""Plan: one set-based comparison of every field's staged, base and local value.

This is the merge rule, for one field of a row that the source delivered, that exists on the target and that
the sync may write. `_DECISION` is its SQL; `docs/merge-rules.md` explains it, with examples.

    source vs base   local vs base               result
    ---------------  --------------------------  ---------------------------------------------------------
    unchanged        anything                    keep the local value
    changed          unchanged                   take the source's value
    changed          changed to the same value   keep; the base moves
    changed          changed to something else   conflict: the field's policy (source, local, ask) decides

    no base          local is empty              take the source's value
    (first contact)  local is filled             a null never erases it; otherwise the field's policy decides
    force            differs from the source     take the source's value
    absent           anything                    keep: a partial record leaves the field out

A whole row is kept as it is when the record is stale (older than the version merged before), when its row
belongs to another owner or was deleted locally, when the target repeats its key, or when a required parent is
missing (parked); see `_PLAN`.

Decisions are bit sets, one per field, so that guard, apply and bookkeeping read the same plan and none of
them decides again. Aliases as in `relations`: `s` seen record, `r` its values, `b` base row, `t` target row.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from psycopg import sql

from sync_pipeline.merge.relations import AND, Relations, given, ident, listed
from sync_pipeline.model.entity import Entity, Field, Link
from sync_pipeline.postgres.connect import Connection, scalar

TAKE, CONFLICT, BLANK, OPEN = 1, 2, 4, 8
"""Bits of a decision: the source's value is written; both sides changed; the write empties a filled
field; a person decides. No bit: keep local."""

TAKING = sql.SQL("array[1, 3, 5, 7]::smallint[]")
WITHHOLDING = sql.SQL("array[2, 10]::smallint[]")
CONFLICTING = sql.SQL("array[2, 3, 7, 10]::smallint[]")

_FIRST_CONTACT = {"source": TAKE, "local": CONFLICT, "ask": CONFLICT | OPEN}
_BOTH_CHANGED = {"source": TAKE | CONFLICT, "local": CONFLICT, "ask": CONFLICT | OPEN}

_PLAN: LiteralString = """
    create temporary table {plan} on commit drop as
    select
        x.*,
        coalesce(_d && {taking}, false) as _writes,
        case
            when _found <> 'present' then _found
            -- One withheld field makes the row conflicted, even if others of its fields are written.
            when _d && {withholding} then 'conflicted'
            when _d && {taking} then 'updated'
            else 'unchanged'
        end as _state
    from (
        select
            s._seq, {keys(s)}, s._digest, s._modified,
            b.ctid is not null as _has_base,
            {stale} as _stale,
            _parked_on,
            -- A record counts once, in the first state that applies.
            case
                when _parked_on is not null then 'parked'
                when {elsewhere} then 'owned_elsewhere'
                -- A base without a target row: it was merged once and then deleted here. It stays deleted.
                when t.ctid is null and b.ctid is not null then 'deleted_locally'
                when t.ctid is null then 'inserted'
                when {stale} then 'stale'
                -- Several target rows have the key: which of them is meant, only a person can decide.
                when {repeats} then 'conflicted'
                else 'present'
            end as _found,
            -- Fields are decided only in a row that exists on both sides and that the sync may write.
            case
                when t.ctid is not null and not {elsewhere} and not {stale} and not {repeats}
                    and _parked_on is null
                then array[{decisions}]::smallint[]
            end as _d
        from {seen} s
        join {rows} r on r._seq = s._seq
        left join {base} b on {same_key(b, s)}
        left join {held} t on {same_key(t, s)}
        -- offset 0: inlined, the parents would be looked up once for each mention of _parked_on.
        cross join lateral (select {parked_on} as _parked_on offset 0) k
        where s._state is null and s._wide
        -- offset 0: inlined, the decisions would be made once for each mention of _d.
        offset 0
    ) x
"""

_DECISION = sql.SQL("""
    case
        -- The record leaves the field out, or both sides agree: nothing to write.
        when not {given} or {s} is not distinct from {l} then 0
        -- First contact: the base has no value to compare with.
        when not ({known}) then
            case
                when {s} is null then 0
                when {l} is null then {TAKE}
                else {first}
            end
        -- Force: whatever differs is written.
        when {force} then {take}
        -- Unchanged at the source: a local edit, if there is one, stays.
        when {s} is not distinct from {b} then 0
        -- Changed at the source only.
        when {l} is not distinct from {b} then {take}
        -- Changed on both sides, to different values.
        else {both}
    end
""")


@dataclass
class PlanSummary:
    """Totals of a plan, for guard, accounting and apply."""

    states: Counter[str] = field(default_factory=Counter[str])  # records by state, see `build`
    writes: int = 0  # rows of the target that exist and would be written
    taken: list[int] = field(default_factory=list)  # positions of fields with a value to be written
    conflicting: list[int] = field(default_factory=list)  # positions of fields with a conflict
    blanked: dict[str, int] = field(default_factory=dict)  # values per column to be emptied
    missing: int = 0  # rows with a base that a complete scan no longer found


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
    connection.execute(_plan_statement(rel, parents, together, force=force))
    connection.execute(sql.SQL("analyze {} (_seq, _state, _writes, _has_base)").format(rel.plan))
    summary = _summarize(connection, rel)
    for state, count in connection.execute(_unchanged_states(rel)):
        summary.states[state] += count
    if complete:
        summary.missing = _find_missing(connection, rel, partitions)
    return summary


def _plan_statement(
    rel: Relations, parents: Mapping[str, Entity], together: Collection[str], *, force: bool
) -> sql.Composed:
    stale = _stale(force=force)
    return rel.bind(
        parked_on=_parked_on(rel, parents, together, stale=stale),
        elsewhere=rel.compose("(s._elsewhere or t.ctid is not null and not {ours(t)})"),
        stale=stale,
        taking=TAKING,
        withholding=WITHHOLDING,
        decisions=listed(_decision(f, rel.entity, force=force) for f in rel.entity.values),
    ).compose(_PLAN)


def _stale(*, force: bool) -> sql.Composable:
    """Older than the version merged before: an index that lags, or an answer that was overtaken."""
    return sql.SQL("false") if force else sql.SQL("coalesce(s._modified < b._modified, false)")


def _decision(f: Field, entity: Entity, *, force: bool) -> sql.Composed:
    """The merge rule for one field."""
    name = sql.Literal(f.column)
    # Every write that empties a filled field carries BLANK: the guard counts them against a budget.
    blank = sql.SQL("case when {s} is null and {l} is not null then {bit} else 0 end").format(
        s=filled(f, "r"), l=filled(f, "t"), bit=BLANK
    )
    both = _BOTH_CHANGED[f.policy]
    return _DECISION.format(
        given=given(f.column) if entity.absent == "unknown" else sql.SQL("true"),
        # Partial records leave fields out; until the first one that has the field, its base is no value.
        known=sql.SQL("b.ctid is not null and coalesce({} <> all(b._unknown), true)").format(name),
        s=ident("r", f.column),
        b=ident("b", f.column),
        l=ident("t", f.column),
        TAKE=TAKE,
        first=TAKE if force else _FIRST_CONTACT[f.policy],
        force=force,
        take=sql.SQL("{} | {}").format(TAKE, blank),
        both=sql.SQL("{} | {}").format(both, blank if both & TAKE else 0),
    )


def filled(f: Field, alias: str) -> sql.Composable:
    """The value, or null where it is empty; a text of no characters counts as empty."""
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
    """The first column whose required parent is missing; null when all exist."""
    tests = [
        sql.SQL("when {} then {}").format(
            lacks_parent(
                ident("s" if f.column in rel.entity.key else "r", f.column),
                (f, link),
                parents,
                together,
            ),
            f.column,
        )
        for f, link in rel.entity.links
        if link.required
    ]
    if not tests:
        return sql.SQL("null::text")
    # Never park other owners' rows, nor rows staged from the base (they were merged before).
    exempt = sql.SQL("{} or s._elsewhere or r._raw is null").format(stale)
    return sql.SQL("case when {} then null {} end").format(exempt, sql.SQL(" ").join(tests))


def lacks_parent(
    value: sql.Composable,
    linked: tuple[Field, Link],
    parents: Mapping[str, Entity],
    together: Collection[str] = (),
) -> sql.Composed:
    """Whether a link's value names a parent that none of its entities holds or is about to insert.

    A list names several parents, each of which is required. `parents` and `together` are as in `build`.
    """
    f, link = linked
    return sql.SQL("exists (select from {} where {})").format(
        references(f, value), no_parent(link, parents, together)
    )


def references(f: Field, value: sql.Composable) -> sql.Composed:
    """The keys that a link's value names, as relation `reference(key)`."""
    each = sql.SQL("unnest({})" if f.type.is_list else "(select {})").format(value)
    return sql.SQL("{} as reference(key)").format(each)


def no_parent(
    link: Link, parents: Mapping[str, Entity], together: Collection[str] = ()
) -> sql.Composed:
    """Whether `reference.key` should name a row, and names none."""
    tests = [sql.SQL("reference.key is not null")]
    exempt = sql.SQL("not starts_with(reference.key::text, {})")
    tests += [exempt.format(start) for start in link.exempt]
    for name in link.parents:
        parent = Relations(parents[name])
        tables = [sql.SQL("{} pt").format(parent.target)]
        if name in together:
            inserted = "(select * from {} join {} using (_seq) where _state = 'inserted') pt"
            tables.append(sql.SQL(inserted).format(parent.plan, parent.rows))
        same = sql.SQL(" or ").join(
            sql.SQL("pt.{} = reference.key").format(ident(c))
            for c in link.match or parent.entity.key
        )
        absent = sql.SQL("not exists (select from {} where {})")
        tests += [absent.format(table, same) for table in tables]
    return AND.join(tests)


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


def _bits(connection: Connection, rel: Relations) -> Sequence[int]:
    """Per field, all bits that occur in its decisions; one pass, so that other fields cost no more."""
    if not rel.entity.values:
        return ()
    ors = listed(
        sql.SQL("coalesce(bit_or(_d[{}]), 0)").format(i + 1) for i in range(len(rel.entity.values))
    )
    query = sql.SQL("select {} from {} where _d is not null").format(ors, rel.plan)
    return connection.execute(query).fetchone() or ()


def _count_blanked(
    connection: Connection, rel: Relations, fields: list[int]
) -> Iterator[tuple[str, int]]:
    if not fields:
        return
    counts = listed(
        sql.SQL("count(*) filter (where _d[{}] & {} > 0)").format(i + 1, BLANK) for i in fields
    )
    row = connection.execute(sql.SQL("select {} from {}").format(counts, rel.plan)).fetchone() or ()
    yield from zip((rel.entity.values[i].column for i in fields), row, strict=True)


def _unchanged_states(rel: Relations) -> sql.Composed:
    """Counts of the records that the base already holds: their rows are left alone in any state."""
    return rel.compose("""
        select
            case
                when s._elsewhere then 'owned_elsewhere'
                when {unmatched(t)} then 'deleted_locally'
                when not {ours(t)} then 'owned_elsewhere'
                else 'unchanged'
            end,
            count(*)
        from {seen} s
        left join {held} t on {same_key(t, s)}
        where s._state is null and not s._wide
        group by 1
    """)


def _find_missing(
    connection: Connection, rel: Relations, partitions: Collection[str] | None
) -> int:
    statement = rel.bind(within=rel.within(partitions, "b")).compose("""
        create temporary table {missing} on commit drop as
        select row_number() over () as _seq, {keys(b)}
        from {base} b
        where b._missing_since is null
            and {within}
            -- Any delivered record of the key proves that it exists, a rejected or repeated one too.
            and not exists (
                select from {seen} s where s._state is distinct from 'undelivered' and {same_key(s, b)}
            )
    """)
    return connection.execute(statement).rowcount


def moved_bases(connection: Connection, rel: Relations) -> int:
    """Count records that were staged as unchanged, so without values, but whose base has moved since.

    Call it after staging again: `_wide` is then computed from what the base holds now.
    """
    statement = rel.compose("""
        select count(*)
        from {seen} s
        where s._wide and s._state is null
            and not exists (select from {rows} r where r._seq = s._seq)
    """)
    return scalar(connection, statement)
