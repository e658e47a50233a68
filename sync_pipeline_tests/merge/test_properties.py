"""Random histories: the merge on a real Postgres against the rule in plain Python.

A history is a list of what people and the source do, in any order: edits, clearings and deletions on both
sides, re-deliveries of old versions, duplicates, records that cannot be converted, complete scans, force.
After every sync all rows, bases, counts and conflicts must be those of the reference.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.model.entity import Entity, Field, Local, Owner, Serial, Stamp
from sync_pipeline.model.system import System
from sync_pipeline.model.types import text, timestamptz, varchar
from sync_pipeline_tests.fixtures.properties import examples
from sync_pipeline_tests.fixtures.sample_system import GENEROUS, Workbench, counted
from sync_pipeline_tests.merge.model_based import BAD, Delivered, Reference, Row

POLICIES = {"alpha": "source", "beta": "local", "gamma": "ask"}
FIELDS = POLICIES | {"modified": "source"}
EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def _columns() -> tuple[Any, ...]:
    return (
        Serial(),
        Field("id_", text, "_id"),
        *(Field(name, text, name.upper(), policy=policy) for name, policy in POLICIES.items()),  # type: ignore[arg-type]
        Field("modified", timestamptz, "modified"),
        Stamp("touched", timestamptz),
        Local("note", text),
    )


WHOLE = Entity(
    "whole", "Whole", ("id_",), _columns(), "cleared", modified="modified", budget=GENEROUS
)
PARTIAL = Entity(
    "partial",
    "Partial",
    ("id_",),
    (*_columns(), Local("owner", varchar(1))),
    "unknown",
    modified="modified",
    owner=Owner("owner", ours=("D",), mark="D", source="mark"),
    budget=GENEROUS,
)
PAIR = System("pair", (WHOLE, PARTIAL))

KEYS = st.sampled_from("xyz")
NAMES = st.sampled_from(sorted(POLICIES))
VALUES = st.sampled_from(["a", "b", None])
OWNERS = st.sampled_from(["D", "M", None])
MARKS = st.sampled_from(["D", "M", "M ", " ", None])

STEPS = st.one_of(
    st.tuples(st.just("source sets"), KEYS, NAMES, VALUES),
    st.tuples(st.just("source sets"), KEYS, NAMES, st.sampled_from(["a", "b", None, BAD])),
    st.tuples(st.just("source leaves out"), KEYS, NAMES),
    st.tuples(st.just("source deletes"), KEYS),
    st.tuples(st.just("source marks"), KEYS, MARKS),
    st.tuples(st.just("people set"), KEYS, NAMES, VALUES),
    st.tuples(st.just("people note"), KEYS, st.sampled_from(["n", None])),
    st.tuples(st.just("people delete"), KEYS),
    st.tuples(st.just("patch fills"), KEYS, NAMES, st.sampled_from("ab")),
    st.tuples(st.just("people own"), KEYS, OWNERS),
    st.tuples(st.just("sync"), st.lists(KEYS, max_size=4), st.booleans()),
    st.tuples(st.just("sync"), st.lists(KEYS, max_size=4), st.just(False)),
    st.tuples(st.just("deliver old"), st.lists(st.tuples(KEYS, st.integers(0, 3)), max_size=3)),
    st.tuples(st.just("scan")),
)


class HistoryReplay:
    """A source, a table and the reference, living through the same history."""

    def __init__(self, bench: Workbench, entity: Entity) -> None:
        self.bench = bench
        self.entity = entity
        self.expected = Reference(dict(FIELDS), entity.absent, owned=entity.owner is not None)
        self.source: dict[str, Delivered] = {}
        self.versions: dict[str, list[Delivered]] = {}
        self.clock = 0
        bench.run(
            f"truncate {entity.table}, sync_base.pair__{entity.name}, sync.conflict, sync.change,"
            " sync.rejected, _sync_metadata"
        )

    def live(self, step: tuple[Any, ...]) -> None:
        what, *arguments = step
        getattr(self, what.replace(" ", "_"))(*arguments)

    def _change(self, key: str, values: dict[str, Any]) -> None:
        self.clock += 1
        mark = self.source[key].mark if key in self.source else None
        self.source[key] = Delivered(key, values | {"modified": self.clock}, self.clock, mark)
        self.versions.setdefault(key, []).append(self.source[key])

    def source_sets(self, key: str, name: str, value: str | None) -> None:
        before = self.source.get(key)
        self._change(key, (dict(before.values) if before else {}) | {name: value})

    def source_leaves_out(self, key: str, name: str) -> None:
        if key in self.source:
            self._change(key, {n: v for n, v in self.source[key].values.items() if n != name})

    def source_deletes(self, key: str) -> None:
        self.source.pop(key, None)

    def source_marks(self, key: str, mark: str | None) -> None:
        """The record says whose it is, and nothing else of it changes."""
        if key in self.source:
            self.source[key] = replace(self.source[key], mark=mark)
            self.versions[key].append(self.source[key])

    def people_set(self, key: str, name: str, value: str | None) -> None:
        row = self.expected.rows.setdefault(key, Row(dict.fromkeys(FIELDS)))
        row.values[name] = value
        self.bench.run(
            f"insert into {self.entity.table} (id_, {name}) values (%s, %s)"
            f" on conflict (id_) do update set {name} = excluded.{name}",
            key,
            value,
        )

    def people_note(self, key: str, note: str | None) -> None:
        if key in self.expected.rows:
            self.expected.rows[key].note = note
            self.bench.run(f"update {self.entity.table} set note = %s where id_ = %s", note, key)

    def people_delete(self, key: str) -> None:
        self.expected.rows.pop(key, None)
        self.bench.run(f"delete from {self.entity.table} where id_ = %s", key)

    def patch_fills(self, key: str, name: str, value: str) -> None:
        """What a patch does: it fills what is empty, and only that."""
        row = self.expected.rows.get(key)
        if row and row.values[name] is None:
            row.values[name] = value
        self.bench.run(
            f"update {self.entity.table} set {name} = %s where id_ = %s and {name} is null",
            value,
            key,
        )

    def people_own(self, key: str, owner: str | None) -> None:
        if self.entity.owner and key in self.expected.rows:
            self.expected.rows[key].owner = owner
            self.bench.run(f"update {self.entity.table} set owner = %s where id_ = %s", owner, key)

    def sync(self, keys: list[str], force: bool) -> None:
        self._sync([self.source[k] for k in keys if k in self.source], force=force)

    def deliver_old(self, picked: list[tuple[str, int]]) -> None:
        """Versions from the past, as a lagging index or an overtaken answer delivers them."""
        records = [self.versions[k][-1 - n] for k, n in picked if n < len(self.versions.get(k, []))]
        self._sync(records)

    def scan(self) -> None:
        self._sync(list(self.source.values()), complete=True)

    def _sync(
        self, records: list[Delivered], *, force: bool = False, complete: bool = False
    ) -> None:
        complete = complete and bool(records)  # an empty listing proves nothing
        result = self.bench.sync(
            *(_raw(r) for r in records), entity=self.entity, force=force, complete=complete
        )
        expected = self.expected.merge(records, force=force, complete=complete)
        assert counted(result) == expected
        self.compare()

    def compare(self) -> None:
        assert self._rows() == {
            key: (dict(row.values), row.note, row.owner) for key, row in self.expected.rows.items()
        }
        assert self._bases() == {
            key: (base.values, base.unknown, base.missing)
            for key, base in self.expected.bases.items()
        }
        assert self._conflicts() == self.expected.conflicts

    def _rows(self) -> dict[str, tuple[Any, ...]]:
        rows = self.bench.rows(f"select * from {self.entity.table}")
        return {
            r["id_"]: ({n: _plain(r[n]) for n in FIELDS}, r["note"], r.get("owner")) for r in rows
        }

    def _bases(self) -> dict[str, tuple[Any, ...]]:
        rows = self.bench.rows(f"select * from sync_base.pair__{self.entity.name}")
        return {
            r["id_"]: (
                {n: _plain(r[n]) for n in FIELDS},
                set(r["_unknown"] or ()),
                r["_missing_since"] is not None,
            )
            for r in rows
        }

    def _conflicts(self) -> dict[tuple[str, str, str | None], tuple[Any, ...]]:
        return {
            (c["key"]["id_"], c["kind"], c["field"]): (
                *(_plain(c[side], c["field"]) for side in ("base", "local", "source")),
                c["kept"],
            )
            for c in self.bench.conflicts()
        }


def _raw(record: Delivered) -> dict[str, Any]:
    """The record as it comes over the wire."""
    values = {name.upper(): value for name, value in record.values.items() if name in POLICIES}
    moment = EPOCH + dt.timedelta(days=record.modified)
    return {"_id": record.key, "modified": moment.isoformat(), "mark": record.mark} | values


def _plain(value: Any, name: str | None = None) -> Any:
    """A value as the reference holds it: moments are days."""
    if isinstance(value, dict):
        return {n: _plain(v, n) for n, v in value.items()}
    if name == "modified" and value is not None:
        value = dt.datetime.fromisoformat(value)
    return (value - EPOCH).days if isinstance(value, dt.datetime) else value


@pytest.fixture(scope="module")
def pair(server: EmbeddedServer) -> Iterator[Workbench]:
    bench = Workbench(server.create_database("properties"), PAIR)
    yield bench
    bench.connection.close()


HISTORIES = examples(12, 300)


@HISTORIES
@given(history=st.lists(STEPS, min_size=4, max_size=18))
def test_complete_records_follow_the_rule_through_any_history(
    pair: Workbench, history: list[tuple[Any, ...]]
) -> None:
    replay = HistoryReplay(pair, PAIR["whole"])
    for step in history:
        replay.live(step)
    replay.scan()


@HISTORIES
@given(history=st.lists(STEPS, min_size=4, max_size=18))
def test_partial_records_of_owned_rows_follow_the_rule_through_any_history(
    pair: Workbench, history: list[tuple[Any, ...]]
) -> None:
    replay = HistoryReplay(pair, PAIR["partial"])
    for step in history:
        replay.live(step)
    replay.scan()


def test_once_everything_is_synced_a_further_scan_writes_nothing(pair: Workbench) -> None:
    replay = HistoryReplay(pair, PAIR["whole"])
    for key in "xyz":
        replay.source_sets(key, "alpha", "a")
    replay.scan()
    tables = ("public.whole", "sync_base.pair__whole")
    before = pair.writes(*tables)

    replay.scan()

    assert pair.writes(*tables) == before
