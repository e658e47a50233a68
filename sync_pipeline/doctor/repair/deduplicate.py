"""Make a unique key real: complete the rows, merge duplicates, build the index, verify it.

All in one transaction in which writers of the table wait, so that none can slip a duplicate in between the
merge and the index, and none is lost. Readers go on until the index is in place.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from sync_pipeline.doctor.repair import indexes, repair_log, rows, worklist
from sync_pipeline.doctor.repair.distinct_rows import keep_apart
from sync_pipeline.doctor.repair.references import repoint
from sync_pipeline.doctor.repair.repair_log import IndexChanges
from sync_pipeline.doctor.repair.report import Report, counted, listed
from sync_pipeline.doctor.repair.session import fetch_value, lock, settled
from sync_pipeline.doctor.repair.table_layout import Reference, layout, references
from sync_pipeline.doctor.repair.unique_key import Fill, UniqueKey
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection


def repair(
    connection: Connection, key: UniqueKey, *, dry_run: bool = False, fills: Sequence[Fill] = ()
) -> Report:
    """Make a unique key real.

    Duplicates are looked for among the values that the fills lead to. Of several, the newest survives; what
    it lacks comes from the next newest that has it, unless its null is a value. The others are kept whole
    in `sync.removed_row`, and rows of other tables that refer to them are led to the survivor.

    Args:
        connection: of the table's owner; in a transaction of its own, or in the caller's.
        key: what is wanted.
        dry_run: say all of it and write nothing; writers do not wait.
        fills: values for columns where they are null.

    Returns:
        What was done and why. When there was nothing to do, `changed` is false and nothing was written.

    Raises:
        TargetNotPrepared: a column is missing, rows share the key that have to stay apart, rows break
            another constraint, or a trigger kept a row from being written; nothing was changed.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
        TargetRefused: the role lacks a permission; nothing was changed.
    """
    report, facts = Report(str(key.place)), IndexChanges()
    with settled(connection, key.place):
        layout(connection, key.place)  # says what is wrong before it waits for a lock
        found = references(connection, key.place)
        if not dry_run:
            lock(connection, list(dict.fromkeys([key.place, *(r.child for r in found)])))
        own = layout(connection, key.place)
        worklist.make(connection, own, key, fills)
        keep_apart(connection, own, key)
        if not dry_run:
            report.repair_id = repair_log.open_repair(connection, key.place)
        indexes.clear_name(connection, key, report, facts, dry_run=dry_run)
        _merge(connection, key, report, fills=fills, found=found)
        worklist.drop(connection)
        indexes.build(connection, key, report, facts, dry_run=dry_run)
        if not dry_run:
            _close(connection, report, facts)
    return report


def _merge(
    connection: Connection,
    key: UniqueKey,
    report: Report,
    *,
    fills: Sequence[Fill],
    found: Sequence[Reference],
) -> None:
    size = sql.SQL("select count(*) from only {}").format(key.place.relation)
    before = fetch_value(connection, size)
    _say_duplicates(connection, key, report)
    if report.removed:
        for reference, number in repoint(connection, key.place, found, report.repair_id):
            report.repointed += number
            report.did(
                f"{counted(number, 'row')} of {reference.child} led to the survivor by {reference.name}"
            )
    _say_values(connection, report, fills)
    if report.repair_id is None:
        return
    if report.removed:
        rows.remove(connection, key, report.repair_id, surplus=report.removed)
    rows.write(connection, key, report.repair_id)
    after = fetch_value(connection, size)
    if after != before - report.removed:
        raise TargetNotPrepared(
            f"{key.place}: {before:,} rows less {report.removed:,} duplicates are not {after:,}. Nothing was"
            " changed; look for a trigger that adds or removes rows, disable it and try again."
        )


def _say_duplicates(connection: Connection, key: UniqueKey, report: Report) -> None:
    keys, report.removed = worklist.duplicates(connection)
    if not keys:
        report.kept(f"no two rows share {listed(key.columns)}")
        return
    some = "; ".join(
        f"({values}) {size} times, of which {survivor} survived"
        for values, size, survivor in worklist.examples(connection, key)
    )
    report.did(
        f"{counted(keys, 'key was', 'keys were')} held by several rows:"
        f" {counted(report.removed, 'row')} merged into the newest of their key and kept in"
        f" sync.removed_row, such as {some}"
    )


def _say_values(connection: Connection, report: Report, fills: Sequence[Fill]) -> None:
    reasons = {fill.column: fill.why for fill in fills}
    for column, number in worklist.patched(connection).items():
        why = reasons.get(column, "from older duplicates, which had a value")
        report.did(f"{column} filled in {counted(number, 'row')}: {why}")
    report.filled = worklist.patched_rows(connection)


def _close(connection: Connection, report: Report, facts: IndexChanges) -> None:
    assert report.repair_id is not None
    if report.changed:
        repair_log.close_repair(connection, report.repair_id, facts)
        return
    connection.execute("delete from sync.repair where id = %s", [report.repair_id])
    report.repair_id = None
