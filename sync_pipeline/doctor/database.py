"""Runs all checks of a database: what keeps entities from being merged into it, and what will hurt."""

from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from sync_pipeline.doctor.checks import column_types, foreign_keys, key, privileges, unique_indexes
from sync_pipeline.doctor.checks import tables as table_checks
from sync_pipeline.doctor.findings import EntityCheck, Finding, joined, listed
from sync_pipeline.doctor.repair.table_repair import TableRepair
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.schema.bookkeeping_tables import add_bookkeeping
from sync_pipeline.merge.schema.metadata import BASE_SCHEMA, base_name
from sync_pipeline.model.system import System
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.catalog import Table, TableName
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import MIGRATE


def examine(
    connection: Connection,
    systems: Collection[System],
    *,
    public: str = "public",
    repairs: Sequence[TableRepair] = (),
) -> list[Finding]:
    """Check a database, as the role that merges, for a merge of all of these systems; writes nothing.

    `public` is the schema of those bookkeeping tables that are in `public` on a target of our own; `repairs`
    are of tables whose keys a system repairs by its own rules. Findings follow the order of declaration.
    """
    with connection.transaction():
        entities = [e for s in systems for e in s.entities]
        known = {(e.schema, e.table): e for e in entities}
        bases = [(BASE_SCHEMA, base_name(e)) for e in entities]
        tables = catalog.read(connection, [*known, *bases])
        found = [*joined(_bookkeeping(connection, public)), *privileges.bookkeeping(connection)]
        for system in systems:
            for entity in system.entities:
                table = tables.get(TableName(entity.schema, entity.table))
                base = tables.get(TableName(BASE_SCHEMA, base_name(entity)))
                check = EntityCheck(system, entity, table, known)
                found += joined(_entity(connection, check, base, repairs))
    return found


def _entity(
    connection: Connection, check: EntityCheck, base: Table | None, repairs: Sequence[TableRepair]
) -> Iterator[Finding]:
    yield from table_checks.relation(check)
    yield from table_checks.missing_columns(check)
    yield from table_checks.unwritable(check)
    yield from column_types.types(connection, check, base)
    yield from key.index(check)
    yield from key.rows(connection, check)
    yield from unique_indexes.second(connection, check, repairs)
    yield from unique_indexes.redundant(connection, check)
    yield from foreign_keys.outgoing(connection, check)
    yield from foreign_keys.incoming(check)
    yield from privileges.barriers(check)
    yield from privileges.triggers(check)
    yield from _base(check, base)


def _base(check: EntityCheck, base: Table | None) -> Iterator[Finding]:
    """Differences of the base table from its entity; the base is ours, so a migration fixes them."""
    entity = check.entity
    rel = Relations(entity)
    name = f"base table {BASE_SCHEMA}.{base_name(entity)}"
    problems: list[str] = []
    if base is None:
        problems = [f"{name} does not exist"]
    elif lacking := [column for column in rel.mapped_columns if column not in base.columns]:
        problems = [f"{name} has no column {column}" for column in lacking]
    elif not key.is_unique(base, entity):
        problems = [f"{name} has no unique index on the key ({listed(entity.key)})"]
    for problem in problems:
        yield check.error(
            "base", problem, cost="no run of this table starts", remedy=MIGRATE, fixed_by="migrate"
        )
    yield from _base_types(check, base)


def _base_types(check: EntityCheck, base: Table | None) -> Iterator[Finding]:
    for f in check.entity.fields:
        declared = "text" if f.type.name == "char" else column_types.spelled(f.type)
        column = base.columns.get(f.column) if base else None
        if column and column.base_type != declared:
            yield check.error(
                "base",
                f"column {f.column} of the base is {column.base_type}, declared as {declared}",
                cost="a run fails, or takes every value for changed, until the base follows its field",
                remedy=MIGRATE,
                fixed_by="migrate",
            )


def _bookkeeping(connection: Connection, public: str) -> Iterator[Finding]:
    """Bookkeeping tables that do not exist."""
    meta = sa.MetaData()
    add_bookkeeping(meta, public=public)
    names = [(t.schema or "public", t.name) for t in meta.sorted_tables]
    present = catalog.read(connection, names)
    for schema, name in (n for n in names if TableName(*n) not in present):
        yield Finding(
            "error",
            "target",
            f"bookkeeping table {schema}.{name} does not exist",
            MIGRATE,
            "no run starts",
            "bookkeeping",
            "migrate",
        )
