"""The statements that put back what a repair kept aside; all take a list of the account's `ids`."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from sync_pipeline.doctor.repair.row_json import read_back
from sync_pipeline.doctor.repair.table_layout import Layout, Reference

_REMOVED = sql.SQL('d."row"')

_INSERT = sql.SQL("""
insert into {table} ({columns}) overriding system value
select {values} from sync.removed_row d, jsonb_populate_record(null::{table}, d."row") p
where d.id = any (%(ids)s)
""")

# A row that is not back must not lend its key to another one that has taken its place.
_ORPHANS = sql.SQL("""
select c.id from sync.changed_row c
join sync.removed_row d using (repair_id)
where c.id = any (%(ids)s) and {refers}
""")

# Column by column: what was edited after the repair stays. Of rows that are alike in all that identifies
# them, as they may be where there is no primary key, each change finds one of its own.
_UPDATE = sql.SQL("""
update only {table} t
set {assignments}
from (
    select now.ctid as place, b.patch,
        dense_rank() over (partition by c.row_key order by c.id) as nth_change,
        dense_rank() over (partition by c.row_key order by now.ctid) as nth_row
    from sync.changed_row c
    join only {table} now on {found}
    cross join lateral (
        select jsonb_object_agg(e.key, e.value) as patch from jsonb_each(c.before) e
        where to_jsonb(now) -> e.key is not distinct from c.after -> e.key
    ) b
    where c.id = any (%(ids)s) and b.patch is not null
) c, jsonb_populate_record(null::{table}, c.patch) p
where t.ctid = c.place and c.nth_change = c.nth_row
""")


def put_rows_back(own: Layout, columns: Iterable[str]) -> sql.Composed:
    """A statement that inserts removed rows; columns that came later get their defaults."""
    names = list(columns)
    return _INSERT.format(
        table=own.place.relation,
        columns=_joined(sql.Identifier(c) for c in names),
        values=_joined(read_back(own, c, _REMOVED, "p") for c in names),
    )


def put_values_back(own: Layout, columns: Iterable[str], identity: Iterable[str]) -> sql.Composed:
    """A statement that gives changed rows their values back, where they hold what the repair wrote."""
    names = list(identity)
    assignment = sql.SQL("{} = case when c.patch ? {} then {} else {} end")
    return _UPDATE.format(
        table=own.place.relation,
        assignments=_joined(
            assignment.format(sql.Identifier(c), c, sql.Identifier("p", c), sql.Identifier("t", c))
            for c in columns
            if c not in own.generated
        ),
        found=_identified("now", names),
    )


def orphaned(reference: Reference) -> sql.Composed:
    """A query for those of the changed rows `ids` that referred to a row that is not back."""
    pairs = zip(reference.columns, reference.parent_columns, strict=True)
    refers = (sql.SQL('c.before -> {} = d."row" -> {}').format(own, other) for own, other in pairs)
    return _ORPHANS.format(refers=sql.SQL(" and ").join(refers))


def _joined(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _identified(alias: str, identity: Iterable[str]) -> sql.Composed:
    """The row that a changed row `c` is of."""
    pairs = (
        sql.SQL("{}::text, to_jsonb({}) -> {}").format(name, sql.Identifier(alias), name)
        for name in identity
    )
    return sql.SQL("jsonb_build_object({}) = c.row_key").format(_joined(pairs))
