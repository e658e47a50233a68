"""Whether the key is unique on the target: by an index that ON CONFLICT can use, and in the rows."""

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import EntityCheck, Finding, listed
from sync_pipeline.doctor.repair.report import counted
from sync_pipeline.merge.relations import AND, Relations, columns, ident
from sync_pipeline.merge.schema.metadata import unique_name
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.catalog import Index, Table
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import FIX


def index(check: EntityCheck) -> Iterator[Finding]:
    """An index on the key that is missing, deferrable, or treats nulls differently."""
    table, entity = check.table, check.entity
    if table is None or table.kind not in {"r", "p"} or not entity.unique_key:
        return
    if any(column not in table.columns for column in entity.key):
        return  # missing columns are reported by themselves
    usable = arbiters(table, entity)
    if not usable:
        similar = [text for i in table.indexes if (text := _why_unusable(i, entity))]
        yield check.error(
            "key_index",
            f"{check.name} has no valid, total unique index on ({listed(entity.key)})"
            + "".join(f"; {text}" for text in similar),
            cost="every sync of this table fails with SQLSTATE 42P10 before it writes anything",
            remedy=FIX,
            fixed_by="repair",
        )
    for deferrable in (i for i in usable if not i.immediate):
        yield check.error(
            "deferrable",
            f"the unique constraint {deferrable.name} on the key is deferrable, which ON CONFLICT does not"
            " accept",
            cost="every sync of this table fails with SQLSTATE 55000, whatever other index there is",
            remedy="drop the constraint and add it again as not deferrable",
        )
    if usable:
        yield from _nulls(check, table, usable)


def arbiters(table: Table, entity: Entity) -> list[Index]:
    """Indexes that ON CONFLICT uses for the key; included columns do not matter."""
    return [
        i for i in table.indexes if i.unique and i.valid and i.is_plain and _is_on_key(i, entity)
    ]  # fmt: skip


def is_unique(table: Table, entity: Entity) -> bool:
    """Whether an index keeps every key unique, also keys with a null where null is a value."""
    nullable = any(
        not table.columns[f.column].not_null for f in entity.key_fields if f.nulls_not_distinct
    )
    return any(i.nulls_not_distinct or not nullable for i in arbiters(table, entity))


def _is_on_key(i: Index, entity: Entity) -> bool:
    return set(i.columns) == set(entity.key)


def _nulls(check: EntityCheck, table: Table, usable: list[Index]) -> Iterator[Finding]:
    entity = check.entity
    names = listed(i.name for i in usable)
    if not is_unique(table, entity):
        nullable = [f.column for f in entity.key_fields if f.nulls_not_distinct]
        yield check.error(
            "key_nulls",
            f"unique index {names} lets a null in {listed(nullable)} repeat, where null is a value of the"
            " key",
            cost="each upsert of a null key by another program inserts another row, and no run starts",
            remedy=FIX,
            fixed_by="repair",
        )
        return
    lacking = [
        f.column
        for f in entity.key_fields
        if f.null_means_other_owner and not table.columns[f.column].not_null
    ]
    if lacking and all(i.nulls_not_distinct for i in usable):
        yield check.warning(
            "key_nulls",
            f"unique index {names} treats nulls in {listed(lacking)} as equal",
            cost="other programs are refused their second row without such a value",
            remedy="create the index again without NULLS NOT DISTINCT",
        )


def _why_unusable(i: Index, entity: Entity) -> str:
    """Why an index similar to the one on the key cannot serve; empty when it is not similar."""
    name, key = f"index {i.name}", set(entity.key)
    if key & set(i.columns or i.referenced):
        for reason in _reasons(i, entity):
            return f"{name} {reason}"
    if i.name == unique_name(entity.table, entity.key):
        return f"{name} has its name but is on ({listed(i.columns or i.referenced)})"
    return ""


def _reasons(i: Index, entity: Entity) -> Iterator[str]:
    key = set(entity.key)
    if i.exclusion:
        yield "belongs to an exclusion constraint"
    elif i.has_expressions and key <= set(i.referenced):
        yield "is on an expression and not on the columns"
    elif not i.has_expressions and _is_on_key(i, entity):
        if not i.unique:
            yield "is not unique"
        if not i.valid:
            yield "is not valid: its creation failed or has not ended"
        if i.condition:
            yield f"holds only rows where {i.condition}"
    elif i.unique and key < set(i.columns):
        yield f"is on more columns ({listed(i.columns)})"
    elif i.unique and not i.has_expressions and key > set(i.columns):
        yield f"is on fewer columns ({listed(i.columns)})"


def rows(connection: Connection, check: EntityCheck) -> Iterator[Finding]:
    """Keys that repeat, and rows with a null in their key."""
    table, entity = check.table, check.entity
    if table is None or table.kind in {"f", "v"}:
        return
    if any(column not in table.columns for column in entity.key):
        return
    if not is_unique(table, entity):
        yield from _repeated(connection, check)
    for f in entity.key_fields:
        if not (
            f.null_means_other_owner or f.nulls_not_distinct or table.columns[f.column].not_null
        ):
            yield from _null(connection, check, f.column)


def _repeated(connection: Connection, check: EntityCheck) -> Iterator[Finding]:
    entity = check.entity
    filled = [sql.SQL("{} is not null").format(ident(f.column)) for f in entity.key_fields
              if not f.nulls_not_distinct]  # fmt: skip
    query = sql.SQL("""
        select {keys}, count(*), count(*) over (), (sum(count(*) - 1) over ())::bigint
        from {target}
        where {filled}
        group by {keys}
        having count(*) > 1
        order by count(*) desc, {keys}
        limit {limit}
    """).format(
        keys=columns(entity.key),
        target=Relations(entity).target,
        filled=AND.join([sql.SQL("true"), *filled]),
        limit=sql.Literal(bounded_query.EXAMPLES),
    )
    found = bounded_query.fetch(connection, query)
    if not found:
        return
    *_, keys, surplus = found[0]
    examples = "; ".join(_key_text(entity, row[:-3], row[-3]) for row in found)
    repeated = counted(keys, "key repeats", "keys repeat")
    problem = f"{repeated} in {counted(surplus, 'surplus row')}, such as {examples}"
    if not entity.unique_key:
        yield check.note(
            "repeated",
            problem,
            cost="a change of these keys at the source is a conflict; nothing is written to them",
            remedy="remove the surplus rows in the program that owns the table",
        )
        return
    yield check.error(
        "repeated",
        problem,
        cost="no unique index can be created, and an update by the key would write several rows",
        remedy=f"{FIX}; what it removes is kept and can be restored",
        fixed_by="repair",
    )


def _key_text(entity: Entity, key: tuple[Any, ...], times: int) -> str:
    """A key as messages show it; personal values are masked."""
    values = [
        "null" if value is None else "***" if f.personal else str(value)
        for f, value in zip(entity.key_fields, key, strict=True)
    ]
    return f"{', '.join(values)} ({times:,} times)"


def _null(connection: Connection, check: EntityCheck, column: str) -> Iterator[Finding]:
    query = sql.SQL("select count(*) from {} where {} is null")
    lacking = bounded_query.count(
        connection, query.format(Relations(check.entity).target, ident(column))
    )
    if not lacking and not check.entity.unique_key:
        return  # another program's table, and no row is affected
    problem = f"key column {column} allows null, declared not null"
    if lacking:
        problem += f", and {counted(lacking, 'row holds', 'rows hold')} one"
    yield check.finding(
        "warning" if lacking and check.entity.unique_key else "note",
        "key_null",
        problem,
        cost="a row without its key is never matched: its record is inserted beside it",
        remedy="fill or remove such rows, then alter the column to set not null",
    )
