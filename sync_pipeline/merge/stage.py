"""Stage: stream records into temporary tables, while they are being fetched.

Every record goes to `seen` by key and digest; only records that the base does not already hold in the
same form are converted and go to `rows`. So an unchanged record costs a few bytes and no conversion.

Staging runs in autocommit: no transaction and no snapshot is held on the target while a slow source is
read. What was sent is also kept in a local spool, so that a target that goes away is staged again
without asking the source twice.
"""

from __future__ import annotations

import logging
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, LiteralString

import psycopg
from psycopg import sql

from sync_pipeline.errors import SourceBroken
from sync_pipeline.merge.convert import Converter, Keyed, Rejection, key_text, payload_text
from sync_pipeline.merge.relations import Relations, columns, ident, listed
from sync_pipeline.merge.stream import Batch, Record
from sync_pipeline.model.entity import Entity

log = logging.getLogger(__name__)

CHUNK = 4000  # records per round trip: the memory of a run, whatever the table's size
MOST_REJECTIONS = 10_000  # held in memory until the run ends; more means that the mapping is wrong
Connection = psycopg.Connection[Any]
Recover = Callable[[psycopg.OperationalError], None]


@dataclass
class Sent:
    """One chunk as it goes to the server; what the spool keeps.

    Attributes:
        sequence: the chunk's numbers, consecutive.
        wide: numbers of the records that the base does not hold in the same form.
        rows: number, raw record, absent columns and values of the wide ones.
        refused: reason by number of the records that cannot be converted.
    """

    sequence: range
    keys: list[tuple[Any, ...]]
    digests: list[str]
    modified: list[Any]
    wide: list[int] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


class Stage:
    """The temporary tables of one entity in one run, and how they are filled."""

    def __init__(
        self, connection: Connection, entity: Entity, *, recover: Recover, everything: bool = False
    ) -> None:
        """Create the temporary tables.

        Args:
            connection: in autocommit; its session owns the temporary tables.
            entity: what is staged.
            recover: called when the connection is lost; reconnects and calls `restage`, or raises.
            everything: convert every record even if the base holds it, as `force` needs.
        """
        self.relations = Relations(entity)
        self.rejections: dict[int, Rejection] = {}
        self.unkeyed: list[Rejection] = []
        self.read = 0
        self._converter = Converter(entity)
        self._connection = connection
        self._recover = recover
        self._everything = everything
        self._parks = any(link.required for _, link in entity.links)
        self._spool: IO[bytes] = tempfile.TemporaryFile(prefix="sync-stage-")  # noqa: SIM115
        self._next = 0
        self._create()

    def close(self) -> None:
        """Give up the spool; the temporary tables go with their session."""
        self._spool.close()

    def _create(self) -> None:
        entity, rel = self.relations.entity, self.relations
        self._types, self._bare_types = _column_types(self._connection, rel)
        keys = [self._declared(c) for c in entity.key]
        values = [self._declared(c) for c in rel.value_columns]
        drop = sql.SQL("drop table if exists {}, {}").format(rel.seen, rel.rows)
        seen = sql.SQL(
            "create temporary table {} (seq bigint not null, {}, digest uuid not null,"
            " modified timestamptz, wide boolean not null, state text)"
        ).format(rel.seen, listed(keys))
        rows = sql.SQL("create temporary table {} ({})").format(
            rel.rows, listed([sql.SQL("seq bigint not null, raw jsonb, absent text[]"), *values])
        )
        for statement in (drop, seen, rows):
            self._connection.execute(statement)

    def _declared(self, column: str) -> sql.Composed:
        return sql.SQL("{} {}").format(ident(column), sql.SQL(self._types[column]))

    def add(self, records: Batch) -> None:
        """Stage a batch of any size.

        Raises:
            SourceBroken: so many records were rejected that the mapping cannot be right.
        """
        for start in range(0, len(records), CHUNK):
            self._add_chunk(records[start : start + CHUNK])

    def _add_chunk(self, records: Batch) -> None:
        keyed, unkeyed = self._converter.keyed(records)
        self.read += len(records)
        self.unkeyed += unkeyed
        sequence = range(self._next, self._next + len(keyed.keys))
        self._next = sequence.stop
        sent = Sent(sequence, keyed.keys, keyed.digests, keyed.modified)
        sent.wide = self._new_to_base(sent)
        self._convert(keyed, sent)
        pickle.dump(sent, self._spool, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            refused = self._send(sent)
        except psycopg.OperationalError as error:
            self._recover(error)  # stages the whole spool again, this chunk included
            refused = {}
        for seq, reason in (sent.refused | refused).items():
            self._reject(
                seq, reason, keyed.keys[seq - sequence.start], keyed.records[seq - sequence.start]
            )
        self._stop_at_too_many_rejections()

    def _reject(self, seq: int, reason: str, key: tuple[Any, ...], record: Record) -> None:
        self.rejections[seq] = Rejection(f"{key_text(key)}: {reason}", record, seq)

    def _stop_at_too_many_rejections(self) -> None:
        rejections = [*self.unkeyed, *self.rejections.values()]
        if len(rejections) > MOST_REJECTIONS:
            raise SourceBroken(
                f"{self.relations.entity.name}: more than {MOST_REJECTIONS:,} records were rejected, the"
                f" first with: {rejections[0].reason}. The mapping no longer fits the source; nothing"
                " was written. Compare the entity's fields with the source's."
            )

    def _new_to_base(self, sent: Sent) -> list[int]:
        """Numbers of the records that the base does not hold in the same form."""
        if self._everything or not sent.keys:
            return list(sent.sequence)
        rel = self.relations
        statement = sql.SQL(
            "select u.seq from unnest({}, %s::bigint[], %s::uuid[]) as u({}, seq, digest)"
            " left join {} b on {} where b._digest is distinct from u.digest"
        ).format(self._key_arrays(), columns(rel.entity.key), rel.base, rel.same_key("b", "u"))
        keys = [[key[i] for key in sent.keys] for i in range(len(rel.entity.key))]
        found = self._asked(statement, [*keys, list(sent.sequence), sent.digests])
        return sorted(seq for (seq,) in found)

    def _asked(self, statement: sql.Composed, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        while True:
            try:
                return self._connection.execute(statement, parameters).fetchall()
            except psycopg.OperationalError as error:
                self._recover(error)

    def _key_arrays(self) -> sql.Composed:
        # Without the length: a cast to varchar(n) would cut a key off and make it another one.
        return listed(
            sql.SQL("%s::{}[]").format(sql.SQL(self._bare_types[c]))
            for c in self.relations.entity.key
        )

    def _convert(self, keyed: Keyed, sent: Sent) -> None:
        start = sent.sequence.start
        picked = [seq - start for seq in sent.wide]
        rows, failures = self._converter.rows(keyed, picked)
        sent.refused = {sent.wide[at]: reason for at, reason in failures.items()}
        raws = [payload_text(keyed.records[i]) if self._parks else None for i in picked]
        sent.rows = [
            (seq, raw, *row)
            for seq, raw, row in zip(sent.wide, raws, rows, strict=True)
            if seq not in sent.refused
        ]

    def _send(self, sent: Sent) -> dict[int, str]:
        """Copy one chunk to the server.

        Returns:
            The server's reason by number of each row that it refused.
        """
        refused = self._copy_rows(sent.rows)
        wide, rejected = set(sent.wide), sent.refused.keys() | refused.keys()
        rows = (
            (seq, *key, digest, modified, seq in wide, "rejected" if seq in rejected else None)
            for seq, key, digest, modified in zip(
                sent.sequence, sent.keys, sent.digests, sent.modified, strict=True
            )
        )
        names = ("seq", *self.relations.entity.key, "digest", "modified", "wide", "state")
        self._copy(self.relations.seen, names, rows)
        return refused

    def _copy_rows(self, rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
        """COPY rows; on an error split until the culprit is alone."""
        if not rows:
            return {}
        names = ("seq", "raw", "absent", *self.relations.value_columns)
        try:
            self._copy(self.relations.rows, names, rows)
        except (psycopg.DataError, psycopg.IntegrityError, UnicodeError) as error:
            if len(rows) == 1:
                return {rows[0][0]: reason_of(error)}
            middle = len(rows) // 2
            return self._copy_rows(rows[:middle]) | self._copy_rows(rows[middle:])
        return {}

    def _copy(self, relation: sql.Identifier, names: Sequence[str], rows: Any) -> None:
        target = sql.SQL("copy {} ({}) from stdin").format(relation, columns(names))
        with self._connection.cursor() as cursor, cursor.copy(target) as copy:
            for row in rows:
                copy.write_row(row)

    def restage(self, connection: Connection) -> None:
        """Fill new temporary tables on a new connection from the spool."""
        log.info("%s: staging again from the local spool", self.relations.entity.name)
        self._connection = connection
        self._create()
        for sent in self._spooled():
            rows = {row[0]: row for row in sent.rows}
            for seq, reason in self._send(sent).items():
                if seq not in self.rejections:
                    record = dict(zip(self.relations.value_columns, rows[seq][3:], strict=True))
                    self._reject(seq, reason, sent.keys[seq - sent.sequence.start], record)

    def _spooled(self) -> Iterator[Sent]:
        self._spool.seek(0)
        while True:
            try:
                yield pickle.load(self._spool)  # noqa: S301  our own file, unlinked at birth
            except EOFError:
                return

    def settle(self) -> int:
        """Settle keys that were delivered more than once, and gather statistics for the planner.

        The newest wins, by the source's modification time and then by arrival; a rejected record
        competes with nobody.

        Returns:
            How many records lost to a newer one of the same key.
        """
        rel = self.relations
        statement = sql.SQL(
            "with again as (select {keys} from {seen} where state is null group by {keys}"
            " having count(*) > 1), ranked as (select s.seq, row_number() over (partition by"
            " {s_keys} order by s.modified desc nulls last, s.seq desc) as place from {seen} s"
            " join again a on {same} where s.state is null)"
            " update {seen} s set state = 'duplicate' from ranked where s.seq = ranked.seq and place > 1"
        ).format(
            keys=columns(rel.entity.key),
            s_keys=columns(rel.entity.key, "s"),
            seen=rel.seen,
            same=rel.same_key("a", "s"),
        )
        count = self._connection.execute(statement).rowcount
        for relation, analyzed in ((rel.seen, ("seq", *rel.entity.key)), (rel.rows, ("seq",))):
            self._connection.execute(sql.SQL("analyze {} ({})").format(relation, columns(analyzed)))
        return count


def _column_types(
    connection: Connection, rel: Relations
) -> tuple[dict[str, LiteralString], dict[str, LiteralString]]:
    """The target's own column types, in Postgres's words, so that what is staged can be stored.

    Returns:
        Types by column, with and without their length.
    """
    rows = connection.execute(
        "select attname, format_type(atttypid, atttypmod), format_type(atttypid, -1) from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        [rel.target.as_string(connection)],
    ).fetchall()
    return {name: full for name, full, _ in rows}, {name: bare for name, _, bare in rows}


def reason_of(error: Exception) -> str:
    """One line of what Postgres, or psycopg before it, said about a value."""
    diagnostic = getattr(error, "diag", None)
    primary = getattr(diagnostic, "message_primary", None) or str(error)
    detail = getattr(diagnostic, "message_detail", None)
    return " ".join(f"{primary}: {detail}".split()) if detail else " ".join(primary.split())
