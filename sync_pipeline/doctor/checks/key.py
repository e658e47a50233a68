"""Whether the key is unique on the target: by an index that an upsert can go by, and in the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from sync_pipeline.doctor.checks import bounded_query
from sync_pipeline.doctor.findings import EntityCheck, Finding, Severity, listed
from sync_pipeline.doctor.table_facts import Index, Table
from sync_pipeline.merge.relations import AND, Relations, columns, ident
from sync_pipeline.merge.schema.metadata import unique_name
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import FIX


def index(case: EntityCheck) -> Iterator[Finding]:
    """An index on the key that is missing, that an upsert cannot go by, or that takes nulls otherwise."""
    table, entity = case.table, case.entity
    if table is None or table.kind not in {"r", "p"} or not entity.unique_key:
        return
    if any(column not in table.columns for column in entity.key):
        return  # said already
    usable = arbiters(table, entity)
    if not usable:
        near = [text for i in table.indexes if (text := _unfit(i, entity))]
        yield case.finding(
            "error",
            "key_index",
            f"{case.name} has no valid, total unique index on ({listed(entity.key)})"
            + "".join(f"; {text}" for text in near),
            cost="every sync of this table fails with SQLSTATE 42P10 before it writes anything",
            remedy=FIX,
            mended_by="repair",
        )
    for late in (i for i in usable if not i.immediate):
        yield case.finding(
            "error",
            "deferrable",
            f"the unique constraint {late.name} on the key is deferrable, which ON CONFLICT does not accept",
            cost="every sync of this table fails with SQLSTATE 55000, whatever other index there is",
            remedy="drop the constraint and add it again as not deferrable",
        )
    if usable:
        yield from _nulls(case, table, usable)


def arbiters(table: Table, entity: Entity) -> list[Index]:
    """Indexes that an upsert by the key goes by; what they only include does not matter."""
    return [
        i for i in table.indexes if i.unique and i.valid and i.is_plain and _same(i, entity)
    ]  # fmt: skip


def keeps_apart(table: Table, entity: Entity) -> bool:
    """Whether an index keeps every key unique, a null in it included where null counts."""
    counted = {f.column for f in entity.key_fields if f.nulls_not_distinct}
    open_ = any(not table.columns[c].not_null for c in counted)
    return any(i.nulls_equal or not open_ for i in arbiters(table, entity))


def _same(i: Index, entity: Entity) -> bool:
    return set(i.columns) == set(entity.key)


def _nulls(case: EntityCheck, table: Table, usable: list[Index]) -> Iterator[Finding]:
    entity = case.entity
    names = listed(i.name for i in usable)
    if not keeps_apart(table, entity):
        counted = [f.column for f in entity.key_fields if f.nulls_not_distinct]
        yield case.finding(
            "error",
            "key_nulls",
            f"unique index {names} lets a null in {listed(counted)} repeat, where null is a value of the key",
            cost="each upsert of a null key by another program inserts another row, and no run starts",
            remedy=FIX,
            mended_by="repair",
        )
        return
    lacking = [
        f.column
        for f in entity.key_fields
        if f.null_means_other_owner and not table.columns[f.column].not_null
    ]
    if lacking and all(i.nulls_equal for i in usable):
        yield case.finding(
            "warning",
            "key_nulls",
            f"unique index {names} takes nulls in {listed(lacking)} for equal",
            cost="other programs are refused their second row without such a value",
            remedy="create the index again without NULLS NOT DISTINCT",
        )


def _unfit(i: Index, entity: Entity) -> str:
    """Why an index that resembles the one on the key does not do; empty when it does not resemble it."""
    at, key = f"index {i.name}", set(entity.key)
    if key & set(i.columns or i.refers):
        for reason in _reasons(i, entity):
            return f"{at} {reason}"
    if i.name == unique_name(entity.table, entity.key):
        return f"{at} has its name but is on ({listed(i.columns or i.refers)})"
    return ""


def _reasons(i: Index, entity: Entity) -> Iterator[str]:
    key = set(entity.key)
    if i.exclusion:
        yield "belongs to an exclusion constraint"
    elif i.expressions and key <= set(i.refers):
        yield "is on an expression and not on the columns"
    elif not i.expressions and _same(i, entity):
        if not i.unique:
            yield "is not unique"
        if not i.valid:
            yield "is not valid: its creation failed or has not ended"
        if i.condition:
            yield f"holds only rows where {i.condition}"
    elif i.unique and key < set(i.columns):
        yield f"is on more columns ({listed(i.columns)})"
    elif i.unique and not i.expressions and key > set(i.columns):
        yield f"is on fewer columns ({listed(i.columns)})"


def rows(connection: Connection, case: EntityCheck) -> Iterator[Finding]:
    """Keys that repeat, and rows that lack a part of theirs."""
    table, entity = case.table, case.entity
    if table is None or table.kind in {"f", "v"}:
        return
    if any(column not in table.columns for column in entity.key):
        return
    if not keeps_apart(table, entity):
        yield from _repeated(connection, case)
    for f in entity.key_fields:
        if not (
            f.null_means_other_owner or f.nulls_not_distinct or table.columns[f.column].not_null
        ):
            yield from _null(connection, case, f.column)


def _repeated(connection: Connection, case: EntityCheck) -> Iterator[Finding]:
    entity = case.entity
    filled = [sql.SQL("{} is not null").format(ident(f.column)) for f in entity.key_fields
              if not f.nulls_not_distinct]  # fmt: skip
    query = sql.SQL(
        "select {keys}, count(*), count(*) over (), (sum(count(*) - 1) over ())::bigint from {target}"
        " where {filled} group by {keys} having count(*) > 1 order by count(*) desc, {keys} limit {limit}"
    ).format(
        keys=columns(entity.key),
        target=Relations(entity).target,
        filled=AND.join([sql.SQL("true"), *filled]),
        limit=sql.Literal(bounded_query.EXAMPLES),
    )
    found = bounded_query.ask(connection, query)
    if not found:
        return
    *_, keys, surplus = found[0]
    examples = "; ".join(_shown(entity, row[:-3], row[-3]) for row in found)
    problem = (
        f"{keys:,} {'key repeats' if keys == 1 else 'keys repeat'} in {surplus:,} surplus"
        f" {'row' if surplus == 1 else 'rows'}, such as {examples}"
    )
    if not entity.unique_key:
        yield case.finding(
            "note",
            "repeated",
            problem,
            cost="what the source wants of these keys is a conflict; nothing is written to them",
            remedy="remove the surplus rows in the program that owns the table",
        )
        return
    yield case.finding(
        "error",
        "repeated",
        problem,
        cost="no unique index can be created, and an update by the key would write several rows",
        remedy=f"{FIX}; what it removes is kept and can be restored",
        mended_by="repair",
    )


def _shown(entity: Entity, key: tuple[Any, ...], times: int) -> str:
    """A key as messages show it; one that identifies a person is left out."""
    parts = [
        "null" if value is None else "***" if f.personal else str(value)
        for f, value in zip(entity.key_fields, key, strict=True)
    ]
    return f"{', '.join(parts)} ({times:,} times)"


def _null(connection: Connection, case: EntityCheck, column: str) -> Iterator[Finding]:
    query = sql.SQL("select count(*) from {} where {} is null")
    lacking = bounded_query.count(
        connection, query.format(Relations(case.entity).target, ident(column))
    )
    if not lacking and not case.entity.unique_key:
        return  # a table of another program, in which all is well
    severity: Severity = "warning" if lacking and case.entity.unique_key else "note"
    problem = f"key column {column} allows null, declared not null"
    if lacking:
        problem += f", and {lacking:,} {'row holds' if lacking == 1 else 'rows hold'} one"
    yield case.finding(
        severity,
        "key_null",
        problem,
        cost="a row without its key is never matched: its record is inserted beside it",
        remedy="fill or remove such rows, then alter the column to set not null",
    )
