"""A Postgres database as a source: reads any table that an entity describes."""

import dataclasses
import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from sync_pipeline.errors import SettingsError
from sync_pipeline.merge.stream import EntityBatches, Progress, SourceOutcome
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import one_line
from sync_pipeline.sources.postgres import range_digests
from sync_pipeline.sources.postgres.columns import RowFilter, SourceTable, columns_of, source_table
from sync_pipeline.sources.postgres.copy_decoder import Record, records
from sync_pipeline.sources.postgres.snapshot import Snapshot

log = logging.getLogger(__name__)

Batches = Iterator[list[Record]]


class PostgresReader:
    """Reads tables of one Postgres database, all in one snapshot.

    A full read takes every row and stores digests of key ranges; a delta asks for the digests and takes the
    ranges that changed. An entity's `source` is the table or view as SQL names it, `shop."Order Lines"`, in
    `public` unless it says otherwise; its fields' sources are columns.
    """

    def __init__(
        self,
        dsn: str,
        *,
        variable: str,
        row_filter: RowFilter | None = None,
        statement_timeout: dt.timedelta = dt.timedelta(minutes=10),
        outage: dt.timedelta = dt.timedelta(minutes=2),
    ) -> None:
        """Prepare to read; the first read connects.

        Args:
            dsn: libpq URI of the source.
            variable: the environment variable that it came from, for messages.
            row_filter: the rows of every table that are read; None: all.
            statement_timeout: for the read of one table.
            outage: how long a connection is retried before an entity fails.
        """
        self._variable = variable
        self._row_filter = row_filter
        self._snapshot = Snapshot(
            dsn, variable=variable, statement_timeout=statement_timeout, outage=outage
        )

    def close(self) -> None:
        """End the snapshot; harmless when there is none."""
        self._snapshot.close()

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope; see `orchestration.resources.Source`.

        Raises:
            SettingsError: the scope is a range of time, and the table has no modification times.
            SourceRefused: the table, or a column of its key, is not there.
            SourceUnavailable: the source cannot be reached.
        """
        where = f"{entity.system}/{entity.name}"
        if scope.mode == "range":
            raise SettingsError(
                f"{where}: its source keeps no modification times, so it cannot be read by a range of dates;"
                " leave the dates out (a delta finds what changed), or name records by key"
            )
        with self._snapshot.read(where) as connection:
            table = source_table(
                connection, entity, row_filter=self._row_filter, variable=self._variable
            )
        outcome = SourceOutcome()
        if table.absent:
            # A column that the table lacks is unknown, not empty.
            entity = dataclasses.replace(entity, absent="unknown")
            outcome.notes["not_at_source"] = ", ".join(table.absent)
            log.warning("%s: the source has no column %s", where, ", ".join(table.absent))
        read = _TableRead(entity, table, scope, since, outcome)
        return EntityBatches(entity, read.batches(self._snapshot), scope, outcome, dt.timedelta(0))

    def fields(self, relations: Sequence[str]) -> dict[str, list[str]]:
        """Column names of some tables; missing tables are left out."""
        with self._snapshot.read("columns") as connection:
            found = {name: columns_of(connection, name) for name in relations}
        return {name: list(columns) for name, columns in found.items() if columns}


@dataclass(frozen=True)
class _TableRead:
    """One read of one entity."""

    entity: Entity
    table: SourceTable
    scope: Scope
    since: Progress
    outcome: SourceOutcome

    def batches(self, snapshot: Snapshot) -> Batches:
        """The records of the scope."""
        read = self._read_keys if self.scope.mode == "keys" else self._read_changes
        with snapshot.read(f"{self.entity.system}/{self.entity.name}") as connection:
            yield from read(connection)

    def _read_changes(self, connection: Connection) -> Batches:
        """Every row, or the ranges that changed since the last read; stores the current digests."""
        table, outcome = self.table, self.outcome
        before = range_digests.from_cursor(self.since.cursor, table.mapping)
        # force re-asserts every row, changed or not.
        if before is None or self.scope.mode == "full" or self.scope.force:
            yield from records(connection, table, sql.SQL("true"), outcome)
            outcome.complete = True
            if table.version >= range_digests.OLDEST_SERVER:
                self._store(range_digests.divide(connection, table, self._key))
            return
        now = range_digests.digest(connection, table, before)
        changed = now.changed_since(before)
        if changed:
            condition = range_digests.in_ranges(table, now, changed)
            yield from records(connection, table, condition, outcome)
        outcome.notes["ranges_moved"] = len(changed)
        self._store(now)
        if now.outgrown:
            self._store(range_digests.divide(connection, table, self._key))

    def _store(self, ranges: range_digests.KeyRanges) -> None:
        """Put the digests into the outcome, to be committed with the rows."""
        self.outcome.calls += 1
        self.outcome.bytes += ranges.bytes
        self.outcome.notes |= {"source_rows": ranges.rows, "ranges": len(ranges.digests)}
        self.outcome.cursor = ranges.as_cursor(self.table.mapping)

    @property
    def _key(self) -> list[str]:
        """Source columns of the key."""
        names = self.table.names
        return [next(n for n in f.sources if n in names) for f in self.entity.key_fields]

    def _read_keys(self, connection: Connection) -> Batches:
        """The records that the scope names by key."""
        columns = [self.table.column(name) for name in self._key]
        keys = [_parts(self.entity, key) for key in self.scope.keys]
        names = [sql.Identifier(f"_k{i}") for i in range(len(columns))]
        condition = sql.SQL("""
            exists (
                select
                from unnest({values}) as _requested({names})
                where {same_key}
            )
        """).format(
            values=sql.SQL(", ").join(
                sql.SQL("{}::text[]::{}[]").format(
                    sql.Literal([key[i] for key in keys]), column.key_type
                )
                for i, column in enumerate(columns)
            ),
            names=sql.SQL(", ").join(names),
            same_key=sql.SQL(" and ").join(
                sql.SQL("{} is not distinct from _requested.{}").format(column.key_value, name)
                for column, name in zip(columns, names, strict=True)
            ),
        )
        try:
            yield from records(connection, self.table, condition, self.outcome)
        except psycopg.DataError as error:
            raise SettingsError(
                f"{self.entity.system}/{self.entity.name}: {one_line(error)}; its key is"
                f" {', '.join(c.type for c in columns)}"
            ) from error


def _parts(entity: Entity, key: str) -> list[str | None]:
    """The comma-separated values of a key; an empty one is null."""
    parts = key.split(",", len(entity.key) - 1)
    if len(parts) != len(entity.key):
        raise SettingsError(
            f"{entity.system}/{entity.name}: key {key!r} has {len(parts)} parts; the key is"
            f" {', '.join(entity.key)}, separated by commas"
        )
    return [part.strip() or None for part in parts]
