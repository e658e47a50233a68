"""A source database as those who own it see it, and reads and syncs of its tables."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.stream import Progress, SourceOutcome
from sync_pipeline.model.entity import Column, Entity, Field
from sync_pipeline.model.scope import Scope
from sync_pipeline.model.types import integer, text
from sync_pipeline.sources.postgres.reader import PostgresReader
from sync_pipeline_tests.fixtures.desktop import Side
from sync_pipeline_tests.fixtures.sample_system import GENEROUS, Workbench

ID = Field("id", integer, "id")


def item(*columns: Column, **more: Any) -> Entity:
    """An entity that is read from the source's table `item`: an id, a name and further columns."""
    facts: dict[str, Any] = {
        "name": "item",
        "source": "item",
        "key": ("id",),
        "absent": "cleared",
        "budget": GENEROUS,
        "system": "own",
        "columns": (ID, Field("name", text, "name"), *columns),
    }
    return Entity(**(facts | more))


ITEM = item()


@dataclass
class Read:
    """What a read has delivered, and what it says of itself."""

    records: list[dict[str, Any]]
    outcome: SourceOutcome

    @property
    def cursor(self) -> Any:
        """What is handed to the next read."""
        return self.outcome.cursor

    def of(self, name: str) -> list[Any]:
        """One field of all records, in order."""
        return sorted(record[name] for record in self.records)


class Origin(Side):
    """The source database."""

    def run(self, statement: str, *parameters: Any) -> None:
        # Without parameters a % is a %.
        self.connection.execute(statement.encode(), parameters or None)

    def source(self, dsn: str | None = None, **options: Any) -> PostgresReader:
        """A source on this database, or on the same one with another login."""
        return PostgresReader(dsn or self.dsn, variable="ORIGIN_DSN", **options)

    def read(
        self, entity: Entity = ITEM, cursor: Any = None, *, dsn: str | None = None, **options: Any
    ) -> Read:
        """A read of one entity; what `Scope` knows is the scope's, the rest the source's."""
        scope = {n: options.pop(n) for n in ("mode", "keys", "force") if n in options}
        with closing(self.source(dsn, **options)) as source:
            return read(source, entity, cursor, **scope)

    def sync(
        self,
        bench: Workbench,
        name: str = "item",
        *,
        entity: Entity | None = None,
        run_id: UUID | None = None,
        **scope: Any,
    ) -> MergeResult:
        """A run of one entity into a target, from where the last one ended."""
        entity = entity or bench.system[name]
        since = watermarks.progress(bench.connection, entity)
        with closing(self.source()) as source:
            stream = source.read(entity, Scope(**scope), since)
            return bench.merge(stream, run_id=run_id)[0]


def read(source: PostgresReader, entity: Entity = ITEM, cursor: Any = None, **scope: Any) -> Read:
    """A read of one entity through a source that may have read others before."""
    stream = source.read(entity, Scope(**scope), Progress(cursor=cursor))
    records = [dict(record) for batch in stream.batches for record in batch]
    return Read(records, stream.outcome)
