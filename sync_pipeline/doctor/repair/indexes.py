"""Indexes of a repaired table: judged by definition, never by name; created, dropped, renamed and logged."""

from collections.abc import Callable, Sequence

from psycopg import sql

from sync_pipeline.doctor.repair import repair_log
from sync_pipeline.doctor.repair.repair_log import IndexChanges
from sync_pipeline.doctor.repair.report import Report, listed
from sync_pipeline.doctor.repair.session import fetch_value, lock, transaction
from sync_pipeline.doctor.repair.unique_key import UniqueKey
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import columns as column_list
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.catalog import Index, TableName
from sync_pipeline.postgres.connect import Connection

_REPEATED = sql.SQL("""
select count(*)
from (
    select
    from only {table}
    where num_nulls({columns}) = 0
    group by {columns}
    having count(*) > 1
) repeated
""")


def indexes(connection: Connection, table: TableName) -> list[Index]:
    """All indexes of a table, by name."""
    return catalog.indexes(connection, table.relation.as_string(connection))


def is_plain(index: Index) -> bool:
    """Whether its key is columns, and it includes no others."""
    return not (index.has_expressions or index.included)


def faults(index: Index, key: UniqueKey) -> list[str]:
    """Why an index does not back a key; empty if it does, whatever the order of its columns."""
    nulls = "takes nulls as distinct" if key.nulls_not_distinct else "takes nulls as equal"
    conditions = {
        f"is on {listed(index.columns)}": set(index.columns) == set(key.columns),
        "is not unique": index.unique,
        "is not valid": index.valid,
        f"covers only rows where {index.condition}": not index.condition,
        "has expressions or further columns": is_plain(index),
        "is deferrable": index.immediate,
        nulls: index.nulls_not_distinct == key.nulls_not_distinct,
    }
    return [text for text, holds in conditions.items() if not holds]


def clear_name(
    connection: Connection, key: UniqueKey, report: Report, changes: IndexChanges, *, dry_run: bool
) -> None:
    """Drop invalid indexes of the key; rename another index that has its name."""
    for index in indexes(connection, key.table_name):
        is_ours = index.name == key.name or index.columns == key.columns
        if not index.valid and is_ours and not index.constraint:
            report.add_repaired(f"index {index.name} was left by a failed build: dropped")
            if not dry_run:
                drop(connection, key.table_name, index)
        elif index.name == key.name and faults(index, key):
            name = _free_name(connection, key.schema, index.name, "_old")
            why = " and ".join(faults(index, key))
            report.add_repaired(
                f"index {index.name} {why}, in spite of its name: renamed to {name}"
            )
            if not dry_run:
                rename(connection, key.schema, index.name, name)
                changes.renamed.append((index.name, name))


def build(
    connection: Connection, key: UniqueKey, report: Report, changes: IndexChanges, *, dry_run: bool
) -> None:
    """Create the index of a key unless one backs it; raises `TargetNotPrepared` if the new one does not."""
    found = indexes(connection, key.table_name)
    backing = [index.name for index in found if not faults(index, key)]
    what = f"unique index on {listed(key.columns)}"
    if backing:
        report.add_kept(f"{what}: {backing[0]} does; none is built beside it")
        if backing[1:]:
            report.add_kept(
                f"{what}: {', '.join(backing[1:])} does the same as {backing[0]} and only costs writes;"
                " drop all but one of them when nothing refers to their names"
            )
        return
    for index in found:
        if index.unique and index.valid and set(index.columns) == set(key.columns):
            report.add_kept(
                f"index {index.name} {' and '.join(faults(index, key))}, so it does not do"
            )
    # In a dry run the index that `clear_name` would rename still has the name.
    name = key.name if dry_run else _available_name(connection, key.schema, key.name)
    nulls = ", nulls not distinct" if key.nulls_not_distinct else ""
    report.add_repaired(f"{what}{nulls}: {name} created")
    if dry_run:
        return
    create(connection, key.table_name, name, key.columns, unique=True, nulls=key.nulls_not_distinct)
    changes.created.append(name)
    _verify(connection, key, name)


def _verify(connection: Connection, key: UniqueKey, name: str) -> None:
    found = {index.name: index for index in indexes(connection, key.table_name)}
    index = found.get(name)
    problems = ["is not there"] if index is None else faults(index, key)
    if index and index.columns != key.columns:
        problems.append(f"has its columns in the order {listed(index.columns)}")
    if problems:
        raise TargetNotPrepared(
            f"{key.table_name}: index {name} {' and '.join(problems)}, though it was created on"
            f" {listed(key.columns)}. Nothing was changed; look for an event trigger that alters it."
        )


def add_index(
    connection: Connection,
    table: TableName,
    name: str,
    columns: Sequence[str],
    *,
    unique: bool = False,
) -> Report:
    """Create a secondary index, unless an equivalent one exists or the rows do not allow it.

    Rows that forbid it are an entry of the report, no error. Another index of this name is renamed. Nulls are
    distinct in a unique one.
    """
    report = Report(str(table))
    what = f"{'unique ' if unique else ''}index on {listed(columns)}"
    with transaction(connection, table):
        lock(connection, [table])
        found = indexes(connection, table)
        is_taken = any(index.name == name for index in found)
        same = [i.name for i in found if _is_equivalent(i, columns, unique=unique)]
        if same:
            report.add_kept(f"{what}: {same[0]} does")
            if is_taken and name not in same:
                report.add_kept(
                    f"index {name} is on other columns, in spite of its name; it is left alone"
                )
            return report
        if unique and (repeated := _repeated(connection, table, columns)):
            report.add_kept(
                f"{what}: not created, because {repeated:,} of its keys are held by several rows"
            )
            return report
        changes = IndexChanges()
        report.repair_id = repair_log.open_repair(connection, table)
        if is_taken:
            old = _free_name(connection, table.schema, name, "_old")
            report.add_repaired(
                f"index {name} is on other columns, in spite of its name: renamed to {old}"
            )
            rename(connection, table.schema, name, old)
            changes.renamed.append((name, old))
        name = _available_name(connection, table.schema, name)
        create(connection, table, name, columns, unique=unique, nulls=False)
        changes.created.append(name)
        report.add_repaired(f"{what}: {name} created")
        repair_log.close_repair(connection, report.repair_id, changes)
    return report


def drop_indexes(
    connection: Connection,
    table: TableName,
    *,
    which: Callable[[Index], bool],
    why: str,
    dry_run: bool = False,
) -> Report:
    """Drop the indexes that `which` selects, or their constraints; `restore` creates them again."""
    report = Report(str(table))
    with transaction(connection, table):
        if not dry_run:
            lock(connection, [table])
        selected = [index for index in indexes(connection, table) if which(index)]
        for index in selected:
            report.add_repaired(
                f"unique index {index.name} on {listed(index.columns)} dropped: {why}"
            )
        if dry_run or not selected:
            return report
        changes = IndexChanges(dropped=[index.definition for index in selected])
        report.repair_id = repair_log.open_repair(connection, table)
        for index in selected:
            drop(connection, table, index)
        repair_log.close_repair(connection, report.repair_id, changes)
    return report


def _is_equivalent(index: Index, columns: Sequence[str], *, unique: bool) -> bool:
    """Whether it serves these columns in this order, whatever its name."""
    usable = index.valid and not index.condition and is_plain(index)
    return usable and index.columns == tuple(columns) and (index.unique or not unique)


def _repeated(connection: Connection, table: TableName, columns: Sequence[str]) -> int:
    query = _REPEATED.format(table=table.relation, columns=column_list(columns))
    return fetch_value(connection, query)


# -- statements; constraints are checked first, because a row of a deferred one keeps its table from DDL


def create(
    connection: Connection,
    table: TableName,
    name: str,
    columns: Sequence[str],
    *,
    unique: bool,
    nulls: bool,
) -> None:
    """Create an index; with `nulls`, nulls are equal to each other."""
    connection.execute("set constraints all immediate")
    statement = sql.SQL("create {} index {} on {} ({}) {}").format(
        sql.SQL("unique" if unique else ""),
        sql.Identifier(name),
        table.relation,
        column_list(columns),
        sql.SQL("nulls not distinct" if unique and nulls else ""),
    )
    connection.execute(statement)


def drop(connection: Connection, table: TableName, index: Index) -> None:
    """Drop an index, or the constraint that it belongs to."""
    connection.execute("set constraints all immediate")
    if index.constraint:
        statement = sql.SQL("alter table {} drop constraint {}").format(
            table.relation, sql.Identifier(index.name)
        )
    else:
        statement = sql.SQL("drop index {}").format(sql.Identifier(table.schema, index.name))
    connection.execute(statement)


def rename(connection: Connection, schema: str, old: str, new: str) -> None:
    """Rename an index, and the constraint that it belongs to."""
    statement = sql.SQL("alter index {} rename to {}")
    connection.execute(statement.format(sql.Identifier(schema, old), sql.Identifier(new)))


def _available_name(connection: Connection, schema: str, name: str) -> str:
    """The name, or one with a suffix where another relation of the schema has it."""
    is_taken = catalog.exists(connection, (schema, name))
    return _free_name(connection, schema, name, "_sync") if is_taken else name


def _free_name(connection: Connection, schema: str, name: str, suffix: str) -> str:
    """The name with a suffix, and a number if need be, that no relation of the schema has."""
    taken = catalog.relation_names(connection, schema)
    candidates = (f"{name[:56]}{suffix}{n or ''}" for n in range(len(taken) + 1))
    return next(candidate for candidate in candidates if candidate not in taken)


# -- restore


def undo(connection: Connection, table: TableName, changes: IndexChanges, report: Report) -> None:
    """Drop what a repair created and reverse its renames; what has changed since is left."""
    present = {index.name: index for index in indexes(connection, table)}
    for name in changes.created:
        if name in present:
            drop(connection, table, present[name])
            report.add_repaired(f"index {name} dropped")
        else:
            report.add_kept(f"index {name} is no longer there")
    for former, name in changes.renamed:
        if name in present and not catalog.exists(connection, (table.schema, former)):
            rename(connection, table.schema, name, former)
            report.add_repaired(f"index {name} renamed to {former} again")
        else:
            report.add_kept(f"index {name} cannot be renamed to {former} again")


def recreate(connection: Connection, changes: IndexChanges, report: Report) -> None:
    """Create what a repair dropped, from its own definition; raises `psycopg.Error` if rows forbid it."""
    for statement in changes.dropped:
        connection.execute("set constraints all immediate")
        connection.execute(statement.encode())
        report.add_repaired(f"created again: {statement}")
