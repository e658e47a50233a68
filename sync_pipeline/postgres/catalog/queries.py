"""The queries on pg_catalog. Each takes the oids of many tables and answers for all of them at once."""

# By name and not by to_regclass, which fails where the role may not use the schema. A name that begins with
# pg_ stays qualified: pg_catalog is searched before public.
TABLES = """
    select
        n.nspname as schema,
        c.relname as name,
        c.oid,
        case
            when n.nspname = 'public' and not starts_with(c.relname, 'pg_') then quote_ident(c.relname)
            else quote_ident(n.nspname) || '.' || quote_ident(c.relname)
        end as sql,
        c.relkind::text as kind,
        exists (select from pg_catalog.pg_inherits h where h.inhparent = c.oid) as has_children,
        c.relpersistence = 'u' as unlogged,
        row_security_active(c.oid) as row_security,
        array_remove(array[
            case when not has_schema_privilege(n.oid, 'USAGE') then 'USAGE on schema ' || n.nspname end,
            case when not has_table_privilege(c.oid, 'DELETE') then 'DELETE' end
        ], null) as missing_privileges,
        array(
            select r.rulename::text
            from pg_catalog.pg_rewrite r
            where r.ev_class = c.oid and r.ev_type in ('2', '3') and r.ev_enabled in ('O', 'A')
            order by 1
        ) as rules,
        coalesce(obj_description(c.oid, 'pg_class'), '') as comment
    from unnest(%(schemas)s::text[], %(tables)s::text[]) requested(schema, name)
    join pg_catalog.pg_namespace n on n.nspname = requested.schema
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = requested.name
    where c.relkind in ('r', 'p', 'v', 'm', 'f')
    order by n.nspname collate "C", c.relname collate "C"
"""

# Defaults are judged by the sequences that they depend on: pg_get_expr would wait for a locked table. Since
# PostgreSQL 18 a column may be marked not null before its rows have been checked.
COLUMNS = """
    with recursive beneath as (
        select oid as domain, typbasetype as base, typtypmod as modifier
        from pg_catalog.pg_type
        where typtype = 'd'
        union all
        select b.domain, t.typbasetype, greatest(b.modifier, t.typtypmod)
        from beneath b
        join pg_catalog.pg_type t on t.oid = b.base
        where t.typtype = 'd'
    ),
    resolved as (
        select b.domain, b.base, b.modifier
        from beneath b
        join pg_catalog.pg_type t on t.oid = b.base
        where t.typtype <> 'd'
    )
    select
        a.attrelid as table_oid,
        a.attname as name,
        format_type(a.atttypid, a.atttypmod) as type,
        coalesce(format_type(d.base, d.modifier), '') as domain_of,
        case when x.type = 'bpchar'::regtype then 'character' else format_type(x.type, -1) end as base_type,
        information_schema._pg_char_max_length(x.type, x.modifier) as length,
        information_schema._pg_numeric_precision(x.type, x.modifier) as precision,
        coalesce(
            information_schema._pg_numeric_scale(x.type, x.modifier),
            information_schema._pg_datetime_precision(x.type, x.modifier)
        ) as scale,
        a.attnotnull and not exists (
            select from pg_catalog.pg_constraint k
            where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum]
                and not k.convalidated
        ) as not_null,
        a.atthasdef or a.attidentity <> '' as has_default,
        a.attidentity::text as identity,
        a.attgenerated <> '' as generated,
        coalesce(col_description(a.attrelid, a.attnum), '') as comment,
        array_remove(array[
            case when not has_column_privilege(a.attrelid, a.attnum, 'SELECT') then 'SELECT' end,
            case when not has_column_privilege(a.attrelid, a.attnum, 'INSERT') then 'INSERT' end,
            case when not has_column_privilege(a.attrelid, a.attnum, 'UPDATE') then 'UPDATE' end
        ], null) as missing_privileges,
        coalesce(s.name, '') as sequence,
        coalesce(s.usable, true) as sequence_usable
    from pg_catalog.pg_attribute a
    left join resolved d on d.domain = a.atttypid
    cross join lateral (
        select coalesce(d.base, a.atttypid), greatest(a.atttypmod, d.modifier)
    ) x(type, modifier)
    left join lateral (
        select s.oid::regclass::text as name, has_sequence_privilege(s.oid, 'USAGE') as usable
        from pg_catalog.pg_attrdef f
        join pg_catalog.pg_depend p
            on p.classid = 'pg_catalog.pg_attrdef'::regclass and p.objid = f.oid
            and p.refclassid = 'pg_catalog.pg_class'::regclass
        join pg_catalog.pg_class s on s.oid = p.refobjid and s.relkind = 'S'
        where f.adrelid = a.attrelid and f.adnum = a.attnum
        order by 2
        limit 1
    ) s on true
    where a.attrelid = any(%(oids)s) and a.attnum > 0 and not a.attisdropped
    order by a.attrelid, a.attnum
"""

# NULLS NOT DISTINCT is known since PostgreSQL 15; a source's server may be older.
INDEXES = """
    select
        i.indrelid as table_oid,
        c.relname as name,
        coalesce(keys.columns, '{}') as columns,
        coalesce(keys.included, '{}') as included,
        array(
            select a.attname::text
            from pg_catalog.pg_attribute a
            where a.attrelid = i.indrelid and (
                a.attname = any(keys.columns)
                or (i.indexprs is not null or i.indpred is not null)
                and not a.attnum = any(i.indkey)
                and exists (
                    select from pg_catalog.pg_depend p
                    where p.classid = 'pg_catalog.pg_class'::regclass and p.objid = i.indexrelid
                        and p.refobjid = i.indrelid and p.refobjsubid = a.attnum
                )
            )
            order by a.attnum
        ) as referenced,
        i.indisunique as unique,
        i.indisvalid and i.indisready and i.indislive as valid,
        i.indimmediate as immediate,
        coalesce(pg_get_expr(i.indpred, i.indrelid), '') as condition,
        i.indexprs is not null as has_expressions,
        i.indisexclusion as exclusion,
        i.indisprimary as primary,
        coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) as nulls_not_distinct,
        k.oid is not null as constraint,
        exists (
            select from pg_catalog.pg_constraint r where r.conindid = i.indexrelid
        ) as required,
        case
            when k.oid is null then pg_get_indexdef(i.indexrelid)
            else format(
                'alter table %%I.%%I add constraint %%I %%s',
                n.nspname, t.relname, k.conname, pg_get_constraintdef(k.oid)
            )
        end as definition
    from pg_catalog.pg_index i
    join pg_catalog.pg_class c on c.oid = i.indexrelid
    join pg_catalog.pg_class t on t.oid = i.indrelid
    join pg_catalog.pg_namespace n on n.oid = t.relnamespace
    left join pg_catalog.pg_constraint k
        on k.conindid = i.indexrelid and k.conrelid = i.indrelid and k.contype in ('p', 'u', 'x')
    cross join lateral (
        select
            array_agg(a.attname::text order by u.place)
                filter (where u.place <= i.indnkeyatts) as columns,
            array_agg(a.attname::text order by u.place)
                filter (where u.place > i.indnkeyatts) as included
        from unnest(i.indkey::int2[]) with ordinality u(number, place)
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.number
    ) keys
    where i.indrelid = any(%(oids)s)
    order by i.indrelid, c.relname collate "C"
"""

# Without locks, unlike INDEXES, whose definitions wait for a locked table.
PLAIN_INDEXES = """
    select
        i.indexrelid::regclass::text as name,
        array_agg(a.attname::text) as columns,
        i.indnatts > i.indnkeyatts as includes,
        i.indisunique as unique,
        i.indimmediate as immediate,
        coalesce(array_agg(a.attname::text) filter (
            where not a.attnotnull and (to_jsonb(i) ->> 'indnullsnotdistinct')::boolean is not true
        ), '{}') as nullable
    from pg_catalog.pg_index i
    cross join unnest(i.indkey::int2[]) with ordinality u(number, place)
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.number
    where i.indrelid = to_regclass(%(relation)s)
        and i.indisvalid and i.indpred is null and i.indexprs is null
        -- Columns that the index only includes do not matter to ON CONFLICT.
        and u.place <= i.indnkeyatts
    group by i.indexrelid, i.indnatts, i.indnkeyatts, i.indisunique, i.indimmediate
"""

# A key that references a partitioned table has children that reference its partitions.
FOREIGN_KEYS = """
    select
        k.conrelid as child_oid,
        k.confrelid as parent_oid,
        k.conname as name,
        array[cn.nspname, c.relname]::text[] as child,
        names.columns,
        array[pn.nspname, p.relname]::text[] as parent,
        names.parent_columns,
        k.confdeltype::text as on_delete,
        k.convalidated as valid,
        k.condeferred as deferred
    from pg_catalog.pg_constraint k
    join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
    join pg_catalog.pg_class p on p.oid = k.confrelid
    join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
    cross join lateral (
        select
            array_agg(a.attname::text order by u.place) as columns,
            array_agg(b.attname::text order by u.place) as parent_columns
        from unnest(k.conkey, k.confkey) with ordinality u(child, parent, place)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.child
        join pg_catalog.pg_attribute b on b.attrelid = k.confrelid and b.attnum = u.parent
    ) names
    where k.contype = 'f' and k.conparentid = 0
        and (k.conrelid = any(%(oids)s) or k.confrelid = any(%(oids)s))
    order by k.conname collate "C", cn.nspname collate "C", c.relname collate "C"
"""

# The bits of tgtype: 1 for each row, 2 before, 4 insert, 8 delete, 16 update.
TRIGGERS = """
    select
        t.tgrelid as table_oid,
        t.tgname as name,
        t.tgfoid::regproc::text as function,
        concat_ws(
            ' or ',
            case when t.tgtype & 4 > 0 then 'INSERT' end,
            case when t.tgtype & 16 > 0 then 'UPDATE' end,
            case when t.tgtype & 8 > 0 then 'DELETE' end
        ) as events
    from pg_catalog.pg_trigger t
    where t.tgrelid = any(%(oids)s) and not t.tgisinternal and t.tgenabled in ('O', 'A')
        and t.tgtype & 3 = 3 and t.tgtype & 28 > 0
    order by t.tgrelid, t.tgname collate "C"
"""

COLUMN_TYPES = """
    select attname as name, format_type(atttypid, atttypmod) as full, format_type(atttypid, -1) as bare
    from pg_catalog.pg_attribute
    where attrelid = to_regclass(%(relation)s) and attnum > 0 and not attisdropped
    order by attnum
"""

# A table of an extension comes with the extension, on the target too.
_IS_OWN_TABLE = """
    c.relkind in ('r', 'p') and not c.relispartition and not exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
"""

TABLES_OF_SCHEMA = f"""
    select n.nspname as schema, c.relname as table
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and {_IS_OWN_TABLE}
    order by c.relname collate "C"
"""  # noqa: S608  a constant

SCHEMAS = f"""
    select distinct n.nspname::text as name
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where {_IS_OWN_TABLE} and not starts_with(n.nspname, 'pg_') and n.nspname <> 'information_schema'
    order by 1
"""  # noqa: S608  a constant

RELATION_NAMES = """
    select c.relname as name
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s
"""

MISSING_PRIVILEGES = """
    select 'TEMPORARY on the database' as name
    where not has_database_privilege(current_database(), 'TEMPORARY')
    union all
    select format('%%s on %%I.%%I', p.privilege, n.nspname, c.relname)
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p(privilege)
    where n.nspname = any(%(schemas)s) and c.relkind = 'r' and not has_table_privilege(c.oid, p.privilege)
    union all
    select 'USAGE on schema ' || n.nspname
    from pg_catalog.pg_namespace n
    where n.nspname = any(%(schemas)s) and not has_schema_privilege(n.oid, 'USAGE')
"""
