"""One direction of the sync at a time, and what can come over it: a lost target, a torn source, people.

A run goes through the engine on the databases of a `Practice`. A `Watch` acts just before a chosen statement
of a merge on its target, so that a history can say where a fault strikes, and be shrunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from sync_pipeline.errors import TargetUnavailable
from sync_pipeline.merge import engine
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.session import Target
from sync_pipeline.merge.stream import Batch, Progress
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.system import System
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.sources.postgres.reader import PostgresReader
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE, ROW_FILTER
from sync_pipeline_tests.fixtures.desktop import Practice, Results, Side

Tamper = Callable[[Iterable[Batch]], Iterator[Batch]]


class Torn(Exception):
    """What a source raises that fails in the middle of its records."""


class Watch:
    """Acts once, just before the nth statement of a merge on its target."""

    def __init__(self, nth: int, act: Callable[[Connection], None]) -> None:
        self._left = nth
        self._act = act

    def over(self, connection: Connection) -> Connection:
        """The same connection, with its statements counted."""
        tick = self._tick

        class Counted(psycopg.Cursor[Any]):
            def execute(self, *arguments: Any, **options: Any) -> Counted:
                tick(connection)
                return super().execute(*arguments, **options)

            def copy(self, *arguments: Any, **options: Any) -> Any:
                tick(connection)
                return super().copy(*arguments, **options)

        connection.cursor_factory = Counted
        return connection

    def _tick(self, connection: Connection) -> None:
        self._left -= 1
        if self._left == -1:
            self._act(connection)


@dataclass(frozen=True)
class Direction:
    """One direction of the sync.

    Attributes:
        name: forward or reverse.
        connect: opens the target as the system does.
    """

    name: str
    system: System
    source: Side
    target: Side
    row_filter: tuple[str, tuple[str, ...]] | None
    connect: Callable[[str], Connection]

    def entities(self, names: Sequence[str]) -> list[Entity]:
        """Entities of these names, parents first."""
        return [e for e in self.system.in_order() if e.name in names]

    def run(
        self,
        names: Sequence[str],
        scope: Scope,
        run_id: UUID,
        *,
        watch: Watch | None = None,
        tamper: Tamper | None = None,
    ) -> Results:
        """A run of some tables.

        Args:
            names: the tables.
            scope: what the run covers.
            run_id: names the run.
            watch: acts on the target.
            tamper: what becomes of the source's batches.
        """

        def connect(name: str) -> Connection:
            return watch.over(self.connect(name)) if watch else self.connect(name)

        return self._run(names, scope, run_id, Target(connect), tamper)

    def broken(
        self,
        name: str,
        scope: Scope,
        run_id: UUID,
        *,
        lost_at: int | None = None,
        comes_back: bool = False,
        torn_after: int | None = None,
    ) -> MergeResult:
        """A run of one table that loses its target, or whose source fails.

        Args:
            name: the table.
            scope: what the run covers.
            run_id: names the run.
            lost_at: the target's session is terminated before its statement of this number.
            comes_back: whether the target can be reached again then.
            torn_after: records after which the source fails.
        """
        sessions = 0

        def connect(application: str) -> Connection:
            nonlocal sessions
            sessions += 1
            if sessions > 1 and not comes_back:
                raise TargetUnavailable("the target is gone")
            connection = self.connect(application)
            return watch.over(connection) if watch and sessions == 1 else connection

        watch = None if lost_at is None else Watch(lost_at, self._terminate)
        tamper = None if torn_after is None else partial(_torn, after=torn_after)
        return self._run([name], scope, run_id, Target(connect), tamper)[name]

    def _terminate(self, connection: Connection) -> None:
        pid = connection.info.backend_pid
        self.target.run("select pg_terminate_backend(%s, 10000)", pid)

    def _run(
        self,
        names: Sequence[str],
        scope: Scope,
        run_id: UUID,
        target: Target,
        tamper: Tamper | None,
    ) -> Results:
        parents = {e.name: e for e in self.system.entities}
        results: Results = {}
        source = PostgresReader(self.source.dsn, variable="A_DSN", row_filter=self.row_filter)
        since: dict[str, Progress] = {}
        if scope.mode == "delta":
            with self.connect("progress") as account:
                since = {n: watermarks.progress(account, self.system[n]) for n in names}
        with closing(source):
            for entity in self.entities(names):
                stream = source.read(entity, scope, since.get(entity.name, Progress()))
                if tamper:
                    stream.batches = tamper(stream.batches)
                [results[entity.name]] = engine.merge(
                    target, [stream], run_id=run_id, parents=parents
                )
        return results


def _torn(batches: Iterable[Batch], after: int) -> Iterator[Batch]:
    for batch in batches:
        for record in batch:
            if after == 0:
                raise Torn
            after -= 1
            yield [record]
    raise Torn


def forward(practice: Practice) -> Direction:
    """From the desktop to mobile."""
    return Direction(
        "forward", DESKTOP, practice.desktop, practice.mobile, None, practice.into_mobile
    )


def reverse(practice: Practice) -> Direction:
    """From mobile to the desktop."""
    return Direction(
        "reverse", REVERSE, practice.mobile, practice.desktop, ROW_FILTER, practice.into_desktop
    )
