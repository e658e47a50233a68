"""Conflicts: recorded with all three values when a plan is applied, and resolved by a person later.

Kinds recorded here: `field` (both sides changed it), `owner` (the source differs from a row of another
owner), `deleted` (the source changed a row that was deleted locally), `repeated` (the target has several rows
of the key, so it is unclear which one is meant). `missing` records kind `missing` (a row with local edits
that the source no longer has), `patches` records kind `patch`.
"""

from uuid import UUID

from psycopg import sql

from sync_pipeline.merge.plan import CONFLICTING, OPEN, TAKE, PlanSummary
from sync_pipeline.merge.relations import Relations, given, ident, listed
from sync_pipeline.postgres.connect import Connection


def record(
    connection: Connection, rel: Relations, summary: PlanSummary, run_id: UUID
) -> dict[str, int]:
    """Record the plan's conflicts. Call before the plan is applied, while the target holds local values.

    Returns:
        How many conflicts of each kind were recorded.
    """
    found: dict[str, sql.Composed] = {}
    if summary.conflicting:
        found["field"] = _field_conflicts(rel, summary)
    if summary.states["owned_elsewhere"]:
        # The source may only hold a copy that lags behind the row. That cannot be distinguished from an edit
        # of the copy, and an edit must not be lost: both are conflicts, and a lag closes when they agree.
        found["owner"] = _row_conflicts(rel, "owner", "owned_elsewhere", "t")
    if summary.states["deleted_locally"]:
        found["deleted"] = _row_conflicts(rel, "deleted", "deleted_locally", "b")
    if summary.states["conflicted"] and not rel.entity.unique_key:
        found["repeated"] = _repeated_conflicts(rel)
    if rel.entity.owner and _any_owner_conflict(connection, rel):
        connection.execute(_resolve_agreed(rel))
    counts = {kind: _store(connection, rel, run_id, query) for kind, query in found.items()}
    return {kind: count for kind, count in counts.items() if count}


def _store(connection: Connection, rel: Relations, run_id: UUID, found: sql.Composed) -> int:
    """Insert conflicts; they replace older unresolved ones about the same field.

    The base of another owner's row, or of a repeated key, does not move, so every full read finds the same
    conflict again. It is not new while it is open between the same values, or was resolved for local.

    Returns:
        How many were inserted.
    """
    statement = rel.bind(found=found, run=run_id).compose("""
        with found as (
            select f.*
            from ({found}) f
            where f.kind not in ('owner', 'repeated')
                or not exists (
                    select from sync.conflict o
                    where o.system = {system} and o.entity = {entity}
                        and o.key = f.key and o.kind = f.kind
                        and o.source is not distinct from f.source
                        and o.local is not distinct from f.local
                        and (o.resolved_at is null or o.resolution = 'local')
                )
        ),
        -- A person decides between present values: an older conflict about the field is closed.
        overtaken as (
            update sync.conflict c
            set resolved_at = now(), resolution = 'overtaken'
            from found
            where c.resolved_at is null
                and c.system = {system} and c.entity = {entity}
                and c.key = found.key and c.kind = found.kind
                and c.field is not distinct from found.field
        )
        insert into sync.conflict (system, entity, key, kind, field, base, local, source, kept, run_id)
        select {system}, {entity}, key, kind, field, base, local, source, kept, {run}
        from found
    """)
    return connection.execute(statement).rowcount


def _field_conflicts(rel: Relations, summary: PlanSummary) -> sql.Composed:
    values = rel.field_values(summary.conflicting, "b", "t", "r")
    return rel.bind(take=TAKE, open=OPEN, values=values, conflicting=CONFLICTING).compose("""
        select
            {key_json(p)} as key, 'field' as kind, v.name as field, v.base, v.local, v.source,
            case
                when p._d[v.i] & {take} > 0 then 'source'
                when p._d[v.i] & {open} > 0 then 'ask'
                else 'local'
            end as kept
        from {plan} p
        join {rows} r on r._seq = p._seq
        -- No base at first contact: then both sides' values are news, and a difference is a conflict.
        left join {base} b on {same_key(b, p)}
        join {target} t on {same_key(t, p)},
            lateral (values {values}) as v(i, name, base, local, source)
        -- The first test spares the rows without a conflict the expansion into fields.
        where p._d && {conflicting} and p._d[v.i] = any({conflicting})
    """)


def _differing(rel: Relations, other: str, shown: str) -> sql.Composable:
    """Fields in which the record and an alias differ, as a jsonb object of one; null when none does.

    Looked-up fields are left out: the source does not deliver them.
    """
    looked_up = {f.column for f, _ in rel.entity.lookups}
    members = (
        sql.SQL("""
            case
                when {given} and {l} is distinct from {r}
                then to_json({name}::text)::text || ':' || coalesce(to_json({shown})::text, 'null')
            end
        """).format(
            given=given(c), l=ident("r", c), r=ident(other, c), name=c, shown=ident(shown, c)
        )
        for c in rel.value_columns
        if c not in looked_up
    )
    return sql.SQL("('{{' || nullif(concat_ws(',', {}), '') || '}}')::jsonb").format(
        listed(members)
    )


def _row_conflicts(rel: Relations, kind: str, state: str, other: str) -> sql.Composed:
    """Records of one state that differ from the row of alias `other`: `t` local row, `b` base row."""
    null = sql.SQL("null::jsonb")
    held = _differing(rel, other, other)
    return rel.bind(
        kind=kind,
        state=state,
        before=held if other == "b" else null,
        local=held if other == "t" else null,
        source=_differing(rel, other, "r"),
        table=rel.base if other == "b" else rel.held,
        other=ident(other),
        same_row=rel.same_key(other, "p"),
    ).compose("""
        select *
        from (
            select
                {key_json(p)} as key, {kind} as kind, null::text as field, {before} as base,
                {local} as local, {source} as source, 'local' as kept
            from {plan} p
            join {rows} r on r._seq = p._seq
            join {table} {other} on {same_row}
            where p._state = {state} and not p._stale
        ) x
        where source is not null
    """)


def _resolve_agreed(rel: Relations) -> sql.Composed:
    """Close owner conflicts of rows that now equal the source's record, or that have become ours."""
    return rel.bind(differing=_differing(rel, "t", "t")).compose("""
        update sync.conflict c
        set resolved_at = now(), resolution = 'overtaken'
        from {plan} p
        join {rows} r on r._seq = p._seq
        left join {held} t on {same_key(t, p)}
        where p._state not in ('parked', 'stale')
            and not p._stale
            and (p._state <> 'owned_elsewhere' or t.ctid is not null and {differing} is null)
            and c.resolved_at is null and c.kind = 'owner'
            and c.system = {system} and c.entity = {entity} and c.key = {key_json(p)}
    """)


def _any_owner_conflict(connection: Connection, rel: Relations) -> bool:
    query = rel.compose("""
        select from sync.conflict
        where resolved_at is null and kind = 'owner' and system = {system} and entity = {entity}
        limit 1
    """)
    return bool(connection.execute(query).fetchall())


def _repeated_conflicts(rel: Relations) -> sql.Composed:
    return rel.compose("""
        select
            {key_json(p)} as key, 'repeated' as kind, null::text as field, null::jsonb as base,
            jsonb_build_object('rows', t._times) as local,
            to_jsonb(r.*) - '_seq' - '_raw' - '_absent' as source,
            'local' as kept
        from {plan} p
        join {rows} r on r._seq = p._seq
        join {held} t on {same_key(t, p)}
        where p._state = 'conflicted' and t._times > 1
    """)


def examples(connection: Connection, rel: Relations, run_id: UUID, limit: int) -> list[str]:
    """Some conflicts of a run as text, those about rows of other owners first."""
    found = connection.execute(
        """
        select format(
            '%%s %%s%%s',
            kind,
            (select string_agg(value, ', ') from jsonb_each_text(key)),
            ': ' || coalesce(
                field,
                (
                    select string_agg(name, ', ')
                    from jsonb_object_keys(
                        case when jsonb_typeof(source) = 'object' then source else '{}' end
                    ) as name
                )
            )
        )
        from sync.conflict
        where system = %s and entity = %s and run_id = %s and resolved_at is null
        order by kind <> 'owner', id
        limit %s
        """,
        [rel.entity.system, rel.entity.name, run_id, limit],
    )
    return [text for (text,) in found]


def withdraw(connection: Connection, rel: Relations, run_id: UUID, refused: list[int]) -> None:
    """Remove this run's conflicts of records that the target refused, and reopen those they had replaced.

    Call in the transaction that recorded them: its now() identifies the ones that it replaced.
    """
    if not refused:
        return
    of_refused = rel.bind(refused=refused).compose("""
        c.system = {system} and c.entity = {entity} and c.key = {key_json(s)} and s._seq = any({refused})
    """)
    names = rel.bind(run=run_id, of_refused=of_refused)
    recorded = "delete from sync.conflict c using {seen} s where {of_refused} and c.run_id = {run}"
    connection.execute(names.compose(recorded))
    replaced = names.compose("""
        update sync.conflict c
        set resolved_at = null, resolution = null
        from {seen} s
        where {of_refused} and c.resolution = 'overtaken' and c.resolved_at = now()
    """)
    connection.execute(replaced)
