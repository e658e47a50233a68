"""What a Postgres database says of the tables of one schema: a few set-based queries on its catalog.

Nothing is decided here, no table is read, and nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, LiteralString

from sync_pipeline.errors import SourceRefused
from sync_pipeline.inspectdb.formatting import visible
from sync_pipeline.inspectdb.schema import Column, ForeignKey, Table, Unique
from sync_pipeline.postgres.connect import Connection

# A table of an extension comes with the extension, on the target too.
_IS_TABLE = """
    c.relkind in ('r', 'p') and not c.relispartition and not exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )"""

# A name that begins like the server's own would be found among them first.
_TABLES = f"""
    select c.oid, c.relname,
        case when n.nspname = 'public' and not starts_with(c.relname, 'pg_') then quote_ident(c.relname)
            else quote_ident(n.nspname) || '.' || quote_ident(c.relname) end,
        coalesce(obj_description(c.oid, 'pg_class'), ''),
        c.relkind = 'r' and exists (select from pg_catalog.pg_inherits h where h.inhparent = c.oid)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and {_IS_TABLE}
    order by c.relname collate "C"
"""  # noqa: S608  a constant

# Since PostgreSQL 18 a column may be marked not null before its rows have been checked.
_COLUMNS = """
    with recursive beneath as (
        select oid as domain, typbasetype as base, typtypmod as modifier
        from pg_catalog.pg_type where typtype = 'd'
        union all
        select b.domain, t.typbasetype, greatest(b.modifier, t.typtypmod)
        from beneath b join pg_catalog.pg_type t on t.oid = b.base where t.typtype = 'd'
    )
    select a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod),
        coalesce((
            select format_type(b.base, b.modifier)
            from beneath b join pg_catalog.pg_type t on t.oid = b.base
            where b.domain = a.atttypid and t.typtype <> 'd'
        ), ''),
        a.attnotnull and not exists (
            select from pg_catalog.pg_constraint k
            where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum]
            and not k.convalidated
        ),
        a.attidentity <> '' or a.attgenerated = ''
            and coalesce(starts_with(pg_get_expr(d.adbin, d.adrelid), 'nextval('), false),
        a.attgenerated <> '', coalesce(col_description(a.attrelid, a.attnum), '')
    from pg_catalog.pg_attribute a
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = any(%(tables)s) and a.attnum > 0 and not a.attisdropped
    order by a.attrelid, a.attnum
"""

# Columns that an index only includes do not count; NULLS NOT DISTINCT is known since PostgreSQL 15.
_UNIQUES = """
    select i.indrelid, c.relname,
        array(
            select a.attname::text from unnest(i.indkey) with ordinality k(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
            where k.place <= i.indnkeyatts order by k.place
        ),
        i.indisprimary, coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
        case when not i.indisvalid or not i.indislive then 'is not valid'
            when not i.indimmediate then 'is deferrable'
            when i.indpred is not null then 'holds for some rows only'
            when i.indexprs is not null then 'is of an expression'
            when i.indisexclusion then 'is of ranges' else '' end
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
    where i.indrelid = any(%(tables)s) and i.indisunique
    order by i.indrelid, c.relname collate "C"
"""

# A key that references a partitioned table has children that reference its partitions.
_FOREIGN_KEYS = """
    select k.conrelid, k.conname,
        array(
            select a.attname::text from unnest(k.conkey) with ordinality u(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number
            order by u.place
        ),
        n.nspname, r.relname,
        array(
            select a.attname::text from unnest(k.confkey) with ordinality u(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number
            order by u.place
        ),
        k.convalidated
    from pg_catalog.pg_constraint k join pg_catalog.pg_class r on r.oid = k.confrelid
    join pg_catalog.pg_namespace n on n.oid = r.relnamespace
    where k.contype = 'f' and k.conparentid = 0 and k.conrelid = any(%(tables)s)
    order by k.conrelid, k.conname collate "C"
"""

_SCHEMAS = f"""
    select distinct n.nspname::text
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where {_IS_TABLE} and not starts_with(n.nspname, 'pg_') and n.nspname <> 'information_schema'
    order by 1
"""  # noqa: S608  a constant


def read(connection: Connection, schema: str) -> tuple[Table, ...]:
    """The tables of a schema, by name, as they are at one moment.

    Args:
        connection: outside of any transaction.
        schema: its name, as it is and unquoted.

    Raises:
        SourceRefused: the schema has no tables, or does not exist.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        # What names look like depends on these.
        connection.execute("set local search_path = public")
        connection.execute("set local quote_all_identifiers = off")
        tables = connection.execute(_TABLES, {"schema": schema}).fetchall()
        if not tables:
            raise SourceRefused(_nothing_in(connection, schema))
        oids = [oid for oid, *_ in tables]
        columns = _by_table(connection, _COLUMNS, oids, Column)
        uniques = _by_table(connection, _UNIQUES, oids, Unique)
        foreign_keys = _by_table(connection, _FOREIGN_KEYS, oids, ForeignKey)
    return tuple(
        Table(
            schema,
            *facts,
            columns=tuple(columns[oid]),
            uniques=tuple(uniques[oid]),
            foreign_keys=tuple(foreign_keys[oid]),
        )
        for oid, *facts in tables
    )


def _by_table(
    connection: Connection, query: LiteralString, oids: list[int], kind: type[Any]
) -> defaultdict[int, list[Any]]:
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for oid, *facts in connection.execute(query, {"tables": oids}):
        found[oid].append(kind(*map(_fixed, facts)))
    return found


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _nothing_in(connection: Connection, schema: str) -> str:
    names: Iterable[str] = (name for (name,) in connection.execute(_SCHEMAS))
    others = ", ".join(names)
    database = connection.info.dbname
    choose = f"Schemas with tables: {visible(others)}" if others else "Nor has any other schema"
    return f"Schema {schema!r} of database {database!r} has no tables. {choose}."
