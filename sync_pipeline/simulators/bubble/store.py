"""The app's data while the simulator runs: reads, writes, searches, and the editor's own actions.

Safe to use from a test while the server answers: every method takes the lock. What a write accepts
from the API is checked in `request_bodies`; here any value may be stored, as the data defects need.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from threading import RLock
from typing import Any

from sync_pipeline.simulators.bubble import catalogue, responses
from sync_pipeline.simulators.bubble.catalogue.types import type_name
from sync_pipeline.simulators.bubble.change_log import Action, Change, ChangeLog, Origin
from sync_pipeline.simulators.bubble.company import Company
from sync_pipeline.simulators.bubble.dates import iso, milliseconds
from sync_pipeline.simulators.bubble.options import Options
from sync_pipeline.simulators.bubble.records import ADMIN
from sync_pipeline.simulators.bubble.schema import Record, TypeSchema
from sync_pipeline.simulators.bubble.search import Query, Searcher
from sync_pipeline.simulators.bubble.table import Table
from sync_pipeline.simulators.bubble.value_generators import uid as invent_uid
from sync_pipeline.simulators.clock import Clock
from sync_pipeline.simulators.seeded_random import seeded_random

_KEPT = ("_id", "Created Date", "Modified Date", "Created By", "Slug")


class Store:
    """All types with their things.

    Type names may be spelled in any way. Fields are named as they were at first, before any
    rename. Methods that name a type or a thing that is not there raise `responses.ErrorResponse`.

    Attributes:
        change_log: what changed since the start.
        schemas: the types and their fields, by the name in URLs.
    """

    def __init__(self, company: Company, *, options: Options, clock: Clock) -> None:
        self.change_log = ChangeLog()
        self.schemas = {kind.name: TypeSchema(kind) for kind in catalogue.TYPES}
        self._options = options
        self._clock = clock
        self._lock = RLock()
        self._random = seeded_random(company.seed, "store")
        self._tables = {name: Table(company.of(name)) for name in self.schemas}
        self._searchers = {name: Searcher(table) for name, table in self._tables.items()}

    def schema(self, kind: str) -> TypeSchema:
        """The type, if the Data API exposes it."""
        name = type_name(kind)
        if name not in self.schemas or name in map(type_name, self._options.disabled_types):
            raise responses.unknown_type(kind)
        return self.schemas[name]

    def exposed(self) -> list[TypeSchema]:
        """The types that the Data API exposes."""
        disabled = set(map(type_name, self._options.disabled_types))
        return [schema for name, schema in self.schemas.items() if name not in disabled]

    def ids(self, kind: str) -> list[str]:
        """The ids of all things of a type."""
        with self._lock:
            return self._table(kind).ids()

    def get(self, kind: str, uid: str) -> Record:
        """A copy of a thing as it is now."""
        with self._lock:
            return deepcopy(self._record(kind, uid))

    def records(self, kind: str) -> list[Record]:
        """Copies of all things of a type as they are now."""
        return [self.get(kind, uid) for uid in self.ids(kind)]

    def rendered(self, kind: str, uid: str) -> bytes:
        """A thing as JSON, as the API shows it now."""
        with self._lock:
            thing = self._table(kind).get(uid)
            if thing is None:
                raise responses.missing_thing(type_name(kind), uid)
            return thing.rendered(self.schema(kind), yes_no_always=self._yes_no_always)

    def search(self, kind: str, query: Query, *, start: int, size: int) -> tuple[int, list[bytes]]:
        """How many things a search finds, and a page of them as JSON."""
        with self._lock:
            self._table(kind).apply_due(self._now_ms())
            searcher, schema = self._searchers[type_name(kind)], self.schema(kind)
            page = searcher.page(query, start, size)
            yes_no_always = self._yes_no_always
            rendered = [thing.rendered(schema, yes_no_always=yes_no_always) for thing in page]
            return searcher.count(query), rendered

    def create(
        self,
        kind: str,
        values: Mapping[str, Any],
        *,
        created_by: str = ADMIN,
        origin: Origin = "editor",
    ) -> str:
        """Create a thing and return its id."""
        with self._lock:
            now = self._now_ms()
            record = {"_id": invent_uid(self._random, now), "Created Date": iso(now)}
            record |= {"Modified Date": iso(now), "Created By": created_by}
            self._write(kind, record | _filled(values), action="created", origin=origin)
            return record["_id"]

    def patch(
        self,
        kind: str,
        uid: str,
        values: Mapping[str, Any],
        *,
        unset: Iterable[str] = (),
        origin: Origin = "editor",
    ) -> None:
        """Set fields of a thing and empty others; None and empty values empty them too."""
        with self._lock:
            record = self._record(kind, uid)
            emptied = {*unset, *values}
            kept = {name: value for name, value in record.items() if name not in emptied}
            self._touch(kind, kept | _filled(values), origin=origin)

    def put(
        self, kind: str, uid: str, values: Mapping[str, Any], *, origin: Origin = "editor"
    ) -> None:
        """Set fields of a thing and empty all others."""
        with self._lock:
            record = self._record(kind, uid)
            kept = {name: record[name] for name in _KEPT if name in record}
            self._touch(kind, kept | _filled(values), origin=origin)

    def delete(self, kind: str, uid: str, *, origin: Origin = "editor") -> None:
        """Delete a thing; links to it dangle."""
        with self._lock:
            self._record(kind, uid)
            self._write_version(kind, uid, None)
            self._log(kind, uid, "deleted", origin)

    def hide_field(self, kind: str, field: str) -> None:
        """Leave a field out of all responses, as privacy rules or its removal do."""
        with self._lock:
            self.schema(kind).hide(field)

    def unhide_field(self, kind: str, field: str) -> None:
        """Show a hidden field again."""
        with self._lock:
            self.schema(kind).hide(field, hidden=False)

    def rename_field(self, kind: str, field: str, to: str) -> None:
        """Rename a field in the editor: its key in every reply changes at once."""
        with self._lock:
            self.schema(kind).rename(field, to)

    @property
    def _yes_no_always(self) -> bool:
        return not self._options.empty_yes_no_as_absent

    def _now_ms(self) -> int:
        return milliseconds(self._clock())

    def _table(self, kind: str) -> Table:
        return self._tables[self.schema(kind).name]

    def _record(self, kind: str, uid: str) -> Record:
        thing = self._table(kind).get(uid)
        if thing is None:
            raise responses.missing_thing(type_name(kind), uid)
        return thing.record

    def _touch(self, kind: str, record: Record, *, origin: Origin) -> None:
        # A clock behind the data must not make a thing older than its creation.
        modified = max(iso(self._now_ms()), record["Created Date"])
        self._write(kind, record | {"Modified Date": modified}, action="modified", origin=origin)

    def _write(self, kind: str, record: Record, *, action: Action, origin: Origin) -> None:
        schema = self.schema(kind)
        for name in record.keys() - schema.fields.keys():
            schema.add(name)
        self._write_version(kind, record["_id"], record)
        self._log(kind, record["_id"], action, origin)

    def _write_version(self, kind: str, uid: str, record: Record | None) -> None:
        now = self._now_ms()
        self._table(kind).write(uid, record, due=now + self._options.index_lag_ms, now=now)

    def _log(self, kind: str, uid: str, action: Action, origin: Origin) -> None:
        at = iso(self._now_ms())
        self.change_log.append(Change(at, type_name(kind), uid, action, origin))


def _filled(values: Mapping[str, Any]) -> Record:
    return {name: value for name, value in values.items() if value not in (None, "", [])}
