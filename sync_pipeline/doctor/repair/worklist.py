"""The work sheet: a temporary table of the rows that are to be merged, removed or completed.

One row for each such row of the table: where it is, which group of duplicates it belongs to, its rank there
(1 is the newest, which survives), what it held before, and the values that it gets.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from sync_pipeline.doctor.repair.row_json import exact
from sync_pipeline.doctor.repair.session import fetch, fetch_value
from sync_pipeline.doctor.repair.table_layout import Layout
from sync_pipeline.doctor.repair.unique_key import Fill, UniqueKey
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection

SHEET = sql.Identifier("pg_temp", "repair_sheet")

_MAKE = sql.SQL("""
create temporary table repair_sheet on commit drop as
with complete as (
    select t.ctid as place, f.fill, {final}, {newest}
    from only {table} t
    cross join lateral (select {values} offset 0) v
    cross join lateral (select jsonb_strip_nulls({fill}) as fill) f
), ranked as (
    select *, {counts} as counts, num_nulls({finals}) as nulls, dense_rank() over (order by {finals}) as clan,
        row_number() over (partition by {finals} order by {order}) as rank,
        count(*) over (partition by {finals}) as size
    from complete
)
select r.place, r.clan, case when counts then r.rank else 1 end as rank,
    case when counts then r.size else 1 end as size, r.nulls, r.fill as patch, {before} as before,
    {identity} as row_key
from ranked r
join only {table} t on t.ctid = r.place
where r.counts and r.size > 1 or r.fill <> '{{}}'
""")

# The older ones give what the newest lacks; of several, the newest that has it.
_INHERIT = sql.SQL("""
update {sheet} s
set patch = s.patch || given.patch
from (
    select clan, jsonb_object_agg(name, value) as patch
    from (
        select distinct on (d.clan, e.key) d.clan, e.key as name, e.value
        from {sheet} d
        cross join jsonb_each(d.before) e
        where d.rank > 1 and e.value <> 'null' and e.key = any (%(columns)s)
        order by d.clan, e.key, d.rank
    ) donated
    join {sheet} n using (clan)
    where n.rank = 1 and n.size > 1 and n.before -> name = 'null'
        and not coalesce(n.before -> '' ? name, false)
    group by clan
) given
where s.clan = given.clan and s.rank = 1 and s.size > 1
""")

_EXAMPLES = sql.SQL("""
select string_agg(coalesce((first.before || first.patch) ->> name, 'null'), ', ' order by u.nth),
    first.size, first.row_key
from {sheet} first, unnest(%(columns)s::text[]) with ordinality u (name, nth)
where first.rank = 1 and first.size > 1
group by first.clan, first.size, first.row_key
order by first.size desc, 1
limit 3
""")


def make(connection: Connection, layout: Layout, key: UniqueKey, fills: Sequence[Fill]) -> None:
    """Find what is to be done, among the values that the fills lead to.

    Raises:
        TargetNotPrepared: the table lacks a column of the key or of a fill.
    """
    wanted = (*key.columns, *(fill.column for fill in fills))
    lacking = [name for name in dict.fromkeys(wanted) if name not in layout.types]
    if lacking:
        raise TargetNotPrepared(
            f"{key.place} has no column {', '.join(lacking)}, which the unique key needs: add it first"
        )
    drop(connection)
    connection.execute(_made(layout, key, fills))
    connection.execute(sql.SQL("create index on {} (clan)").format(SHEET))
    connection.execute(sql.SQL("analyze {}").format(SHEET))
    inherited = [name for name in layout.writable if name not in key.null_is_value]
    connection.execute(_INHERIT.format(sheet=SHEET), {"columns": inherited})


def drop(connection: Connection) -> None:
    """Leave no sheet behind; a transaction may repair several tables."""
    connection.execute(sql.SQL("drop table if exists {}").format(SHEET))


def _made(layout: Layout, key: UniqueKey, fills: Sequence[Fill]) -> sql.Composed:
    filled = {fill.column: fill for fill in fills}
    comma = sql.SQL(", ")
    finals = [sql.Identifier(f"final {n}") for n, _ in enumerate(key.columns)]
    newest = [name for name in key.newest if name in layout.types]
    moments = [sql.Identifier(f"newest {n}") for n, _ in enumerate(newest)]
    falling = sql.SQL("{} desc nulls last")

    def final(name: str) -> sql.Composable:
        own = sql.Identifier("t", name)
        if name not in filled:
            return own
        return sql.SQL("coalesce({}, {})").format(own, sql.Identifier("v", name))

    values = [
        sql.SQL("({})::{} as {}").format(fill.value, _type(layout, name), sql.Identifier(name))
        for name, fill in filled.items()
    ]
    lacking = [
        sql.SQL("{}, case when {} is null then {} end").format(
            name, sql.Identifier("t", name), sql.Identifier("v", name)
        )
        for name in filled
    ]
    named = [
        sql.SQL("{}::text, to_jsonb(t) -> {}").format(name, name) for name in layout.primary_key
    ] or [
        sql.SQL("{}::text, {}").format(name, final)
        for name, final in zip(key.columns, finals, strict=True)
    ]
    return _MAKE.format(
        table=key.place.relation,
        values=comma.join(values) if values else sql.SQL("null as nothing"),
        fill=sql.SQL("jsonb_build_object({})").format(comma.join(lacking)),
        final=comma.join(
            sql.SQL("{} as {}").format(final(name), alias)
            for name, alias in zip(key.columns, finals, strict=True)
        ),
        finals=comma.join(finals),
        newest=comma.join(
            [
                sql.SQL("{} as {}").format(final(name), alias)
                for name, alias in zip(newest, moments, strict=True)
            ]
            or [sql.SQL("null as unknown")]
        ),
        order=comma.join([*(falling.format(m) for m in moments), sql.SQL("place desc")]),
        before=exact(layout, "t"),
        counts=sql.SQL("true")
        if key.nulls_not_distinct
        else sql.SQL("num_nulls({}) = 0").format(comma.join(finals)),
        identity=sql.SQL("jsonb_build_object({})").format(comma.join(named)),
    )


def _type(layout: Layout, name: str) -> sql.SQL:
    # As the catalog spells it, quoted where it must be.
    return sql.SQL(layout.types[name])  # pyright: ignore[reportArgumentType]


def duplicates(connection: Connection) -> tuple[int, int]:
    """How many keys are held by several rows, and how many rows are too many."""
    query = sql.SQL(
        "select count(*) filter (where size > 1 and rank = 1), count(*) filter (where rank > 1) from {}"
    )
    keys, surplus = fetch(connection, query.format(SHEET))[0]
    return keys, surplus


def examples(connection: Connection, key: UniqueKey) -> list[tuple[str, int, str]]:
    """Up to three keys that are held by several rows: the key, how many, and the survivor's identity."""
    rows = fetch(connection, _EXAMPLES.format(sheet=SHEET), {"columns": list(key.columns)})
    return [
        (values, size, ", ".join(f"{name} {value}" for name, value in row_key.items()))
        for values, size, row_key in rows
    ]


def patched(connection: Connection) -> dict[str, int]:
    """Columns of surviving rows that get a value, with the number of rows."""
    query = sql.SQL(
        "select name, count(*) from {} s, jsonb_object_keys(s.patch) name where rank = 1"
        " group by name order by name"
    )
    return dict(fetch(connection, query.format(SHEET)))


def patched_rows(connection: Connection) -> int:
    """How many surviving rows get a value."""
    query = sql.SQL("select count(*) from {} where rank = 1 and patch <> '{{}}'")
    return fetch_value(connection, query.format(SHEET))
