"""Everything about a database that keeps entities from being merged into it, or that will hurt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from sync_pipeline.doctor import catalog
from sync_pipeline.doctor.checks import column_types, foreign_keys, key, privileges, unique_indexes
from sync_pipeline.doctor.checks import tables as shapes
from sync_pipeline.doctor.findings import EntityCheck, Finding, joined, listed
from sync_pipeline.doctor.repair.table_repair import TableRepair
from sync_pipeline.doctor.table_facts import Table
from sync_pipeline.merge.relations import Relations
from sync_pipeline.merge.schema.metadata import BASE_SCHEMA, base_name, bookkeeping
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.remedies import MIGRATE


def examine(
    connection: Connection,
    systems: Collection[System],
    *,
    public: str = "public",
    repairs: Sequence[TableRepair] = (),
) -> list[Finding]:
    """Look at what a merge of these systems meets in a database; writes nothing.

    Args:
        connection: a session of the role that merges.
        systems: all that are merged into it.
        public: schema of the bookkeeping that stands in `public` on a target of our own.
        repairs: of tables whose keys a system repairs by its own rules.

    Returns:
        Findings by entity, in the order of declaration.
    """
    with connection.transaction():
        entities = [e for s in systems for e in s.entities]
        wanted = [(e.schema, e.table) for e in entities]
        wanted += [(BASE_SCHEMA, base_name(e)) for e in entities]
        tables = catalog.read(connection, wanted)
        known = {(e.schema, e.table): e for e in entities}
        found = [*joined(_bookkeeping(connection, public)), *privileges.account(connection)]
        for system in systems:
            for entity in system.entities:
                case = EntityCheck(system, entity, tables.get((entity.schema, entity.table)), known)
                base = tables.get((BASE_SCHEMA, base_name(entity)))
                found += joined(_entity(connection, case, base, repairs))
    return found


def _entity(
    connection: Connection, case: EntityCheck, base: Table | None, repairs: Sequence[TableRepair]
) -> Iterator[Finding]:
    yield from shapes.relation(case)
    yield from shapes.missing_columns(case)
    yield from shapes.unwritable(case)
    yield from column_types.types(connection, case, base)
    yield from key.index(case)
    yield from key.rows(connection, case)
    yield from unique_indexes.second(connection, case, repairs)
    yield from unique_indexes.redundant(case)
    yield from foreign_keys.outgoing(connection, case)
    yield from foreign_keys.incoming(case)
    yield from privileges.barriers(case)
    yield from privileges.triggers(case)
    yield from _base(case, base)


def _base(case: EntityCheck, base: Table | None) -> Iterator[Finding]:
    """What is not as it should be with the base table, which is ours and which a migration mends."""
    entity = case.entity
    rel = Relations(entity)
    name = f"base table {BASE_SCHEMA}.{base_name(entity)}"
    problems: list[str] = []
    if base is None:
        problems.append(f"{name} does not exist")
    else:
        problems += [
            f"{name} has no column {c}" for c in rel.mapped_columns if c not in base.columns
        ]
        if not problems and not key.keeps_apart(base, entity):
            problems.append(f"{name} has no unique index on the key ({listed(entity.key)})")
    for problem in problems:
        yield case.finding(
            "error",
            "base",
            problem,
            cost="no run of this table starts",
            remedy=MIGRATE,
            mended_by="migrate",
        )
    yield from _base_types(case, base)


def _base_types(case: EntityCheck, base: Table | None) -> Iterator[Finding]:
    for f in case.entity.fields:
        wanted = "text" if f.type.name == "char" else column_types.spelled(f.type)
        column = base.columns.get(f.column) if base else None
        if column and column.type != wanted:
            yield case.finding(
                "error",
                "base",
                f"column {f.column} of the base is {column.type}, declared as {wanted}",
                cost="a run fails, or takes every value for changed, until the base follows its field",
                remedy=MIGRATE,
                mended_by="migrate",
            )


def _bookkeeping(connection: Connection, public: str) -> Iterator[Finding]:
    """Our own tables that are not there."""
    meta = sa.MetaData()
    bookkeeping(meta, public=public)
    names = [(t.schema or "public", t.name) for t in meta.sorted_tables]
    present = catalog.read(connection, names)
    for schema, name in (n for n in names if n not in present):
        yield Finding(
            "error",
            "target",
            f"bookkeeping table {schema}.{name} does not exist",
            MIGRATE,
            "no run starts",
            "bookkeeping",
            "migrate",
        )
