"""Stage: stream records into temporary tables, while they are being fetched.

Every record goes to `seen` by key and digest; only records that the base does not already hold in the
same form are converted and go to `rows`. So an unchanged record costs a few bytes and no conversion.

A chunk is converted and sent by a thread of its own while the source reads on: the thread mostly waits for
the server, so fetching, decoding and the server's work overlap. At most one chunk is in flight, and no other
code uses the connection meanwhile.

Staging runs in autocommit: no transaction and no snapshot is held on the target while a slow source is
read. What was sent is also kept in a local spool, so that after an outage of the target it is staged again
without a second read of the source.
"""

import logging
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import orjson
import psycopg
from psycopg import sql

from sync_pipeline.errors import ConversionError, SourceBroken
from sync_pipeline.merge import copy_format
from sync_pipeline.merge.convert import Converter, Keyed, Rejection, key_text, payload_text
from sync_pipeline.merge.relations import Relations, columns, ident, listed
from sync_pipeline.merge.stream import Batch, Record
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres.catalog import column_types
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.postgres.errors import message_with_detail

log = logging.getLogger(__name__)

# Records per round trip: the memory of a run, whatever the table's size. At 4000 the records no longer fit
# the processor's cache, and staging takes a third more time.
CHUNK = 1000
MOST_REJECTIONS = 10_000  # held in memory until the run ends; more means that the mapping is wrong
T = TypeVar("T")
Recover = Callable[[psycopg.OperationalError], None]


def with_reconnect(recover: Recover, work: Callable[[], T]) -> T:
    """Run work; when the connection is lost and `recover` returns with another one, again."""
    while True:
        try:
            return work()
        except psycopg.OperationalError as error:
            recover(error)


@dataclass
class Chunk:
    """One chunk as it is sent to the server and kept in the spool.

    Attributes:
        sequence: the chunk's numbers, consecutive.
        seen: JSON arrays of the chunk's keys, one for each column, digests, modification times, and
            whether each record is another owner's.
        lines: converted values of the records that the base does not hold in the same form.
    """

    sequence: range
    seen: list[str]
    lines: list[bytes] = field(default_factory=list)


class Stage:
    """The temporary tables of one entity in one run, and how they are filled."""

    def __init__(
        self, connection: Connection, entity: Entity, *, recover: Recover, convert_all: bool = False
    ) -> None:
        """Create the temporary tables.

        Args:
            connection: in autocommit; its session owns the temporary tables.
            entity: what is staged.
            recover: called when the connection is lost; reconnects and calls `restage`, or raises.
            convert_all: convert every record even if the base holds it, as `force` needs.
        """
        self.relations = Relations(entity)
        self.rejections: dict[int, Rejection] = {}
        self.unkeyed: list[Rejection] = []
        self.read = 0
        self._converter = Converter(entity)
        self._connection = connection
        self._recover = recover
        self._convert_all = convert_all
        self._parks = any(link.required for _, link in entity.links)
        self._next = 0
        self._waiting = Keyed()
        self._sending: Future[None] | None = None
        self._create()
        self._sender = ThreadPoolExecutor(1, "stage")
        self._spool: IO[bytes] = tempfile.TemporaryFile(prefix="sync-stage-")  # noqa: SIM115

    def close(self) -> None:
        """Cancel the chunk in flight and delete the spool; the temporary tables end with their session."""
        if self._sending and not self._sending.done():
            with suppress(psycopg.Error):
                self._connection.cancel_safe()
        self._sender.shutdown()
        self._spool.close()

    def _create(self) -> None:
        entity, rel = self.relations.entity, self.relations
        # The target's own types, so that what is staged can be stored.
        self.types = column_types(self._connection, rel.target.as_string(self._connection))
        keys = [sql.SQL("{} {}").format(ident(c), self._key_type(c)) for c in entity.key]
        values = [self._declared(c) for c in rel.value_columns]
        drop = sql.SQL("drop table if exists {}, {}").format(rel.seen, rel.rows)
        seen = rel.bind(keys=listed(keys)).compose("""
            create temporary table {seen} (
                _seq bigint not null,          -- order of arrival
                {keys},
                _digest uuid not null,
                _modified timestamptz,         -- the source's modification time
                _elsewhere boolean not null,   -- the record is of another owner's row
                _wide boolean not null,        -- has values in rows: the base does not hold it in this form
                _state text                    -- null: takes part in the merge
            )
        """)
        rows = sql.SQL("create temporary table {} ({})").format(
            rel.rows, listed([sql.SQL("_seq bigint not null, _raw jsonb, _absent text[]"), *values])
        )
        for statement in (drop, seen, rows):
            self._connection.execute(statement)

    def _declared(self, column: str) -> sql.Composed:
        return sql.SQL("{} {}").format(ident(column), sql.SQL(self.types[column].full))

    def add(self, records: Batch) -> None:
        """Stage a batch of any size. An error may concern the batch before, which was still in flight.

        Raises:
            SourceBroken: so many records were rejected that the mapping cannot be right.
        """
        for start in range(0, len(records), CHUNK):
            # Now and not in the sender's thread: the records are still in the processor's cache.
            keyed, unkeyed = self._converter.keyed(records[start : start + CHUNK])
            self.read += len(keyed.keys) + len(unkeyed)
            self.unkeyed += unkeyed
            self._waiting.extend(keyed)
            if len(self._waiting.keys) >= CHUNK:
                self._send_waiting()

    def finish(self) -> None:
        """Send the rest and wait until all of it is staged. Call after the last `add`."""
        self._send_waiting()
        self._await_sent()
        with_reconnect(self._recover, self._mark_rejected)

    def _send_waiting(self) -> None:
        self._await_sent()
        keyed, self._waiting = self._waiting, Keyed()
        sequence = range(self._next, self._next + len(keyed.keys))
        self._next = sequence.stop
        if sequence:
            self._sending = self._sender.submit(self._send, keyed, sequence)

    def _await_sent(self) -> None:
        if self._sending:
            self._sending.result()
            self._sending = None
        rejections = [*self.unkeyed, *self.rejections.values()]
        if len(rejections) > MOST_REJECTIONS:
            raise SourceBroken(
                f"{self.relations.entity.name}: more than {MOST_REJECTIONS:,} records were rejected, the"
                f" first with: {rejections[0].reason}. The mapping no longer fits the source; nothing"
                " was written. Compare the entity's fields with the source's."
            )

    def _send(self, keyed: Keyed, sequence: range) -> None:
        """Stage one chunk; in the sender's thread."""
        columns_ = [*zip(*keyed.keys, strict=True), keyed.digests, keyed.modified, keyed.elsewhere]
        sent = Chunk(sequence, [orjson.dumps(c, default=str).decode() for c in columns_])
        try:
            wide = with_reconnect(self._recover, lambda: self._see(sent))
        except psycopg.DataError as error:  # a key that fits its field but not the target's column
            self._send_halves(keyed, sequence, error)
            return
        sent.lines, failures = self._convert(keyed, sequence, wide)
        pickle.dump(sent, self._spool, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            failures |= self._copy(sent.lines)
        except psycopg.OperationalError as error:
            self._recover(error)  # stages the whole spool again, this chunk included
            for seq in self.rejections.keys() & set(sequence):
                self.rejections[seq].record = keyed.records[seq - sequence.start]
        for seq, reason in failures.items():
            at = seq - sequence.start
            self._reject(seq, reason, keyed.keys[at], keyed.records[at])

    def _send_halves(self, keyed: Keyed, sequence: range, error: psycopg.DataError) -> None:
        if len(sequence) == 1:
            reason = f"{key_text(tuple(keyed.keys[0]))}: {message_with_detail(error)}"
            self.unkeyed.append(Rejection(reason, keyed.records[0]))
            return
        middle = len(sequence) // 2
        for half in (slice(None, middle), slice(middle, None)):
            self._send(keyed.subset(half), sequence[half])

    def _reject(self, seq: int, reason: str, key: Sequence[Any], record: Record) -> None:
        self.rejections[seq] = Rejection(f"{key_text(tuple(key))}: {reason}", record, seq)

    def _see(self, sent: Chunk) -> list[int]:
        """Insert a chunk into `seen`; returns the numbers of what the base does not hold in the same form."""
        rel = self.relations
        keys = rel.entity.key
        statement = rel.bind(
            wide=sql.SQL("true" if self._convert_all else "b._digest is distinct from u._digest"),
            typed=listed(sql.SQL("{}::{}").format(ident(c), self._key_type(c)) for c in keys),
            arrays=listed(
                sql.SQL("json_array_elements_text({})").format(sql.Placeholder(str(i)))
                for i in range(len(sent.seen))
            ),
        ).compose("""
            with entered as (
                insert into {seen} (_seq, {keys}, _digest, _modified, _elsewhere, _wide)
                select %(first)s + u._n, {keys(u)}, u._digest, u._modified, u._elsewhere, {wide}
                from (
                    select
                        _n - 1 as _n, {typed},
                        _digest::uuid, _modified::timestamptz, _elsewhere::boolean
                    from rows from ({arrays})
                        with ordinality as x({keys}, _digest, _modified, _elsewhere, _n)
                ) u
                left join {base} b on {same_key(b, u)}
                returning _seq, _wide
            )
            select _seq from entered where _wide
        """)
        parameters = {str(i): array for i, array in enumerate(sent.seen)}
        found = self._connection.execute(statement, parameters | {"first": sent.sequence.start})
        return sorted(seq for (seq,) in found)

    def _key_type(self, column: str) -> sql.SQL:
        # Without the length: a cast to varchar(n) truncates, and a truncated key is another row's.
        return sql.SQL(self.types[column].bare)

    def _convert(
        self, keyed: Keyed, sequence: range, wide: Sequence[int]
    ) -> tuple[list[bytes], dict[int, str]]:
        """Lines of the wide records, and the reason by number of those that cannot be converted."""
        picked = [seq - sequence.start for seq in wide]
        rows, failed = self._converter.rows(keyed, picked)
        failures = {wide[at]: reason for at, reason in failed.items()}
        converted: list[bytes] = []
        for seq, row in zip(wide, rows, strict=True):
            if seq in failures:
                continue
            raw = payload_text(keyed.records[seq - sequence.start]) if self._parks else None
            try:
                converted.append(copy_format.line((seq, raw, *row)))
            except ConversionError as error:
                failures[seq] = str(error)
        return converted, failures

    def _copy(self, rows: Sequence[bytes]) -> dict[int, str]:
        """COPY lines; on an error halve them until the failing line is alone.

        Returns:
            The server's reason by number of each row that it refused.
        """
        if not rows:
            return {}
        names = ("_seq", "_raw", "_absent", *self.relations.value_columns)
        target = sql.SQL("copy {} ({}) from stdin {}").format(
            self.relations.rows, columns(names), sql.SQL(copy_format.FORMAT)
        )
        try:
            with self._connection.cursor() as cursor, cursor.copy(target) as copy:
                copy.write(copy_format.block(rows))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            if len(rows) == 1:
                return {copy_format.values(rows[0])[0]: message_with_detail(error)}
            middle = len(rows) // 2
            return self._copy(rows[:middle]) | self._copy(rows[middle:])
        return {}

    def _mark_rejected(self) -> None:
        if self.rejections:
            mark = sql.SQL("update {} set _state = 'rejected' where _seq = any(%s)")
            self._connection.execute(mark.format(self.relations.seen), [list(self.rejections)])

    def restage(self, connection: Connection) -> None:
        """Fill new temporary tables on a new connection from the spool."""
        log.info("%s: staging again from the local spool", self.relations.entity.name)
        self._connection = connection
        self._create()
        for sent in self._spooled():
            self._see(sent)
            for seq, reason in self._copy(sent.lines).items():
                if seq not in self.rejections:
                    self._reject_sent(seq, reason, sent)
        self._mark_rejected()

    def _reject_sent(self, seq: int, reason: str, sent: Chunk) -> None:
        """Reject a row whose record is only in the spool."""
        key = [
            orjson.loads(a)[seq - sent.sequence.start]
            for a in sent.seen[: len(self.relations.entity.key)]
        ]
        (row,) = (v for v in map(copy_format.values, sent.lines) if v[0] == seq)
        self._reject(
            seq, reason, key, dict(zip(self.relations.value_columns, row[3:], strict=True))
        )

    def _spooled(self) -> Iterator[Chunk]:
        self._spool.seek(0)
        while True:
            try:
                yield pickle.load(self._spool)  # noqa: S301  our own file, unlinked at birth
            except EOFError:
                return
