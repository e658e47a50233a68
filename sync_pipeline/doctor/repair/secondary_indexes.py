"""Indexes beside the one of a key, created and dropped on the same terms.

What is done is entered in the account, so that `restore` can take it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import sql

from sync_pipeline.doctor.repair import indexes as indexing
from sync_pipeline.doctor.repair import repair_log
from sync_pipeline.doctor.repair.index_definitions import Index, free_name, indexes
from sync_pipeline.doctor.repair.repair_log import IndexChanges
from sync_pipeline.doctor.repair.report import Report, listed
from sync_pipeline.doctor.repair.session import fetch_value, lock, settled
from sync_pipeline.doctor.repair.unique_key import TableName
from sync_pipeline.postgres.connect import Connection

_REPEATED = sql.SQL("""
select count(*) from (select from only {table} where {counts} group by {columns} having count(*) > 1) repeated
""")


def add_index(
    connection: Connection,
    place: TableName,
    name: str,
    columns: Sequence[str],
    *,
    unique: bool = False,
    nulls_not_distinct: bool = False,
) -> Report:
    """Create a further index, unless an equivalent one exists or the rows do not allow it.

    Args:
        connection: of the table's owner.
        place: the table.
        name: of the index; another one of this name on other columns is renamed.
        columns: of the index, in order.
        unique: no two rows may share these values.
        nulls_not_distinct: nulls are equal to each other.

    Returns:
        What was done and why; the rows' refusal is an entry, no error.
    """
    report = Report(str(place))
    what = f"{'unique ' if unique else ''}index on {listed(columns)}"
    with settled(connection, place):
        lock(connection, [place])
        found = indexes(connection, place)
        same = [index.name for index in found if index.equals(columns, unique=unique)]
        if same:
            report.kept(f"{what}: {same[0]} does")
            if any(index.name == name for index in found) and name not in same:
                report.kept(
                    f"index {name} is on other columns, in spite of its name; it is left alone"
                )
            return report
        repeated = unique and _repeated(connection, place, columns, nulls=nulls_not_distinct)
        if repeated:
            report.kept(
                f"{what}: not created, because {repeated:,} of its keys are held by several rows"
            )
            return report
        facts = IndexChanges()
        report.repair_id = repair_log.open_repair(connection, place)
        if any(index.name == name for index in found):
            old = free_name(connection, place.schema, name, "_old")
            report.did(f"index {name} is on other columns, in spite of its name: renamed to {old}")
            indexing.rename(connection, place.schema, name, old)
            facts.renamed.append((name, old))
        elif not indexing.is_free(connection, place.schema, name):
            name = free_name(connection, place.schema, name, "_sync")
        indexing.create(connection, place, name, columns, unique=unique, nulls=nulls_not_distinct)
        facts.created.append(name)
        report.did(f"{what}: {name} created")
        repair_log.close_repair(connection, report.repair_id, facts)
    return report


def drop_indexes(
    connection: Connection,
    place: TableName,
    *,
    which: Callable[[Index], bool],
    why: str,
    dry_run: bool = False,
) -> Report:
    """Drop indexes, or the constraints that they belong to; `restore` makes them again.

    Args:
        connection: of the table's owner.
        place: the table.
        which: chooses among its indexes.
        why: for the report.
        dry_run: say it and drop nothing.
    """
    report = Report(str(place))
    with settled(connection, place):
        if not dry_run:
            lock(connection, [place])
        chosen = [index for index in indexes(connection, place) if which(index)]
        if not chosen:
            return report
        for index in chosen:
            report.did(f"unique index {index.name} on {listed(index.columns)} dropped: {why}")
        if dry_run:
            return report
        facts = IndexChanges(dropped=[index.definition for index in chosen])
        report.repair_id = repair_log.open_repair(connection, place)
        for index in chosen:
            indexing.drop(connection, place, index)
        repair_log.close_repair(connection, report.repair_id, facts)
    return report


def _repeated(
    connection: Connection, place: TableName, columns: Sequence[str], *, nulls: bool
) -> int:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    counts = sql.SQL("true") if nulls else sql.SQL("num_nulls({}) = 0").format(names)
    query = _REPEATED.format(table=place.relation, counts=counts, columns=names)
    return fetch_value(connection, query)
