"""The indexes of a table, judged by their definition in `pg_index` and never by their name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync_pipeline.doctor.repair.report import listed
from sync_pipeline.doctor.repair.session import fetch
from sync_pipeline.doctor.repair.unique_key import TableName, UniqueKey
from sync_pipeline.postgres.connect import Connection

_INDEXES = """
select
    c.relname::text,
    coalesce(names.keys, '{}'),
    i.indisunique,
    i.indisvalid and i.indisready,
    i.indpred is null,
    i.indexprs is null and i.indnkeyatts = i.indnatts,
    i.indimmediate,
    i.indnullsnotdistinct,
    k.oid is not null,
    case when k.oid is null then pg_get_indexdef(i.indexrelid) else
        format('alter table %%I.%%I add constraint %%I %%s', n.nspname, t.relname, k.conname,
            pg_get_constraintdef(k.oid))
    end,
    coalesce(pg_get_expr(i.indpred, i.indrelid), '')
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = t.relnamespace
left join pg_constraint k on k.conindid = i.indexrelid and k.conrelid = i.indrelid
    and k.contype in ('p', 'u', 'x')
cross join lateral (
    select array_agg(a.attname::text order by o) as keys
    from unnest(i.indkey::int2[]) with ordinality u (n, o)
    join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.n
    where o <= i.indnkeyatts
) names
where i.indrelid = to_regclass(%s)
order by 1
"""


@dataclass(frozen=True)
class Index:
    """One index, as it really is.

    Attributes:
        name: of the index, without its schema.
        columns: of its key, in order.
        unique: two rows cannot have the same key.
        valid: its build was completed.
        total: it covers all rows.
        plain: it has neither expressions nor further columns.
        immediate: it is not deferrable, so that ON CONFLICT can use it.
        nulls_not_distinct: nulls are equal to each other.
        constraint: it belongs to a constraint of the same name.
        definition: the statement that makes it again.
        condition: of a partial index; else empty.
    """

    name: str
    columns: tuple[str, ...]
    unique: bool
    valid: bool
    total: bool
    plain: bool
    immediate: bool
    nulls_not_distinct: bool
    constraint: bool
    definition: str
    condition: str

    def faults(self, key: UniqueKey) -> list[str]:
        """Why it does not back a key; empty if it does, whatever the order of its columns."""
        said = {
            f"is on {listed(self.columns)}": set(self.columns) == set(key.columns),
            "is not unique": self.unique,
            "is not valid": self.valid,
            f"covers only rows where {self.condition}": self.total,
            "has expressions or further columns": self.plain,
            "is deferrable": self.immediate,
            "takes nulls as distinct"
            if key.nulls_not_distinct
            else "takes nulls as equal": self.nulls_not_distinct == key.nulls_not_distinct,
        }
        return [text for text, is_right in said.items() if not is_right]

    def equals(self, columns: Sequence[str], *, unique: bool) -> bool:
        """Whether it does for these columns in this order, whatever its name."""
        sound = self.valid and self.total and self.plain
        return sound and self.columns == tuple(columns) and (self.unique or not unique)


def indexes(connection: Connection, place: TableName) -> list[Index]:
    """All indexes of a table, by name."""
    rows = fetch(connection, _INDEXES, [place.relation.as_string(connection)])
    return [Index(name, tuple(columns), *rest) for name, columns, *rest in rows]


def free_name(connection: Connection, schema: str, name: str, suffix: str) -> str:
    """The name with a suffix, and a number if need be, that no relation of the schema has."""
    taken = fetch(
        connection,
        "select relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where nspname = %s",
        [schema],
    )
    names = {found for (found,) in taken}
    tries = (f"{name[:56]}{suffix}{n or ''}" for n in range(len(names) + 1))
    return next(each for each in tries if each not in names)
