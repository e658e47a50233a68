"""Take a repair back: its index, the values it filled, the rows it removed, the references it led elsewhere.

Only what still holds what the repair wrote is put back. The rest is reported, and stays in the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.doctor.repair import indexes
from sync_pipeline.doctor.repair.repair_log import IndexChanges
from sync_pipeline.doctor.repair.report import Report, counted
from sync_pipeline.doctor.repair.restore_statements import orphaned, put_rows_back, put_values_back
from sync_pipeline.doctor.repair.session import fetch, lock, settled
from sync_pipeline.doctor.repair.table_layout import Layout, Reference, exists, layout, references
from sync_pipeline.doctor.repair.unique_key import TableName
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail

_SINCE_CHANGED = "changed or removed since"


def restore(connection: Connection, which: UUID | str) -> Report:
    """Take repairs back, the latest first.

    Args:
        connection: of the table's owner; in a transaction of its own, or in the caller's.
        which: one repair by its id, or all of a table by `schema.table`.

    Returns:
        What was put back, and what could not be; the latter stays in `sync.removed_row` and
        `sync.changed_row`, and another `restore` tries it again.

    Raises:
        TargetNotPrepared: no such repair, or its table is gone.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
    """
    rows = fetch(
        connection,
        "select id, table_name, facts from sync.repair where restored_at is null"
        " and %(which)s in (id::text, table_name) order by number desc",
        {"which": str(which)},
    )
    if not rows and isinstance(which, UUID):
        raise TargetNotPrepared(f"there is no repair {which} that could be taken back")
    report = Report(rows[0][1] if rows else str(which))
    with connection.transaction():
        steps = [
            _Restoring(connection, _place(table), repair_id, IndexChanges(**facts), report)
            for repair_id, table, facts in rows
        ]
        for step in steps:
            step.take_back()
        # Only now are all rows as they were when an index that was dropped could stand.
        for step in steps:
            step.close()
    if not rows:
        report.kept("no repair of it is left to take back")
    return report


class _Restoring:
    def __init__(
        self,
        connection: Connection,
        place: TableName,
        repair_id: UUID,
        facts: IndexChanges,
        report: Report,
    ) -> None:
        self.connection = connection
        self.place = place
        self.repair_id = repair_id
        self.facts = facts
        self.report = report
        self.left = 0

    def take_back(self) -> None:
        """The index, the rows, their values, and the references to them."""
        with settled(self.connection, self.place):
            own = layout(self.connection, self.place)
            found = references(self.connection, self.place)
            lock(self.connection, list(dict.fromkeys([self.place, *(r.child for r in found)])))
            indexes.take_back(self.connection, self.place, self.facts, self.report)
            # Survivors give back what they inherited before its first owner returns; references follow.
            changes = self._changes()
            values = [ids for table, ids in changes if table == str(self.place)]
            waiting = [self._put_values_back(own, ids, again=True) for ids in values]
            self._put_rows_back(own)
            for ids in filter(None, waiting):  # such as references to rows that are back only now
                self._put_values_back(own, ids)
            for table, ids in changes:
                if table != str(self.place):
                    self._put_references_back(_place(table), ids, found)

    def close(self) -> None:
        """The indexes that were dropped, and the account."""
        with settled(self.connection, self.place):
            self._make_again()
            if not self.left:
                self.connection.execute(
                    "update sync.repair set restored_at = now() where id = %s", [self.repair_id]
                )
        self.report.left += self.left

    def _changes(self) -> list[tuple[str, list[int]]]:
        """Changed rows by table and reason; those that were changed last come first."""
        rows = fetch(
            self.connection,
            "select table_name, array_agg(id order by id desc) from sync.changed_row where repair_id = %s"
            " group by table_name, reason order by table_name, max(id) desc",
            [self.repair_id],
        )
        return [(table, ids) for table, ids in rows]

    def _put_references_back(
        self, child: TableName, ids: list[int], found: Iterable[Reference]
    ) -> None:
        if not exists(self.connection, child):
            self._leave(len(ids), str(child), "the table is gone")
            return
        orphans = {
            id_
            for reference in found
            if reference.child == child
            for (id_,) in fetch(self.connection, orphaned(reference), {"ids": ids})
        }
        if orphans:
            self._leave(len(orphans), str(child), "what they referred to is not back")
        present = [id_ for id_ in ids if id_ not in orphans]
        if present:
            self._put_values_back(layout(self.connection, child), present)

    def _put_rows_back(self, own: Layout) -> None:
        rows = fetch(
            self.connection,
            "select id, array(select jsonb_object_keys(row)) from sync.removed_row where repair_id = %s"
            " order by id",
            [self.repair_id],
        )
        if not rows:
            return
        columns = [name for name in own.writable if name in rows[0][1]]
        statement = put_rows_back(own, columns)
        done = self._each(statement, [id_ for id_, _ in rows], str(own.place))
        self._forget("delete from sync.removed_row where id = any (%s)", done)
        if done:
            self.report.removed += len(done)
            self.report.did(f"{counted(len(done), 'removed row')} of {own.place} put back")

    def _put_values_back(self, own: Layout, ids: list[int], *, again: bool = False) -> list[int]:
        """Returns what could not be put back; it is reported unless it will be tried again."""
        shape = fetch(
            self.connection,
            "select array(select distinct k from sync.changed_row c, jsonb_object_keys(c.before) k"
            " where c.id = any (%(ids)s)), array(select distinct k from sync.changed_row c,"
            " jsonb_object_keys(c.row_key) k where c.id = any (%(ids)s))",
            {"ids": ids},
        )
        columns, identity = ([c for c in own.types if c in names] for names in shape[0])
        statement = put_values_back(own, columns, identity)
        done = self._each(statement, ids, str(own.place), quiet=again)
        self._forget("delete from sync.changed_row where id = any (%s)", done)
        if done:
            self.report.filled += len(done)
            self.report.did(f"{counted(len(done), 'changed row')} of {own.place} put back")
        put_back = set(done)
        return [id_ for id_ in ids if id_ not in put_back]

    def _each(
        self, statement: sql.Composed, ids: list[int], table: str, *, quiet: bool = False
    ) -> list[int]:
        """Run it for all at once, and one by one when not all of them can be put back."""
        found = self._attempt(statement, ids)
        if found == len(ids):
            return ids
        done: list[int] = []
        reasons: dict[str, int] = {}
        for id_ in ids:
            outcome = self._attempt(statement, [id_])
            if outcome == 1:
                done.append(id_)
            else:
                reason = outcome if isinstance(outcome, str) else _SINCE_CHANGED
                reasons[reason] = reasons.get(reason, 0) + 1
        for reason, number in () if quiet else reasons.items():
            self._leave(number, table, reason)
        return done

    def _attempt(self, statement: sql.Composed, ids: list[int]) -> int | str:
        """How many rows could be written, or why none; they are if each of the ids has one."""
        try:
            with self.connection.transaction() as attempt:
                count = self.connection.execute(statement, {"ids": ids}).rowcount
                self.connection.execute("set constraints all immediate")
                if count != len(ids):
                    raise psycopg.Rollback(attempt)
        except psycopg.errors.IntegrityError as error:
            return message_with_detail(error)
        return count

    def _make_again(self) -> None:
        try:
            with self.connection.transaction():
                indexes.make_again(self.connection, self.facts, self.report)
        except psycopg.errors.IntegrityError as error:
            self.left += 1
            self.report.kept(
                f"not made again: {'; '.join(self.facts.dropped)}: {message_with_detail(error)}"
            )

    def _forget(self, statement: Any, ids: list[int]) -> None:
        self.connection.execute(statement, [ids])

    def _leave(self, number: int, table: str, reason: str) -> None:
        self.left += number
        self.report.kept(f"{counted(number, 'row')} of {table} not put back: {reason}")


def _place(name: str) -> TableName:
    schema, _, table = name.partition(".")
    return TableName(schema, table)
