"""Reverse a repair: its index, the values that it filled, the rows that it removed, the references to them.

Only what still holds what the repair wrote is put back. The rest is reported and stays in the log.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.doctor.repair import indexes
from sync_pipeline.doctor.repair.repair_log import IndexChanges
from sync_pipeline.doctor.repair.report import Report, counted
from sync_pipeline.doctor.repair.row_json import json_object, read_back
from sync_pipeline.doctor.repair.session import fetch, lock, read_plain_table, transaction
from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.merge.relations import AND, columns, ident, listed
from sync_pipeline.postgres.catalog import ForeignKey, Table, TableName, exists
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail

# A statement without parameters: it names people's columns, and psycopg takes a % in one for a parameter.
ByIds = Callable[[list[int]], sql.Composed]

_SINCE_CHANGED = "changed or removed since"

_REPAIRS = """
select id, table_name, facts
from sync.repair
where restored_at is null and %(which)s in (id::text, table_name)
order by number desc
"""

# Those that were changed last come first.
_CHANGES = """
select table_name, array_agg(id order by id desc)
from sync.changed_row
where repair_id = %s
group by table_name, reason
order by table_name, max(id) desc
"""

_REMOVED = """
select id, array(select jsonb_object_keys(row))
from sync.removed_row
where repair_id = %s
order by id
"""

_CHANGED_COLUMNS = """
select
    array(
        select distinct k from sync.changed_row c, jsonb_object_keys(c.before) k where c.id = any (%(ids)s)
    ),
    array(
        select distinct k from sync.changed_row c, jsonb_object_keys(c.row_key) k where c.id = any (%(ids)s)
    )
"""

# Columns that were added since get their defaults.
_INSERT = sql.SQL("""
insert into {table} ({columns}) overriding system value
select {values}
from sync.removed_row d, jsonb_populate_record(null::{table}, d."row") p
where d.id = any ({ids})
""")

# Column by column: what was edited after the repair stays. Where there is no primary key, several rows may
# have the same identity: the n-th change of it is reversed in its n-th row.
_UPDATE = sql.SQL("""
update only {table} t
set {assignments}
from (
    select
        now.ctid as row_ctid,
        b.patch,
        dense_rank() over (partition by c.row_key order by c.id) as nth_change,
        dense_rank() over (partition by c.row_key order by now.ctid) as nth_row
    from sync.changed_row c
    join only {table} now on {row_key} = c.row_key
    cross join lateral (
        select jsonb_object_agg(e.key, e.value) as patch
        from jsonb_each(c.before) e
        where to_jsonb(now) -> e.key is not distinct from c.after -> e.key
    ) b
    where c.id = any ({ids}) and b.patch is not null
) c, jsonb_populate_record(null::{table}, c.patch) p
where t.ctid = c.row_ctid and c.nth_change = c.nth_row
""")

# While its row is still removed, a reference must not go to another row that has got the same key since.
_ORPHANS = sql.SQL("""
select c.id
from sync.changed_row c
join sync.removed_row d using (repair_id)
where c.id = any ({ids}) and {refers}
""")


def restore(connection: Connection, which: UUID | str) -> Report:
    """Reverse one repair by its id, or all of a table by `schema.table`, the latest first.

    The connection is of the table's owner; in a transaction of its own, or in the caller's. What could not be
    put back stays in `sync.removed_row` and `sync.changed_row`, and another `restore` tries it again.

    Raises:
        TargetNotPrepared: no such repair, or its table does not exist.
        TargetUnavailable: other sessions held the table for too long; nothing was changed.
    """
    rows = fetch(connection, _REPAIRS, {"which": str(which)})
    if not rows and isinstance(which, UUID):
        raise TargetNotPrepared(f"there is no repair {which} that could be restored")
    report = Report(rows[0][1] if rows else str(which))
    with connection.transaction():
        repairs = [
            _Restore(connection, _table_name(table), repair_id, IndexChanges(**changes), report)
            for repair_id, table, changes in rows
        ]
        for each in repairs:
            each.restore_rows()
        # A dropped index fits only once the rows of all repairs are back.
        for each in repairs:
            each.recreate_indexes()
    if not rows:
        report.add_kept(f"{which} has no repair left to restore")
    return report


@dataclass
class _Restore:
    connection: Connection
    table_name: TableName
    repair_id: UUID
    changes: IndexChanges
    report: Report
    left: int = 0

    def restore_rows(self) -> None:
        """Drop the index of the repair; put back the rows, their values, and the references to them."""
        with transaction(self.connection, self.table_name):
            table = read_plain_table(self.connection, self.table_name)
            children = (reference.child for reference in table.referrers)
            lock(self.connection, list(dict.fromkeys([self.table_name, *children])))
            indexes.undo(self.connection, self.table_name, self.changes, self.report)
            # A survivor gives back what it inherited before the row that had it returns; references follow.
            changed = fetch(self.connection, _CHANGES, [self.repair_id])
            own = [ids for name, ids in changed if name == str(self.table_name)]
            waiting = [self._put_values_back(table, ids, again=True) for ids in own]
            self._put_rows_back(table)
            for ids in filter(None, waiting):  # such as references to rows that are back only now
                self._put_values_back(table, ids)
            for name, ids in changed:
                if name != str(self.table_name):
                    self._put_references_back(_table_name(name), ids, table.referrers)

    def recreate_indexes(self) -> None:
        """Create the dropped indexes again, and mark the repair as restored if nothing is left of it."""
        with transaction(self.connection, self.table_name):
            try:
                with self.connection.transaction():
                    indexes.recreate(self.connection, self.changes, self.report)
            except psycopg.errors.IntegrityError as error:
                self.left += 1
                self.report.add_kept(
                    f"not created again: {'; '.join(self.changes.dropped)}: {message_with_detail(error)}"
                )
            if not self.left:
                self.connection.execute(
                    "update sync.repair set restored_at = now() where id = %s", [self.repair_id]
                )
        self.report.left += self.left

    def _put_references_back(
        self, child: TableName, ids: list[int], references: Iterable[ForeignKey]
    ) -> None:
        if not exists(self.connection, child):
            self._leave(len(ids), str(child), "the table does not exist any more")
            return
        orphans = {
            id_
            for reference in references
            if reference.child == child
            for (id_,) in fetch(self.connection, _orphans(reference, ids))
        }
        if orphans:
            self._leave(len(orphans), str(child), "what they referred to is not back")
        present = [id_ for id_ in ids if id_ not in orphans]
        if present:
            self._put_values_back(read_plain_table(self.connection, child), present)

    def _put_rows_back(self, table: Table) -> None:
        rows = fetch(self.connection, _REMOVED, [self.repair_id])
        if not rows:
            return
        names = [name for name in table.insertable if name in rows[0][1]]
        statement = partial(_insertion, table, names)
        done = self._each(statement, [id_ for id_, _ in rows], str(table.table_name))
        self.connection.execute("delete from sync.removed_row where id = any (%s)", [done])
        if done:
            self.report.removed += len(done)
            self.report.add_repaired(
                f"{counted(len(done), 'removed row')} of {table.table_name} put back"
            )

    def _put_values_back(self, table: Table, ids: list[int], *, again: bool = False) -> list[int]:
        """Returns what could not be put back; it is reported unless it will be tried again."""
        groups = fetch(self.connection, _CHANGED_COLUMNS, {"ids": ids})[0]
        changed, identity = ([c for c in table.columns if c in group] for group in groups)
        statement = partial(_update, table, changed, identity)
        done = self._each(statement, ids, str(table.table_name), quiet=again)
        self.connection.execute("delete from sync.changed_row where id = any (%s)", [done])
        if done:
            self.report.filled += len(done)
            self.report.add_repaired(
                f"{counted(len(done), 'changed row')} of {table.table_name} put back"
            )
        put_back = set(done)
        return [id_ for id_ in ids if id_ not in put_back]

    def _each(
        self, statement: ByIds, ids: list[int], table: str, *, quiet: bool = False
    ) -> list[int]:
        """Run it for all at once, and one by one when not all of them can be put back."""
        if self._attempt(statement, ids) == len(ids):
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

    def _attempt(self, statement: ByIds, ids: list[int]) -> int | str:
        """How many rows could be written, or why none; written only if each of the ids has one."""
        try:
            with self.connection.transaction() as attempt:
                count = self.connection.execute(statement(ids)).rowcount
                self.connection.execute("set constraints all immediate")
                if count != len(ids):
                    raise psycopg.Rollback(attempt)
        except psycopg.errors.IntegrityError as error:
            return message_with_detail(error)
        return count

    def _leave(self, number: int, table: str, reason: str) -> None:
        self.left += number
        self.report.add_kept(f"{counted(number, 'row')} of {table} not put back: {reason}")


def _table_name(name: str) -> TableName:
    schema, _, table = name.partition(".")
    return TableName(schema, table)


def _insertion(table: Table, names: Sequence[str], ids: list[int]) -> sql.Composed:
    return _INSERT.format(
        ids=ids,
        table=table.table_name.relation,
        columns=columns(names),
        values=listed(read_back(table.columns[c], sql.SQL('d."row"'), "p") for c in names),
    )


def _update(
    table: Table, names: Iterable[str], identity: Iterable[str], ids: list[int]
) -> sql.Composed:
    assignment = sql.SQL("{} = case when c.patch ? {} then {} else {} end")
    return _UPDATE.format(
        ids=ids,
        table=table.table_name.relation,
        assignments=listed(
            assignment.format(ident(c), c, ident("p", c), ident("t", c))
            for c in names
            if not table.columns[c].generated
        ),
        row_key=json_object((c, sql.SQL("to_jsonb(now) -> {}").format(c)) for c in identity),
    )


def _orphans(reference: ForeignKey, ids: list[int]) -> sql.Composed:
    pairs = zip(reference.columns, reference.parent_columns, strict=True)
    refers = (sql.SQL('c.before -> {} = d."row" -> {}').format(own, other) for own, other in pairs)
    return _ORPHANS.format(refers=AND.join(refers), ids=ids)
