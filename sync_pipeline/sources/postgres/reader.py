"""A Postgres database as a source: reads any table that an entity describes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
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
from sync_pipeline.sources.postgres.columns import ColumnReader, columns_of, reading_of
from sync_pipeline.sources.postgres.copy_decoder import Record, records
from sync_pipeline.sources.postgres.snapshot import Snapshot

log = logging.getLogger(__name__)

ALL = sql.SQL("true")
Batches = Iterator[list[Record]]


@dataclass(frozen=True)
class _Read:
    """One entity's reading."""

    entity: Entity
    reading: ColumnReader
    scope: Scope
    since: Progress
    outcome: SourceOutcome

    @property
    def key(self) -> list[str]:
        """Source columns of the key."""
        names = self.reading.names
        return [next(n for n in f.sources if n in names) for f in self.entity.key_fields]

    def keep(self, found: range_digests.KeyRanges) -> None:
        """Leave digests to be kept with the rows."""
        self.outcome.calls += 1
        self.outcome.bytes += found.bytes
        self.outcome.notes |= {"source_rows": found.rows, "ranges": len(found.digests)}
        self.outcome.cursor = found.as_cursor(self.reading.mapping)


class PostgresReader:
    """Reads tables of one Postgres database, all in one snapshot.

    A full read takes every row and keeps digests of key ranges; a delta asks for the digests and takes the
    ranges that moved. An entity's `source` is the table or view as SQL names it, `shop."Order Lines"`, in
    `public` unless it says otherwise; its fields' sources are columns.
    """

    def __init__(
        self,
        dsn: str,
        *,
        variable: str,
        only: tuple[str, tuple[str, ...]] | None = None,
        statement_timeout: dt.timedelta = dt.timedelta(minutes=10),
        outage: dt.timedelta = dt.timedelta(minutes=2),
    ) -> None:
        """Prepare to read; the first read connects.

        Args:
            dsn: libpq URI of the source.
            variable: the environment variable that it came from, for messages.
            only: a column, and the texts of it that rows must have to be meant at all.
            statement_timeout: for the reading of one table.
            outage: how long the source may be away before an entity fails.
        """
        self._variable = variable
        self._only = only
        self._snapshot = Snapshot(
            dsn, variable=variable, statement_timeout=statement_timeout, outage=outage
        )

    def close(self) -> None:
        """End the snapshot; harmless when there is none."""
        self._snapshot.close()

    def read(self, entity: Entity, scope: Scope, since: Progress) -> EntityBatches:
        """A lazy stream of an entity's records within a scope; see `orchestration.resources.Source`.

        Raises:
            SettingsError: the scope is a range of time, which a table without times cannot tell.
            SourceRefused: the table, or a column of its key, is not there.
            SourceUnavailable: the source cannot be reached.
        """
        where = f"{entity.system}/{entity.name}"
        if scope.mode == "range":
            raise SettingsError(
                f"{where}: its source keeps no modification times, so a range of dates means nothing to it;"
                " leave the dates out (what changed is found by itself), or name records by key"
            )
        with self._snapshot.reading(where) as connection:
            reading = reading_of(connection, entity, only=self._only, variable=self._variable)
        outcome = SourceOutcome()
        if reading.absent:
            # What a table has no column for is unknown, not empty.
            entity = dataclasses.replace(entity, absent="unknown")
            outcome.notes["not_at_source"] = ", ".join(reading.absent)
            log.warning("%s: the source has no column %s", where, ", ".join(reading.absent))
        one = _Read(entity, reading, scope, since, outcome)
        read = _some if scope.mode == "keys" else _moved
        batches = self._within(where, lambda connection: read(connection, one))
        return EntityBatches(entity, batches, scope, outcome, dt.timedelta(0))

    def fields(self, relations: Sequence[str]) -> dict[str, list[str]]:
        """Column names of some tables; those that are not there are left out."""
        with self._snapshot.reading("columns") as connection:
            found = {name: columns_of(connection, name) for name in relations}
        return {name: list(columns) for name, columns in found.items() if columns}

    def _within(self, where: str, read: Callable[[Connection], Batches]) -> Batches:
        """Read inside the snapshot, and say in our words what goes wrong there."""
        with self._snapshot.reading(where) as connection:
            yield from read(connection)


def _moved(connection: Connection, one: _Read) -> Batches:
    """What has changed since the last read, or everything, and the digests as they are now."""
    reading, outcome = one.reading, one.outcome
    before = range_digests.from_cursor(one.since.cursor, reading.mapping)
    if before is None or one.scope.mode == "full" or one.scope.force:
        # To force is to re-assert everything, whether it has moved or not.
        yield from records(connection, reading, ALL, outcome)
        outcome.complete = True
        if reading.version >= range_digests.OLDEST_SERVER:
            one.keep(range_digests.divide(connection, reading, one.key))
        return
    now = range_digests.digest(connection, reading, before)
    moved = now.moved_since(before)
    if moved:
        yield from records(connection, reading, range_digests.within(reading, now, moved), outcome)
    outcome.notes["ranges_moved"] = len(moved)
    one.keep(now)
    if now.outgrown:
        one.keep(range_digests.divide(connection, reading, one.key))


def _some(connection: Connection, one: _Read) -> Batches:
    """The records that the scope names by key."""
    columns = [one.reading.column(name) for name in one.key]
    wanted = [_parts(one.entity, key) for key in one.scope.keys]
    given = sql.SQL(", ").join(
        sql.SQL("{}::text[]::{}[]").format(
            sql.Literal([parts[i] for parts in wanted]), column.compared_type
        )
        for i, column in enumerate(columns)
    )
    names = [sql.Identifier(f"_k{i}") for i in range(len(columns))]
    condition = sql.SQL("exists (select from unnest({}) as _wanted({}) where {})").format(
        given,
        sql.SQL(", ").join(names),
        sql.SQL(" and ").join(
            sql.SQL("{} is not distinct from _wanted.{}").format(column.compared, name)
            for column, name in zip(columns, names, strict=True)
        ),
    )
    try:
        yield from records(connection, one.reading, condition, one.outcome)
    except psycopg.DataError as error:
        raise SettingsError(
            f"{one.entity.system}/{one.entity.name}: {one_line(error)}; its key is"
            f" {', '.join(c.type for c in columns)}"
        ) from error


def _parts(entity: Entity, key: str) -> list[str | None]:
    """The parts of a key, which commas separate; one that is left empty is null."""
    parts = key.split(",", len(entity.key) - 1)
    if len(parts) != len(entity.key):
        raise SettingsError(
            f"{entity.system}/{entity.name}: key {key!r} has {len(parts)} parts; the key is"
            f" {', '.join(entity.key)}, separated by commas"
        )
    return [part.strip() or None for part in parts]
