"""Lookups: values that records do not hold, taken from rows of other entities on the target.

They are filled in before the plan is made, and so are merged like any value from the source. A row whose
record has not changed, but whose looked-up value has, is staged again from its base; by the merge rule, that
is then a change at the source.
"""

from collections.abc import Mapping

from psycopg import sql

from sync_pipeline.merge.relations import AND, Relations, columns, ident, listed
from sync_pipeline.model.entity import Entity, Field, Lookup
from sync_pipeline.postgres.connect import Connection


def fill(
    connection: Connection, rel: Relations, parents: Mapping[str, Entity], *, complete: bool
) -> int:
    """Fill in looked-up values, and stage rows again whose value has moved. Call after `deduplicate`.

    A row that a complete scan did not see is missing, and not staged again.

    Returns:
        How many rows were staged again although the source did not deliver them.
    """
    looked_up = list(rel.entity.lookups)
    if not looked_up:
        return 0
    connection.execute(_fill_staged(rel, looked_up, parents))
    connection.execute(_find_moved(rel, looked_up, parents))
    added = 0
    # A delta says nothing about the rows that it does not deliver, so their values may have moved too.
    if not complete:
        added = connection.execute(_see_moved(rel)).rowcount
    connection.execute(_stage_moved(rel))
    return added


def _found(
    rel: Relations,
    looked_up: list[tuple[Field, Lookup]],
    parents: Mapping[str, Entity],
    aliases: Mapping[str, str],
) -> tuple[sql.Composable, list[sql.Identifier]]:
    """Outer joins to the rows that hold looked-up values, and expressions of these values.

    `aliases` has the alias that holds each of our columns.
    """
    joins: list[sql.Composable] = []
    values: list[sql.Identifier] = []
    for place, (_, lookup) in enumerate(looked_up):
        parent, alias = Relations(parents[lookup.to]), f"_l{place}"
        there = [there for _, there in lookup.by]
        # Of several rows the lowest key's, so that the value is the same in every run.
        order = [*there, *(c for c in parent.entity.key if c not in there)]
        same = AND.join(
            sql.SQL("{} = {}").format(ident(alias, b), ident(aliases[a], a)) for a, b in lookup.by
        )
        parent = parent.bind(by=columns(there), take=ident(lookup.take), order=columns(order))
        joins.append(
            parent.bind(alias=ident(alias), same=same).compose("""
                left join (
                    select distinct on ({by}) {by}, {take} as _taken
                    from {target}
                    order by {order}
                ) {alias} on {same}
            """)
        )
        values.append(ident(alias, "_taken"))
    return sql.SQL(" ").join(joins), values


def _aliases(rel: Relations, key: str, value: str) -> dict[str, str]:
    return dict.fromkeys(rel.value_columns, value) | dict.fromkeys(rel.entity.key, key)


def _fill_staged(
    rel: Relations, looked_up: list[tuple[Field, Lookup]], parents: Mapping[str, Entity]
) -> sql.Composed:
    joins, values = _found(rel, looked_up, parents, _aliases(rel, "s", "w"))
    names = [f.column for f, _ in looked_up]
    return rel.bind(
        sets=listed(sql.SQL("{} = v.{}").format(ident(n), ident(n)) for n in names),
        values=listed(
            sql.SQL("{} as {}").format(v, ident(n)) for v, n in zip(values, names, strict=True)
        ),
        joins=joins,
    ).compose("""
        update {rows} r
        set {sets}
        -- An update cannot outer-join to its own table, hence the second scan of rows.
        from (
            select s._seq, {values}
            from {seen} s
            join {rows} w on w._seq = s._seq
            {joins}
            where s._state is null
        ) v
        where v._seq = r._seq
    """)


def _find_moved(
    rel: Relations, looked_up: list[tuple[Field, Lookup]], parents: Mapping[str, Entity]
) -> sql.Composed:
    """Base rows whose looked-up value differs from the present one, with the present one in its place."""
    joins, values = _found(rel, looked_up, parents, _aliases(rel, "b", "b"))
    named = {f.column: value for (f, _), value in zip(looked_up, values, strict=True)}
    given = [
        sql.SQL("{} as {}").format(named.get(c, ident("b", c)), ident(c))
        for c in rel.mapped_columns
    ]
    return rel.bind(
        given=listed(given),
        joins=joins,
        differ=sql.SQL(" or ").join(
            sql.SQL("{} is distinct from {}").format(value, ident("b", column))
            for column, value in named.items()
        ),
    ).compose("""
        create temporary table {moved} on commit drop as
        select
            {given}, b._digest, b._modified, b._unknown,
            -- Numbered after all that was delivered: a sequence number identifies one record of the run.
            row_number() over () + (select coalesce(max(_seq), 0) from {seen}) as _next
        from {base} b
        join {held} t on {same_key(t, b)}
        {joins}
        where b._missing_since is null and {ours(t)} and ({differ})
            -- A record that this run delivers anew has its looked-up value already.
            and not exists (select from {seen} s where s._wide and s._state is null and {same_key(s, b)})
    """)


def _see_moved(rel: Relations) -> sql.Composed:
    """Add rows that the source did not deliver in this run to `seen`, as if it had."""
    return rel.compose("""
        insert into {seen} (_seq, {keys}, _digest, _modified, _elsewhere, _wide)
        -- Not _wide yet: _stage_moved gives values to these and to unchanged records alike.
        select _next, {keys(m)}, m._digest, m._modified, false, false
        from {moved} m
        where not exists (select from {seen} s where s._state is null and {same_key(s, m)})
    """)


def _stage_moved(rel: Relations) -> sql.Composed:
    """Give values to records that were staged as unchanged, so without any."""
    return rel.compose("""
        with widened as (
            update {seen} s
            set _wide = true
            from {moved} m
            where s._state is null and not s._wide and {same_key(s, m)}
            returning s._seq, {keys(s)}
        )
        -- Without _raw: a row from the base is never parked.
        insert into {rows} (_seq, _absent, {values})
        select s._seq, m._unknown, {values(m)}
        from widened s
        join {moved} m on {same_key(s, m)}
    """)
