"""The worklist: a temporary table of the rows that are to be merged, removed or completed.

One row for each such row of the table: its ctid, its group of duplicates, its rank there (1 is the newest,
which survives), what it held before, and the values that it gets (`patch`).
"""

from collections.abc import Sequence

from psycopg import sql

from sync_pipeline.doctor.repair.report import listed
from sync_pipeline.doctor.repair.row_json import exact, json_object, type_of
from sync_pipeline.doctor.repair.session import fetch, fetch_value
from sync_pipeline.doctor.repair.unique_key import Fill, UniqueKey
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import COMMA, ident
from sync_pipeline.postgres.catalog import Table
from sync_pipeline.postgres.connect import Connection

# `offset 0` keeps the planner from evaluating a fill, which may be a subquery, once for each of its uses.
_CREATE = sql.SQL("""
create temporary table repair_worklist on commit drop as
with complete as (
    select t.ctid as row_ctid, f.fill, {key}, {newest}
    from only {table} t
    cross join lateral (select {values} offset 0) v
    cross join lateral (select jsonb_strip_nulls({fill}) as fill) f
), ranked as (
    select
        *,
        {counts} as counts,
        num_nulls({key_columns}) as nulls,
        dense_rank() over (order by {key_columns}) as key_group,
        row_number() over (partition by {key_columns} order by {order}) as rank,
        count(*) over (partition by {key_columns}) as size
    from complete
)
select
    r.row_ctid,
    r.key_group,
    case when counts then r.rank else 1 end as rank,
    case when counts then r.size else 1 end as size,
    r.nulls,
    r.fill as patch,
    {before} as before,
    {row_key} as row_key
from ranked r
join only {table} t on t.ctid = r.row_ctid
where r.counts and r.size > 1 or r.fill <> '{{}}'
""")

# What the newest lacks comes from the next newest that has it. The empty name holds texts of values that
# JSON cannot carry (see row_json): a JSON null there is a value.
_INHERIT = """
update pg_temp.repair_worklist s
set patch = s.patch || inherited.patch
from (
    select key_group, jsonb_object_agg(name, value) as patch
    from (
        select distinct on (d.key_group, e.key) d.key_group, e.key as name, e.value
        from pg_temp.repair_worklist d
        cross join jsonb_each(d.before) e
        where d.rank > 1 and e.value <> 'null' and e.key = any (%(columns)s)
        order by d.key_group, e.key, d.rank
    ) candidates
    join pg_temp.repair_worklist n using (key_group)
    where n.rank = 1 and n.size > 1 and n.before -> name = 'null'
        and not coalesce(n.before -> '' ? name, false)
    group by key_group
) inherited
where s.key_group = inherited.key_group and s.rank = 1 and s.size > 1
"""

# A null does not count as a difference.
_DIFFERENT = """
select
    string_agg(distinct different.name, ', ' order by different.name),
    string_agg(distinct d.row_key::text, ' and ' order by d.row_key::text)
from (
    select key_group, name
    from pg_temp.repair_worklist
    cross join unnest(%(columns)s::text[]) name
    where size > 1
    group by key_group, name
    having count(distinct (before || patch) ->> name) > 1
) different
join pg_temp.repair_worklist d using (key_group)
group by key_group
order by key_group
limit 3
"""

_COUNT_DUPLICATES = """
select count(*) filter (where size > 1 and rank = 1), count(*) filter (where rank > 1)
from pg_temp.repair_worklist
"""

_EXAMPLES = """
select
    string_agg(coalesce((s.before || s.patch) ->> name, 'null'), ', ' order by u.position),
    s.size,
    s.row_key
from pg_temp.repair_worklist s, unnest(%(columns)s::text[]) with ordinality u (name, position)
where s.rank = 1 and s.size > 1
group by s.key_group, s.size, s.row_key
order by s.size desc, 1
limit 3
"""

_COUNT_PATCHED = """
select name, count(*)
from pg_temp.repair_worklist s, jsonb_object_keys(s.patch) name
where rank = 1
group by name
order by name
"""


def create(connection: Connection, table: Table, key: UniqueKey, fills: Sequence[Fill]) -> None:
    """Find duplicates, and what survivors get; raises `TargetNotPrepared` without a column."""
    required = (*key.columns, *(fill.column for fill in fills))
    missing = [name for name in dict.fromkeys(required) if name not in table.columns]
    if missing:
        raise TargetNotPrepared(
            f"{key.table_name} has no column {', '.join(missing)}, which the unique key needs: add it first"
        )
    drop(connection)
    connection.execute(_creation(table, key, fills))
    connection.execute("create index on pg_temp.repair_worklist (key_group)")
    connection.execute("analyze pg_temp.repair_worklist")
    inherited = [name for name in table.insertable if name not in key.null_is_value]
    connection.execute(_INHERIT, {"columns": inherited})


def drop(connection: Connection) -> None:
    """Drop the worklist; a transaction may repair several tables."""
    connection.execute("drop table if exists pg_temp.repair_worklist")


def _creation(table: Table, key: UniqueKey, fills: Sequence[Fill]) -> sql.Composed:
    filled = {fill.column: fill for fill in fills}
    key_columns = [ident(f"key {n}") for n, _ in enumerate(key.columns)]
    newest = [name for name in key.newest if name in table.columns]
    newest_columns = [ident(f"newest {n}") for n, _ in enumerate(newest)]

    def completed(name: str) -> sql.Composable:
        own = ident("t", name)
        filled_in = sql.SQL("coalesce({}, {})").format(own, ident("v", name))
        return filled_in if name in filled else own

    def aliased(names: Sequence[str], aliases: Sequence[sql.Identifier]) -> list[sql.Composed]:
        pairs = zip(names, aliases, strict=True)
        return [sql.SQL("{} as {}").format(completed(name), alias) for name, alias in pairs]

    values = [
        sql.SQL("({})::{} as {}").format(fill.value, type_of(table.columns[name]), ident(name))
        for name, fill in filled.items()
    ]
    value_of_null = sql.SQL("case when {} is null then {} end")
    patches = ((name, value_of_null.format(ident("t", name), ident("v", name))) for name in filled)
    descending = [sql.SQL("{} desc nulls last").format(column) for column in newest_columns]
    all_distinct = sql.SQL("num_nulls({}) = 0").format(COMMA.join(key_columns))
    return _CREATE.format(
        table=key.table_name.relation,
        values=COMMA.join(values) if values else sql.SQL("null as nothing"),
        fill=json_object(patches),
        key=COMMA.join(aliased(key.columns, key_columns)),
        key_columns=COMMA.join(key_columns),
        newest=COMMA.join(aliased(newest, newest_columns) or [sql.SQL("null as unknown")]),
        order=COMMA.join([*descending, sql.SQL("row_ctid desc")]),
        before=exact(table, "t"),
        counts=sql.SQL("true") if key.nulls_not_distinct else all_distinct,
        row_key=_row_key(table, key, key_columns),
    )


def _row_key(table: Table, key: UniqueKey, key_columns: Sequence[sql.Identifier]) -> sql.Composed:
    """What identifies a row in reports and in the log: its primary key, else the key that it gets."""
    primary = [(name, sql.SQL("to_jsonb(t) -> {}").format(name)) for name in table.primary_key]
    return json_object(primary or zip(key.columns, key_columns, strict=True))


def refuse_different(connection: Connection, table: Table, key: UniqueKey) -> None:
    """Raise `TargetNotPrepared` if rows to be merged differ in `key.must_match`, fills included."""
    columns = [name for name in key.must_match if name in table.columns]
    if not columns:
        return
    different = fetch(connection, _DIFFERENT, {"columns": columns})
    if different:
        rows = "; ".join(f"{rows} differ in {listed([names])}" for names, rows in different)
        raise TargetNotPrepared(
            f"{key.table_name}: rows share {listed(key.columns)} and are not the same thing: {rows}. Nothing"
            f" was changed; fill what distinguishes them in {listed(key.columns)}, or remove those that are"
            " of no use, then try again."
        )


def duplicates(connection: Connection) -> tuple[int, int]:
    """How many keys several rows hold, and how many rows are surplus."""
    keys, surplus = fetch(connection, _COUNT_DUPLICATES)[0]
    return keys, surplus


def examples(connection: Connection, key: UniqueKey) -> list[tuple[str, int, str]]:
    """Up to three keys that several rows hold: the key, how many, and the survivor's identity."""
    rows = fetch(connection, _EXAMPLES, {"columns": list(key.columns)})
    return [
        (values, size, ", ".join(f"{name} {value}" for name, value in row_key.items()))
        for values, size, row_key in rows
    ]


def patched(connection: Connection) -> dict[str, int]:
    """Columns of surviving rows that get a value, with the number of rows."""
    return dict(fetch(connection, _COUNT_PATCHED))


def patched_rows(connection: Connection) -> int:
    """How many surviving rows get a value."""
    query = "select count(*) from pg_temp.repair_worklist where rank = 1 and patch <> '{}'"
    return fetch_value(connection, query)
