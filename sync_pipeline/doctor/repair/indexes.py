"""The index of a key: what is in its way is cleared, it is built and verified, and taken back again."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from sync_pipeline.doctor.repair.index_definitions import Index, free_name, indexes
from sync_pipeline.doctor.repair.repair_log import IndexChanges
from sync_pipeline.doctor.repair.report import Report, listed
from sync_pipeline.doctor.repair.session import fetch
from sync_pipeline.doctor.repair.unique_key import TableName, UniqueKey
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection


def clear_name(
    connection: Connection, key: UniqueKey, report: Report, facts: IndexChanges, *, dry_run: bool
) -> None:
    """Get indexes out of the way that are no use: broken ones of the key, a wrong one that has its name."""
    for index in indexes(connection, key.place):
        is_ours = index.name == key.name or index.columns == key.columns
        if not index.valid and is_ours and not index.constraint:
            report.did(f"index {index.name} was the leftover of a failed build: dropped")
            if not dry_run:
                drop(connection, key.place, index)
        elif index.name == key.name and index.faults(key):
            name = free_name(connection, key.schema, index.name, "_old")
            why = " and ".join(index.faults(key))
            report.did(f"index {index.name} {why}, in spite of its name: renamed to {name}")
            if not dry_run:
                rename(connection, key.schema, index.name, name)
                facts.renamed.append((index.name, name))


def build(
    connection: Connection, key: UniqueKey, report: Report, facts: IndexChanges, *, dry_run: bool
) -> None:
    """Create the unique index of a key unless one of whatever name does, and verify it.

    Raises:
        TargetNotPrepared: what came into being is not what was asked for.
    """
    found = indexes(connection, key.place)
    serving = [index.name for index in found if not index.faults(key)]
    what = f"unique index on {listed(key.columns)}"
    if serving:
        report.kept(f"{what}: {serving[0]} does; none is built beside it")
        if serving[1:]:
            report.kept(
                f"{what}: {', '.join(serving[1:])} does the same as {serving[0]} and only costs writes;"
                " drop all but one of them when nothing refers to their names"
            )
        return
    for index in found:
        if index.unique and index.valid and set(index.columns) == set(key.columns):
            report.kept(f"index {index.name} {' and '.join(index.faults(key))}, so it does not do")
    name = key.name
    if any(name == index.name for index in found if dry_run) or not is_free(
        connection, key.schema, name
    ):
        name = key.name if dry_run else free_name(connection, key.schema, key.name, "_sync")
    nulls = ", nulls not distinct" if key.nulls_not_distinct else ""
    report.did(f"{what}{nulls}: {name} created")
    if dry_run:
        return
    create(connection, key.place, name, key.columns, unique=True, nulls=key.nulls_not_distinct)
    facts.created.append(name)
    verify(connection, key, name)


def verify(connection: Connection, key: UniqueKey, name: str) -> None:
    """Judge an index by its definition.

    Raises:
        TargetNotPrepared: it is not there, or does not back the key.
    """
    found = {index.name: index for index in indexes(connection, key.place)}
    index = found.get(name)
    faults = ["is not there"] if index is None else index.faults(key)
    if index and index.columns != key.columns:
        faults.append(f"has its columns in the order {listed(index.columns)}")
    if faults:
        raise TargetNotPrepared(
            f"{key.place}: index {name} {' and '.join(faults)}, though it was created on"
            f" {listed(key.columns)}. Nothing was changed; look for an event trigger that alters it."
        )


def create(
    connection: Connection,
    place: TableName,
    name: str,
    columns: Sequence[str],
    *,
    unique: bool,
    nulls: bool,
) -> None:
    """Create an index; with `nulls`, nulls are equal to each other."""
    # A row of a deferred constraint would keep the table from being indexed.
    connection.execute("set constraints all immediate")
    statement = sql.SQL("create {} index {} on {} ({}) {}").format(
        sql.SQL("unique" if unique else ""),
        sql.Identifier(name),
        place.relation,
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL("nulls not distinct" if unique and nulls else ""),
    )
    connection.execute(statement)


def drop(connection: Connection, place: TableName, index: Index) -> None:
    """Drop an index, or the constraint that it belongs to."""
    connection.execute("set constraints all immediate")
    if index.constraint:
        statement = sql.SQL("alter table {} drop constraint {}").format(
            place.relation, sql.Identifier(index.name)
        )
    else:
        statement = sql.SQL("drop index {}").format(sql.Identifier(place.schema, index.name))
    connection.execute(statement)


def rename(connection: Connection, schema: str, old: str, new: str) -> None:
    """Rename an index, and the constraint that it belongs to."""
    statement = sql.SQL("alter index {} rename to {}")
    connection.execute(statement.format(sql.Identifier(schema, old), sql.Identifier(new)))


def is_free(connection: Connection, schema: str, name: str) -> bool:
    """Whether no relation of the schema has this name."""
    text = sql.Identifier(schema, name).as_string(connection)
    return fetch(connection, "select to_regclass(%s)", [text]) == [(None,)]


def take_back(
    connection: Connection, place: TableName, facts: IndexChanges, report: Report
) -> None:
    """Undo what an account says was done to indexes; what is no longer so is left."""
    present = {index.name: index for index in indexes(connection, place)}
    for name in facts.created:
        if name in present:
            drop(connection, place, present[name])
            report.did(f"index {name} dropped")
        else:
            report.kept(f"index {name} is no longer there")
    for former, name in facts.renamed:
        if name in present and is_free(connection, place.schema, former):
            rename(connection, place.schema, name, former)
            report.did(f"index {name} renamed to {former} again")
        else:
            report.kept(f"index {name} cannot be renamed to {former} again")


def make_again(connection: Connection, facts: IndexChanges, report: Report) -> None:
    """Create what a repair dropped, from its own definition.

    Raises:
        psycopg.Error: the rows do not allow it.
    """
    for statement in facts.dropped:
        connection.execute("set constraints all immediate")
        connection.execute(statement.encode())
        report.did(f"made again: {statement}")
