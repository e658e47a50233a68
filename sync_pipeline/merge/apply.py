"""Apply: write only the rows and fields that really change, with their before-images, and move the base.

Each bulk statement runs under a savepoint. When a row makes it fail, its range of rows is halved until the
failing row is alone; that row is retried after the others are written, and then rejected with the name of the
constraint.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from sync_pipeline.errors import Imbalance, TargetRefused
from sync_pipeline.merge.convert import Rejection
from sync_pipeline.merge.plan import TAKE, PlanSummary
from sync_pipeline.merge.relations import Relations, columns, given, ident, listed
from sync_pipeline.merge.stage import MOST_REJECTIONS
from sync_pipeline.model.entity import Stamp
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail

ROW_ERRORS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,  # a value too large for an index
    psycopg.errors.WithCheckOptionViolation,
)
"""Errors that one row can cause: constraints and values that do not fit."""

MOVES_BASE = sql.SQL(
    "p._state not in ('parked', 'owned_elsewhere') and not p._stale"
    " and (p._state <> 'conflicted' or p._d is not null)"
)
"""Which records move the base: it holds what was accepted, so not those of other owners' rows, of keys that
the target repeats, or older than what it holds."""


@dataclass
class _Refused:
    """A row that could not be written, with the statement that tried."""

    statement: sql.Composed
    seq: int
    error: psycopg.DatabaseError


def is_row_error(error: psycopg.DatabaseError) -> bool:
    """Whether a single row can cause the error; whatever a trigger raises counts as such."""
    raised = (error.sqlstate or "").startswith("P0") or type(error) is psycopg.DatabaseError
    return raised or isinstance(error, ROW_ERRORS)


class Writer:
    """Writes one entity's plan within the run's transaction."""

    def __init__(
        self, connection: Connection, rel: Relations, summary: PlanSummary, run_id: UUID
    ) -> None:
        self._connection = connection
        self._rel = rel.bind(run=run_id, moves=MOVES_BASE)
        self._summary = summary
        self._indexed = False
        self.rejections: dict[int, Rejection] = {}
        self.refused_states: Counter[str] = Counter()

    def write(self) -> None:
        """Update, insert, then move the base.

        Raises:
            Imbalance: the table swallowed rows, as a trigger that returns null does.
            TargetRefused: so many rows were refused that it cannot be the rows.
        """
        refused: list[_Refused] = []
        if self._summary.writes:
            refused += self._bulk(self._update(), sql.SQL("p._writes"))
        if self._summary.states["inserted"]:
            refused += self._bulk(self._insert(), sql.SQL("p._state = 'inserted'"))
        for row in self._retry(refused):
            self._reject(row.seq, row.error)
        self._drop_rejected()
        self._move_base()

    def _retry(self, refused: list[_Refused]) -> list[_Refused]:
        """Retry refused rows as long as a round writes at least one of them.

        A row may need one that was written after it: a parent in the same table, a unique value that
        another row has given up. Each round goes in the opposite order, so that a chain of rows, each of
        which needs the next, takes two rounds and not one for each row.
        """
        succeeded = 1
        while refused and succeeded:
            still: list[_Refused] = []
            for row in reversed(refused):
                before = len(still)
                written = self._split(row.statement, row.seq, row.seq, still)
                self._check_written(1, written + len(still) - before)
            succeeded, refused = len(refused) - len(still), still
        return refused

    def _bulk(self, statement: sql.Composed, condition: sql.SQL) -> list[_Refused]:
        """Run a statement over all of its rows; returns those that could not be written."""
        query = sql.SQL("select min(_seq), max(_seq), count(*) from {} p where {}")
        bounds = self._connection.execute(query.format(self._rel.plan, condition)).fetchone()
        assert bounds
        low, high, planned = bounds
        refused: list[_Refused] = []
        if not planned:
            return refused
        written = self._split(statement, low, high, refused)
        self._check_written(planned, written + len(refused))
        return refused

    def _check_written(self, planned: int, accounted: int) -> None:
        if accounted != planned:
            raise Imbalance(
                f"{self._rel.entity.table}: {planned} rows were to be written but {accounted} were, or were"
                " refused; does a trigger on the table return null? Nothing was written."
            )

    def _run_range(self, statement: sql.Composed, low: int, high: int) -> int:
        # A savepoint: the error of one row undoes its range alone, and the ranges before it stay written.
        with self._connection.transaction():
            return self._connection.execute(statement, {"low": low, "high": high}).rowcount

    def _split(self, statement: sql.Composed, low: int, high: int, refused: list[_Refused]) -> int:
        """Run a range of sequence numbers; on a row's error halve it until the failing row is alone."""
        try:
            return self._run_range(statement, low, high)
        except psycopg.DatabaseError as error:
            if not is_row_error(error):
                raise
            if len(refused) >= MOST_REJECTIONS:
                raise TargetRefused(
                    f"{self._rel.entity.table}: more than {MOST_REJECTIONS:,} rows were refused, this one"
                    f" with: {message_with_detail(error)}. Nothing was written. Look at the table's"
                    " constraints and triggers."
                ) from error
            if low == high:
                refused.append(_Refused(statement, low, error))
                return 0
        self._index_plan()
        middle = (low + high) // 2
        return self._split(statement, low, middle, refused) + self._split(
            statement, middle + 1, high, refused
        )

    def _index_plan(self) -> None:
        if self._indexed:
            return
        self._indexed = True
        for relation in (self._rel.plan, self._rel.rows):
            self._connection.execute(sql.SQL("create index on {} (_seq)").format(relation))

    def _reject(self, seq: int, error: psycopg.Error) -> None:
        query = self._rel.compose("""
            select
                p._state,
                concat_ws(', ', {keys(p)}),
                coalesce(r._raw, {key_json(p)} || to_jsonb(r.*) - '_seq' - '_absent' - '_raw')
            from {plan} p
            join {rows} r using (_seq)
            where p._seq = %s
        """)
        row = self._connection.execute(query, [seq]).fetchone()
        assert row
        state, key, values = row
        self.refused_states[state] += 1
        reason = f"{key}: {message_with_detail(error)}"
        self.rejections[seq] = Rejection(reason, values, seq, error.diag.constraint_name)

    def _drop_rejected(self) -> None:
        """Remove rejected records from the plan, so that base, conflicts and counts leave them alone."""
        if not self.rejections:
            return
        rejected = list(self.rejections)
        delete = sql.SQL("delete from {} where _seq = any(%s)").format(self._rel.plan)
        mark = sql.SQL("update {} set _state = 'rejected' where _seq = any(%s)")
        self._connection.execute(delete, [rejected])
        self._connection.execute(mark.format(self._rel.seen), [rejected])

    def _update(self) -> sql.Composed:
        """Write the taken fields of rows that exist, with their before-images."""
        rel, entity = self._rel, self._rel.entity
        taken = [(i + 1, entity.values[i].column) for i in self._summary.taken]
        sets = [
            sql.SQL("{c} = case when p._d[{}] & {} = 1 then r.{c} else t.{c} end").format(
                i, TAKE, c=ident(column)
            )
            for i, column in taken
        ]
        sets += [_stamped(stamp) for stamp in entity.stamps if not stamp.insert_only]
        names = rel.bind(sets=listed(sets), before=_image(taken, "t"), after=_image(taken, "r"))
        return names.compose("""
            with updated as (
                update {target} t
                -- One statement for all rows: a field that a row does not take is set to what it holds.
                set {sets}
                from {plan} p
                join {rows} r on r._seq = p._seq
                -- Only rows that change: an unchanged row costs no dead tuple and fires no trigger.
                where {same_key(t, p)} and p._writes and p._seq between %(low)s and %(high)s
                returning p._seq
            ),
            written as (
                select {key_json(p)} as key, {before} as before, {after} as after
                from updated
                join {plan} p using (_seq)
                join {rows} r using (_seq)
                -- All parts of the statement share its snapshot: t is the row as it was before the update.
                join {target} t on {same_key(t, p)}
            )
            {record(update)}
        """)

    def _insert(self) -> sql.Composed:
        rel = self._rel
        arbiter = rel.compose("on conflict ({keys}) do nothing")
        return rel.bind(
            **inserted(rel, "p", "r"),
            arbiter=arbiter if rel.entity.unique_key else sql.SQL(""),
        ).compose("""
            insert into {target} ({names})
            select {values}
            from {plan} p
            join {rows} r on r._seq = p._seq
            where p._state = 'inserted' and p._seq between %(low)s and %(high)s
            -- Somebody may have committed the same key since our snapshot. Under repeatable read that
            -- fails with 40001 and the whole plan is made again, so such a row is never overwritten
            -- unseen. Without a unique index the table is locked instead.
            {arbiter}
        """)

    def _move_base(self) -> None:
        """Set the base to what the source delivered, for every accepted record."""
        self._connection.execute(self._update_base())
        self._connection.execute(self._insert_base())
        rel = self._rel
        # Records that the base already held are not in the plan, but their rows are no longer missing.
        self._connection.execute(
            rel.compose("""
                update {base} b
                set _missing_since = null
                from {seen} s
                where b._missing_since is not null and s._state is null and {same_key(b, s)}
            """)
        )

    def _update_base(self) -> sql.Composed:
        rel = self._rel
        partial = rel.entity.absent == "unknown"
        sets = [_delivered(c, partial=partial) for c in rel.value_columns]
        # A field stays unknown until a partial record has it for the first time.
        unknown = sql.SQL(
            "(select array_agg(name) from unnest(b._unknown) as name where name = any(r._absent))"
        )
        return rel.bind(
            sets=sql.SQL("").join(sql.SQL("{}, ").format(s) for s in sets),
            unknown=unknown if partial else sql.SQL("null"),
        ).compose("""
            update {base} b
            -- Also where the row was not written: a local value that was kept is compared with this later.
            set {sets}
                _digest = p._digest, _modified = p._modified, _run = {run}, _unknown = {unknown},
                _missing_since = null
            from {plan} p
            join {rows} r on r._seq = p._seq
            where {same_key(b, p)} and p._has_base and {moves}
        """)

    def _insert_base(self) -> sql.Composed:
        rel = self._rel
        return rel.bind(
            values=sql.SQL("").join(sql.SQL("r.{}, ").format(ident(c)) for c in rel.value_columns),
        ).compose("""
            insert into {base} ({mapped}, _digest, _modified, _run, _unknown, _inserted_by)
            select
                {keys(p)}, {values} p._digest, p._modified, {run}, r._absent,
                -- Undo deletes only rows that a run has inserted, not those that it found.
                case when p._state = 'inserted' then {run} end
            from {plan} p
            join {rows} r on r._seq = p._seq
            where not p._has_base and {moves}
        """)


def _stamped(stamp: Stamp) -> sql.Composed:
    if stamp.value is None:
        return sql.SQL("{} = now()").format(ident(stamp.column))
    return sql.SQL("{c} = coalesce(r.{}, t.{c})").format(ident(stamp.value), c=ident(stamp.column))


def set_column(
    rel: Relations, column: str, chosen: sql.Composed, stamps: Iterable[sql.Composed] = ()
) -> sql.Composed:
    """Set one column of chosen rows: a query of `{row(t)}` and the column's `before` and `after`."""
    sets = listed([sql.SQL("{} = c.after").format(ident(column)), *stamps])
    return rel.bind(chosen=chosen, sets=sets, name=column).compose("""
        -- materialized: rows are locked and read once, before any of them is written.
        with c as materialized ({chosen} for update of t),
        written as (
            update {target} t
            set {sets}
            from c
            -- By place and not by key, which a row of another owner may share.
            where t.ctid = c._row and t.tableoid = c._table
            returning
                {key_json(t)} as key,
                jsonb_build_object({name}, c.before) as before,
                jsonb_build_object({name}, c.after) as after
        )
        {record(update)}
    """)


def inserted(rel: Relations, key: str, source: str) -> dict[str, sql.Composed]:
    """`names` and `values` of a row to insert: its key of one alias, the rest of another, stamps, owner."""
    names = list(rel.mapped_columns)
    values: list[sql.Composable] = [rel.keys(key), *(ident(source, c) for c in rel.value_columns)]
    for stamp in rel.entity.stamps:
        names.append(stamp.column)
        copied = ident(source, stamp.value) if stamp.value else sql.SQL("null")
        values.append(sql.SQL("coalesce({}, now())").format(copied))
    if rel.entity.owner:
        names.append(rel.entity.owner.column)
        values.append(sql.Literal(rel.entity.owner.mark))
    return {"names": columns(names), "values": listed(values)}


def _delivered(column: str, *, partial: bool) -> sql.Composed:
    """The base's new value of a field; what a partial record leaves out stays as it was delivered before."""
    name = ident(column)
    if not partial:
        return sql.SQL("{} = r.{}").format(name, name)
    return sql.SQL("{c} = case when {} then r.{c} else b.{c} end").format(given(column), c=name)


def _image(taken: list[tuple[int, str]], alias: str) -> sql.Composed:
    """The taken fields of one row as jsonb.

    Concatenated as text, which takes a third of the time of jsonb_object_agg over a lateral join: that
    needs a row per field.
    """
    members = (
        sql.SQL(
            "case when p._d[{}] & 1 = 1 then {} || coalesce(to_json({})::text, 'null') end"
        ).format(
            sql.Literal(i),
            sql.SQL("to_json({}::text)::text || ':'").format(sql.Literal(column)),
            ident(alias, column),
        )
        for i, column in taken
    )
    return sql.SQL("('{{' || concat_ws(',', {}) || '}}')::jsonb").format(listed(members))
