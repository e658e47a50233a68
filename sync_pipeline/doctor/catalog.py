"""Reading what the catalog says of many tables at once: one query per kind of thing, no table is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from sync_pipeline.doctor.table_facts import Column, ForeignKey, Index, Table, Trigger
from sync_pipeline.postgres.connect import Connection

Names = tuple[str, str]
T = TypeVar("T")

# By name and not by to_regclass, which fails where the schema may not be used.
_TABLES = """
    select n.nspname, c.relname, c.oid, c.relkind::text, c.relpersistence = 'u', row_security_active(c.oid),
        array_remove(array[
            case when not has_schema_privilege(n.oid, 'USAGE') then 'USAGE on schema ' || n.nspname end,
            case when not has_table_privilege(c.oid, 'DELETE') then 'DELETE' end
        ], null),
        array(
            select r.rulename::text from pg_catalog.pg_rewrite r
            where r.ev_class = c.oid and r.ev_type in ('2', '3') and r.ev_enabled in ('O', 'A')
            order by 1
        )
    from unnest(%(schemas)s::text[], %(names)s::text[]) w(schema, name)
    join pg_catalog.pg_namespace n on n.nspname = w.schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
"""

# Since PostgreSQL 18 a column may be marked not null before its rows have been checked.
_COLUMNS = """
    with recursive beneath as (
        select oid as domain, typbasetype as base, typtypmod as modifier
        from pg_catalog.pg_type where typtype = 'd'
        union all
        select b.domain, t.typbasetype, greatest(b.modifier, t.typtypmod)
        from beneath b join pg_catalog.pg_type t on t.oid = b.base where t.typtype = 'd'
    ),
    plain as (
        select b.domain, b.base, b.modifier
        from beneath b join pg_catalog.pg_type t on t.oid = b.base where t.typtype <> 'd'
    )
    select a.attrelid, a.attname,
        case when x.type = 'bpchar'::regtype then 'character' else format_type(x.type, -1) end,
        information_schema._pg_char_max_length(x.type, x.modifier),
        information_schema._pg_numeric_precision(x.type, x.modifier),
        coalesce(
            information_schema._pg_numeric_scale(x.type, x.modifier),
            information_schema._pg_datetime_precision(x.type, x.modifier)
        ),
        a.attnotnull and not exists (
            select from pg_catalog.pg_constraint k
            where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum]
            and not k.convalidated
        ),
        a.atthasdef or a.attidentity <> '', a.attgenerated <> '' or a.attidentity = 'a',
        array_remove(array[
            case when not has_column_privilege(a.attrelid, a.attnum, 'SELECT') then 'SELECT' end,
            case when not has_column_privilege(a.attrelid, a.attnum, 'INSERT') then 'INSERT' end,
            case when not has_column_privilege(a.attrelid, a.attnum, 'UPDATE') then 'UPDATE' end
        ], null),
        coalesce((
            select s.oid::regclass::text from pg_catalog.pg_attrdef d
            join pg_catalog.pg_depend p on p.classid = 'pg_catalog.pg_attrdef'::regclass
                and p.objid = d.oid and p.refclassid = 'pg_catalog.pg_class'::regclass
            join pg_catalog.pg_class s on s.oid = p.refobjid
            where d.adrelid = a.attrelid and d.adnum = a.attnum
                and case when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'USAGE') end
            limit 1
        ), '')
    from pg_catalog.pg_attribute a left join plain on plain.domain = a.atttypid
    cross join lateral (
        select coalesce(plain.base, a.atttypid), greatest(a.atttypmod, plain.modifier)
    ) x(type, modifier)
    where a.attrelid = any(%(oids)s) and a.attnum > 0 and not a.attisdropped
    order by a.attrelid, a.attnum
"""

# NULLS NOT DISTINCT is known since PostgreSQL 15; a desktop database may be older.
_INDEXES = """
    select i.indrelid, c.relname,
        array(
            select a.attname::text from unnest(i.indkey) with ordinality k(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
            where k.place <= i.indnkeyatts order by k.place
        ),
        array(
            select a.attname::text from pg_catalog.pg_attribute a
            where a.attrelid = i.indrelid and (
                exists (
                    select from unnest(i.indkey) with ordinality k(number, place)
                    where k.number = a.attnum and k.place <= i.indnkeyatts
                )
                or (i.indexprs is not null or i.indpred is not null) and exists (
                    select from pg_catalog.pg_depend p
                    where p.classid = 'pg_catalog.pg_class'::regclass and p.objid = i.indexrelid
                    and p.refobjid = i.indrelid and p.refobjsubid = a.attnum
                    and not a.attnum = any(i.indkey)
                )
            )
            order by a.attnum
        ),
        i.indisunique, i.indisvalid and i.indislive, i.indimmediate,
        coalesce(pg_get_expr(i.indpred, i.indrelid), ''), i.indexprs is not null, i.indisexclusion,
        i.indisprimary, coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
        exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid),
        pg_relation_size(i.indexrelid)
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
    where i.indrelid = any(%(oids)s)
    order by i.indrelid, c.relname collate "C"
"""

# A key that references a partitioned table has children that reference its partitions.
_FOREIGN_KEYS = """
    select k.conrelid, k.confrelid, k.conname, array[cn.nspname, c.relname]::text[],
        array(
            select a.attname::text from unnest(k.conkey) with ordinality u(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number
            order by u.place
        ),
        array[pn.nspname, p.relname]::text[],
        array(
            select a.attname::text from unnest(k.confkey) with ordinality u(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number
            order by u.place
        ),
        k.confdeltype::text, k.convalidated, k.condeferred
    from pg_catalog.pg_constraint k
    join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
    join pg_catalog.pg_class p on p.oid = k.confrelid
    join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
    where k.contype = 'f' and k.conparentid = 0
        and (k.conrelid = any(%(oids)s) or k.confrelid = any(%(oids)s))
    order by k.conname collate "C"
"""

_TRIGGERS = """
    select t.tgrelid, t.tgname, t.tgfoid::regproc::text,
        concat_ws(
            ' or ', case when t.tgtype & 4 > 0 then 'INSERT' end,
            case when t.tgtype & 16 > 0 then 'UPDATE' end, case when t.tgtype & 8 > 0 then 'DELETE' end
        )
    from pg_catalog.pg_trigger t
    where t.tgrelid = any(%(oids)s) and not t.tgisinternal and t.tgenabled in ('O', 'A')
        and t.tgtype & 3 = 3 and t.tgtype & 28 > 0
    order by t.tgrelid, t.tgname collate "C"
"""


def read(connection: Connection, wanted: Collection[Names]) -> dict[Names, Table]:
    """What the catalog says of the relations of these names.

    Args:
        connection: any session; reads no table.
        wanted: schema and name of each.

    Returns:
        Those that exist, by schema and name.
    """
    names = {"schemas": [s for s, _ in wanted], "names": [n for _, n in wanted]}
    found = connection.execute(_TABLES, names).fetchall()
    oids = [row[2] for row in found]
    columns = _by_table(connection, _COLUMNS, oids, Column)
    indexes = _by_table(connection, _INDEXES, oids, Index)
    triggers = _by_table(connection, _TRIGGERS, oids, Trigger)
    out, into = _foreign_keys(connection, oids)
    return {
        (schema, name): Table(
            schema,
            name,
            oid,
            kind,
            unlogged,
            secured,
            tuple(denied),
            tuple(rules),
            columns={c.name: c for c in columns[oid]},
            indexes=tuple(indexes[oid]),
            foreign_keys=tuple(out[oid]),
            referrers=tuple(into[oid]),
            triggers=tuple(triggers[oid]),
        )
        for schema, name, oid, kind, unlogged, secured, denied, rules in found
    }


def _by_table(
    connection: Connection, query: str, oids: list[int], kind: Callable[..., T]
) -> defaultdict[int, list[T]]:
    grouped: defaultdict[int, list[T]] = defaultdict(list)
    for oid, *facts in connection.execute(query.encode(), {"oids": oids}):
        grouped[oid].append(kind(*map(_frozen, facts)))
    return grouped


def _foreign_keys(
    connection: Connection, oids: list[int]
) -> tuple[defaultdict[int, list[ForeignKey]], defaultdict[int, list[ForeignKey]]]:
    """Foreign keys by the table that they are from, and by the one that they are to."""
    out: defaultdict[int, list[ForeignKey]] = defaultdict(list)
    into: defaultdict[int, list[ForeignKey]] = defaultdict(list)
    for child, parent, *facts in connection.execute(_FOREIGN_KEYS, {"oids": oids}):
        key = ForeignKey(*map(_frozen, facts))
        out[child].append(key)
        into[parent].append(key)
    return out, into


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
