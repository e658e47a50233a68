"""Restore a unique key: complete the rows, merge duplicates, build the index, verify it.

All in one transaction in which writers of the table wait, so that no duplicate is inserted between the merge
and the index, and no write is lost. Readers go on until the index is built.
"""

from collections.abc import Sequence

from psycopg import sql

from sync_pipeline.doctor.repair import indexes, repair_log, rows, worklist
from sync_pipeline.doctor.repair.references import repoint
from sync_pipeline.doctor.repair.repair_log import IndexChanges
from sync_pipeline.doctor.repair.report import Report, counted, listed
from sync_pipeline.doctor.repair.session import fetch_value, lock, read_plain_table, transaction
from sync_pipeline.doctor.repair.unique_key import Fill, UniqueKey
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.catalog import ForeignKey
from sync_pipeline.postgres.connect import Connection


def repair(
    connection: Connection, key: UniqueKey, *, dry_run: bool = False, fills: Sequence[Fill] = ()
) -> Report:
    """Restore a unique key, as the table's owner; in a transaction of its own, or in the caller's.

    Duplicates are looked for among the values that the fills lead to. Of several, the newest survives; what
    it lacks comes from the next newest that has it, unless its null is a value. The others are kept whole
    in `sync.removed_row`, and rows of other tables that refer to them are repointed to the survivor. In a dry
    run nothing is written and no writer waits.

    Raises:
        TargetNotPrepared: a column is missing, rows that share the key are different things, rows break
            another constraint, or a trigger kept a row from being written; nothing was changed.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
        TargetRefused: the role lacks a permission; nothing was changed.
    """
    report, changes = Report(str(key.table_name)), IndexChanges()
    with transaction(connection, key.table_name):
        # Read before the lock, to fail without waiting for it, and again under it.
        table = read_plain_table(connection, key.table_name)
        if not dry_run:
            children = (reference.child for reference in table.referrers)
            lock(connection, list(dict.fromkeys([key.table_name, *children])))
            table = read_plain_table(connection, key.table_name)
        worklist.create(connection, table, key, fills)
        worklist.refuse_different(connection, table, key)
        if not dry_run:
            report.repair_id = repair_log.open_repair(connection, key.table_name)
        indexes.clear_name(connection, key, report, changes, dry_run=dry_run)
        _merge(connection, key, report, fills=fills, references=table.referrers)
        worklist.drop(connection)
        indexes.build(connection, key, report, changes, dry_run=dry_run)
        if not dry_run:
            _close(connection, report, changes)
    return report


def _merge(
    connection: Connection,
    key: UniqueKey,
    report: Report,
    *,
    fills: Sequence[Fill],
    references: Sequence[ForeignKey],
) -> None:
    size = sql.SQL("select count(*) from only {}").format(key.table_name.relation)
    before = fetch_value(connection, size)
    _report_duplicates(connection, key, report)
    if report.removed:
        for reference, number in repoint(connection, key.table_name, references, report.repair_id):
            report.repointed += number
            report.add_repaired(
                f"{counted(number, 'row')} of {reference.child} repointed to the survivor by"
                f" {reference.name}"
            )
    _report_values(connection, report, fills)
    if report.repair_id is None:
        return
    if report.removed:
        rows.remove(connection, key, report.repair_id, surplus=report.removed)
    rows.write(connection, key, report.repair_id)
    after = fetch_value(connection, size)
    if after != before - report.removed:
        raise TargetNotPrepared(
            f"{key.table_name}: {before:,} rows less {report.removed:,} duplicates are not {after:,}. Nothing"
            " was changed; look for a trigger that adds or removes rows, disable it and try again."
        )


def _report_duplicates(connection: Connection, key: UniqueKey, report: Report) -> None:
    keys, report.removed = worklist.duplicates(connection)
    if not keys:
        report.add_kept(f"no two rows share {listed(key.columns)}")
        return
    some = "; ".join(
        f"({values}) {size} times, of which {survivor} survived"
        for values, size, survivor in worklist.examples(connection, key)
    )
    report.add_repaired(
        f"{counted(keys, 'key was', 'keys were')} held by several rows:"
        f" {counted(report.removed, 'row')} merged into the newest of their key and kept in"
        f" sync.removed_row, such as {some}"
    )


def _report_values(connection: Connection, report: Report, fills: Sequence[Fill]) -> None:
    reasons = {fill.column: fill.why for fill in fills}
    for column, number in worklist.patched(connection).items():
        why = reasons.get(column, "from older duplicates, which had a value")
        report.add_repaired(f"{column} filled in {counted(number, 'row')}: {why}")
    report.filled = worklist.patched_rows(connection)


def _close(connection: Connection, report: Report, changes: IndexChanges) -> None:
    assert report.repair_id is not None
    if report.changed:
        repair_log.close_repair(connection, report.repair_id, changes)
        return
    connection.execute("delete from sync.repair where id = %s", [report.repair_id])
    report.repair_id = None
