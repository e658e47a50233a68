"""Run a patch: set-based, idempotent, with before-images, so that it is undone like a sync."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import sql

from sync_pipeline.merge.apply import set_column
from sync_pipeline.merge.bookkeeping import runs
from sync_pipeline.merge.relations import Relations, ident
from sync_pipeline.merge.session import atomically
from sync_pipeline.model.patch import BackLink, CopyThrough, Patch
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection


@dataclass
class PatchResult:
    """What a patch did."""

    counts: dict[str, int]  # candidates by outcome; `set` is what was written
    reports: list[str] = field(default_factory=list)  # ties and conflicts as text, a few of each


def run(
    connection: Connection, system: System, patch: Patch, *, run_id: UUID, everything: bool
) -> PatchResult:
    """Apply a patch in one transaction, to the rows whose base moved in this run, or to everything.

    Raises:
        EntityBusy: another run is syncing one of the ends.
    """
    started_at = dt.datetime.now(dt.UTC)
    rel, other = Relations(system[patch.entity]), Relations(system[patch.other])
    key, other_key = rel.entity.key[0], other.entity.key[0]
    rel = rel.bind(
        run=run_id,
        key=ident(key),
        key_name=key,
        column=ident(patch.column),
        column_name=patch.column,
        entity_touched=_touched(rel, "t", run_id, everything=everything),
        other=other.target,
        other_key=ident(other_key),
        oldest=ident(patch.oldest),
        other_touched=_touched(other, "o", run_id, everything=everything),
    )

    def work() -> PatchResult:
        # Drop the table of an attempt that is retried.
        connection.execute("drop table if exists pg_temp.candidate")
        if isinstance(patch, BackLink):
            result = _back_link(connection, patch, rel)
        else:
            result = _copy_through(connection, patch, rel)
        result.counts["set"] = _write(connection, rel, patch.column)
        facts: dict[str, Any] = result.counts | {"reports": result.reports}
        step = runs.Step(system.name, patch.name, "patch", "completed", started_at, facts=facts)
        runs.add_step(connection, run_id, step)
        return result

    return atomically(connection, [rel.entity, other.entity], work)


def _touched(rel: Relations, alias: str, run_id: UUID, *, everything: bool) -> sql.Composable:
    """Whether the patch covers the row of an alias: its base moved in this run."""
    if everything:
        return sql.SQL("true")
    return sql.SQL("exists (select from {} b where {} and b._run = {})").format(
        rel.base, rel.same_key("b", alias), run_id
    )


def _back_link(connection: Connection, patch: BackLink, rel: Relations) -> PatchResult:
    rel = rel.bind(back=ident(patch.back))
    connection.execute(
        rel.compose("""
            create temporary table candidate on commit drop as
            with claim as materialized (
                select
                    o.{other_key} as other_key, o.{oldest} as oldest, w.claimed,
                    {other_touched} as touched
                from {other} o, unnest(o.{back}) as w(claimed)
            ),
            -- Every claim on a row that one touched row claims, or the oldest would lose to the latest.
            concerned as (
                select claimed from claim where touched
                union
                select t.{key} from {target} t where {entity_touched}
            )
            select
                *,
                case
                    when key is null then 'not_found'
                    when held = other_key then 'same'
                    when held is not null or winner <> other_key then 'conflict'
                    else 'set'
                end as outcome
            from (
                select distinct on (c.claimed, c.other_key)
                    c.claimed, c.other_key, t.{key} as key, nullif(t.{column}, '') as held,
                    first_value(c.other_key) over (
                        partition by c.claimed order by c.oldest nulls last, c.other_key
                    ) as winner
                from claim c
                left join {target} t on t.{key} = c.claimed
                where c.claimed in (select claimed from concerned)
            ) x
        """)
    )
    _record_conflicts(connection, rel)
    found = connection.execute("""
        select format('%s is claimed by %s but holds %s', claimed, other_key, coalesce(held, winner))
        from pg_temp.candidate
        where outcome = 'conflict'
        order by claimed, other_key
        limit 5
    """)
    return PatchResult(_outcomes(connection), [text for (text,) in found])


def _record_conflicts(connection: Connection, rel: Relations) -> None:
    """Record competing claims as conflicts, each once, and none that a person has resolved."""
    connection.execute(
        rel.compose("""
            insert into sync.conflict (system, entity, key, kind, field, local, source, kept, run_id)
            select {system}, {entity}, key_json, 'patch', {column_name}, held, source, 'local', {run}
            from (
                select
                    jsonb_build_object({key_name}, claimed) as key_json,
                    to_jsonb(coalesce(held, winner)) as held,
                    to_jsonb(other_key) as source
                from pg_temp.candidate
                where outcome = 'conflict'
            ) c
            where not exists (
                select from sync.conflict x
                where x.system = {system} and x.entity = {entity} and x.key = c.key_json
                    and x.kind = 'patch' and x.field = {column_name}
                    and (
                        x.source = c.source
                        -- Resolved for the source: the former local value is now the one that competes.
                        or (x.resolution = 'source' and x.source = c.held and x.local = c.source)
                    )
            )
        """)
    )


def _copy_through(connection: Connection, patch: CopyThrough, rel: Relations) -> PatchResult:
    statement = rel.bind(take=ident(patch.take), through=ident(patch.through)).compose("""
        create temporary table candidate on commit drop as
        select
            t.{key} as key,
            (array_agg(o.{take} order by o.{oldest} nulls last, o.{other_key}))[1] as other_key,
            count(distinct o.{take}) as candidates,
            case when count(o.{take}) = 0 then 'no_candidate' else 'set' end as outcome
        from {target} t
        left join {other} o on o.{through} = t.{key} and coalesce(o.{take}, '') <> ''
        where coalesce(t.{column}, '') = ''
            and (
                {entity_touched}
                or t.{key} in (select o.{through} from {other} o where {other_touched})
            )
        group by t.{key}
    """)
    connection.execute(statement)
    ties = connection.execute(
        "select key, other_key, candidates from pg_temp.candidate where candidates > 1 order by key"
    ).fetchall()
    result = PatchResult(_outcomes(connection) | {"ties": len(ties)})
    result.reports = [
        f"{key}: {count} candidates, took {taken} from the oldest" for key, taken, count in ties[:5]
    ]
    return result


def _outcomes(connection: Connection) -> dict[str, int]:
    rows = connection.execute("select outcome, count(*) from pg_temp.candidate group by outcome")
    counts = dict(rows.fetchall())
    return {"candidates": sum(counts.values())} | {
        name: counts.get(name, 0)
        for name in ("set", "same", "not_found", "conflict", "no_candidate")
    }


def _write(connection: Connection, rel: Relations, column: str) -> int:
    """Fill the empty links of rows that are ours, with before-images; returns how many."""
    chosen = rel.compose("""
        select {row(t)}, t.{column} as before, c.other_key as after
        from {target} t
        join pg_temp.candidate c on c.key = t.{key} and c.outcome = 'set'
        where coalesce(t.{column}, '') = '' and {ours(t)}
    """)
    return connection.execute(set_column(rel, column, chosen)).rowcount
