"""The practice living through a history, and what must hold of it.

The model is what people last made of the rows that are theirs: the desktop's own rows and the rows that
mobile users own, byte for byte, and the values that people entered into the sync's copies of them. It knows
nothing of staging, plans or bases; the checks ask the two accounts only how a difference is explained.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from sync_pipeline.errors import StoppedByGuard, TargetRefused, TargetUnavailable
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.merge.review import resolve
from sync_pipeline.merge.schema.metadata import base_name
from sync_pipeline.model.scope import Scope
from sync_pipeline.postgres.connect import Connection
from sync_pipeline_tests.fixtures.desktop import Practice, Results, Side
from sync_pipeline_tests.systems.desktop.fault_injection import Torn, Watch, Way, forward, reverse
from sync_pipeline_tests.systems.desktop.random_histories import TABLES, Edit, Key, Row, Step, Table

BOOKS = ("cursor", "conflict", "change", "parked", "rejected", "step", "plan", "request")
LOST = (TargetUnavailable, Torn, psycopg.OperationalError)
Cell = tuple[str, Key, str]


@dataclass(frozen=True)
class Found:
    """A row as it stands.

    Attributes:
        image: the whole of it, as text.
        row: its values.
        place: where it is and which transaction put it there.
    """

    image: str
    row: Row
    place: str

    @property
    def mobiles(self) -> bool:
        """Whether it carries the mobile users' mark."""
        return (self.row["source"] or "").strip() == "M"


View = dict[str, list[Found]]
Views = dict[str, View]
Bases = dict[str, dict[Key, Row]]


@dataclass(frozen=True)
class Before:
    """What a run finds on its target.

    Attributes:
        bases: what its source had delivered.
        parked: keys of what waits, by table.
    """

    bases: Bases
    parked: dict[str, set[Key]]


def scope(mode: str, **more: Any) -> Scope:
    """The scope that a history's word for it means."""
    return Scope(mode="delta" if mode == "delta" else "full", force=mode == "force", **more)


class Story:
    """Both databases, what people made of them, and the events of a history."""

    def __init__(self, practice: Practice, names: Sequence[str]) -> None:
        self.practice = practice
        self.tables = [TABLES[n] for n in names]
        self.ways = {way.name: way for way in (forward(practice), reverse(practice))}
        self.own: dict[str, list[str]] = {}
        self.theirs: dict[str, dict[Key, str]] = {}
        self.kept: dict[str, dict[str, set[Key]]] = {}
        self.entered: dict[str, dict[Cell, set[Any]]] = {
            side: defaultdict(set) for side in ("desktop", "mobile")
        }
        self.deleted: dict[str, set[tuple[str, Key]]] = {"desktop": set(), "mobile": set()}
        self.touched: set[tuple[str, Key]] = set()
        self._empty()
        self._remember()

    def begin(self) -> None:
        """A desktop and a mobile row in each table, known on both sides."""
        for table in self.tables:
            desk, phone, *_ = table.keys
            edit = next((c, values[0]) for c, values in table.edits.items())
            self.desk_inserts(table.name, desk, "D", edit)
            self.phone_inserts(table.name, phone, edit)
        self.forward("delta")
        self.reverse("delta")

    def live(self, step: Step) -> None:
        """Let one thing happen."""
        name, *arguments = step
        getattr(self, name.replace(" ", "_"))(*arguments)

    # -- looking

    def look(self, side: str) -> View:
        """All rows of one side."""
        parts = [
            f"select '{t.name}' as name, t::text as image, to_jsonb(t.*) as row,"
            f" t.ctid || ' ' || t.xmin as place from public.{self._table(t, side)} t"
            for t in self.tables
        ]
        view: View = {t.name: [] for t in self.tables}
        for found in self._side(side).rows(" union all ".join(parts)):
            view[found.pop("name")].append(Found(**found))
        return view

    def _views(self) -> Views:
        return {side: self.look(side) for side in ("desktop", "mobile")}

    def bases(self, way: Way) -> Bases:
        """What the source last delivered, by table and key."""
        parts = [
            f"select '{e.name}' as name, to_jsonb(b.*) as row, b.ctid || ' ' || b.xmin as place"
            f" from sync_base.{base_name(e)} b"
            for e in way.entities([t.name for t in self.tables])
        ]
        found: Bases = {t.name: {} for t in self.tables}
        for one in way.target.rows(" union all ".join(parts)):
            key = TABLES[one["name"]].key(one["row"])
            found[one["name"]][key] = one["row"] | {"place": one["place"]}
        return found

    def everything(self) -> list[list[str]]:
        """All that a run may write, on both sides."""
        return [[row["image"] for row in side.rows(self._all(name))] for name, side in self._sides]

    @property
    def _sides(self) -> list[tuple[str, Side]]:
        return [(name, self._side(name)) for name in ("desktop", "mobile")]

    def _side(self, side: str) -> Side:
        return self.practice.mobile if side == "mobile" else self.practice.desktop

    def _way_to(self, side: str) -> Way:
        return self.ways["forward" if side == "mobile" else "reverse"]

    def _table(self, table: Table, side: str) -> str:
        return table.name if side == "mobile" else table.back.table

    def _named(self, name: str, side: str) -> sql.Identifier:
        return sql.Identifier("public", self._table(TABLES[name], side))

    def _names(self, side: str) -> list[str]:
        """Tables of one side that a run may write."""
        way = self._way_to(side)
        names = [f"public.{self._table(t, side)}" for t in self.tables]
        names += [f"sync_base.{base_name(way.system[t.name])}" for t in self.tables]
        metadata = "public._sync_metadata" if side == "mobile" else "sync._sync_metadata"
        return [*names, *(f"sync.{book}" for book in BOOKS), metadata]

    def _all(self, side: str) -> str:
        parts = (
            f"select '{name} ' || t.ctid || t::text as image from {name} t"
            for name in self._names(side)
        )
        return " union all ".join(parts) + " order by 1"

    def _empty(self) -> None:
        for name, side in self._sides:
            side.run(f"truncate {', '.join(self._names(name))} restart identity cascade")

    # -- people

    def _remember(self, *sides: str) -> None:
        """What people have just made of the rows that are theirs."""
        for side in sides or ("desktop", "mobile"):
            view = self.look(side)
            if side == "desktop":
                self.own = _own(view)
            else:
                self.theirs = _theirs(view)
            self.kept[side] = _kept(view, side)

    def _people(
        self, side: str, name: str, statement: sql.Composed, values: Sequence[Any]
    ) -> Key | None:
        """Something that a person does to one row; returns its key, or None when nothing came of it.

        The app's constraints may be against it, and a person does not wait for a lock.
        """
        with self._side(side).connection.cursor() as cursor:
            try:
                found = cursor.execute(statement, values).fetchone()
            except (psycopg.IntegrityError, psycopg.errors.LockNotAvailable):
                return None
        if found is None:
            return None
        self._remember(side)
        key = TABLES[name].key(found[0])
        self.touched.add((name, key))
        return key

    def _insert(self, side: str, name: str, key: Key, mark: str | None, edit: Edit) -> None:
        table = TABLES[name]
        row = dict(zip(table.entity.key, key, strict=True)) | dict(table.row) | dict([edit])
        row["source"] = mark
        statement = sql.SQL(
            "insert into {} as t ({}) values ({}) on conflict do nothing returning to_jsonb(t.*)"
        ).format(
            self._named(name, side),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        self._people(side, name, statement, list(row.values()))

    def _change(
        self,
        side: str,
        name: str,
        nth: int,
        mark: LiteralString,
        verb: sql.Composable,
        *values: Any,
    ) -> Key | None:
        """Do something to the nth of the rows whose mark meets a condition."""
        statement = sql.SQL(
            "with one as (select ctid from {table} t where {mark} order by t::text"
            " offset %s %% greatest(1, (select count(*) from {table} where {mark})) limit 1)"
            " {verb} where ctid = (table one) returning to_jsonb(t.*)"
        ).format(table=self._named(name, side), mark=sql.SQL(mark), verb=verb)
        return self._people(side, name, statement, [nth, *values])

    def _set(self, side: str, name: str, nth: int, mark: LiteralString, edit: Edit) -> Key | None:
        verb = sql.SQL("update {} t set {} = %s")
        column, value = edit
        verb = verb.format(self._named(name, side), sql.Identifier(column))
        return self._change(side, name, nth, mark, verb, value)

    def _delete(self, side: str, name: str, nth: int, mark: LiteralString) -> None:
        verb = sql.SQL("delete from {} t").format(self._named(name, side))
        key = self._change(side, name, nth, mark, verb)
        if key:
            self.deleted[side].add((name, key))

    def desk_inserts(self, name: str, key: Key, mark: str | None, edit: Edit) -> None:
        self._insert("desktop", name, key, mark, edit)

    def desk_collides(self, name: str, nth: int, mark: str | None, edit: Edit) -> None:
        """The desktop gives a new row a number that mobile has given as well."""
        keys = list(self.theirs[name])
        if keys:
            self._insert("desktop", name, keys[nth % len(keys)], mark, edit)

    def desk_repeats(self, name: str, nth: int, edit: Edit) -> None:
        """The key of one of the desktop's own rows comes to stand for one more."""
        verb = sql.SQL(
            "insert into {0} as t select (jsonb_populate_record(x, %s)).* from {0} x"
        ).format(self._named(name, "desktop"))
        self._change("desktop", name, nth, OWN, verb, Jsonb(dict([edit])))

    def desk_sets(self, name: str, nth: int, edit: Edit) -> None:
        self._set("desktop", name, nth, OWN, edit)

    def desk_deletes(self, name: str, nth: int) -> None:
        self._delete("desktop", name, nth, OWN)

    def desk_sets_copy(self, name: str, nth: int, edit: Edit) -> None:
        key = self._set("desktop", name, nth, COPY, edit)
        if key:
            self.entered["desktop"][name, key, edit[0]].add(edit[1])

    def desk_deletes_copy(self, name: str, nth: int) -> None:
        self._delete("desktop", name, nth, COPY)

    def desk_claims_copy(self, name: str, nth: int) -> None:
        """The desktop makes a mobile row its own."""
        key = self._set("desktop", name, nth, COPY, ("source", "D"))
        if key:
            self.deleted["desktop"].add((name, key))

    def phone_inserts(self, name: str, key: Key, edit: Edit) -> None:
        self._insert("mobile", name, key, "M", edit)

    def phone_sets(self, name: str, nth: int, edit: Edit) -> None:
        """A mobile user works on a row of the desktop."""
        key = self._set("mobile", name, nth, OWN, edit)
        if key:
            self.entered["mobile"][name, key, edit[0]].add(edit[1])

    def phone_sets_own(self, name: str, nth: int, edit: Edit) -> None:
        self._set("mobile", name, nth, COPY, edit)

    def phone_deletes(self, name: str, nth: int) -> None:
        self._delete("mobile", name, nth, "true")

    def phone_claims(self, name: str, nth: int) -> None:
        """A mobile user makes a row of the desktop their own."""
        self._set("mobile", name, nth, OWN, ("source", "M"))

    def settle(self, side: str, nth: int, choice: resolve.Side) -> None:
        """A person decides an open conflict."""
        way, disputed = self._way_to(side), self.practice.conflicts(side)
        if not disputed:
            return
        conflict = disputed[nth % len(disputed)]
        table, before = TABLES[conflict["entity"]], self.look(side)
        with way.connect("a person") as connection:
            try:
                resolve.resolve(connection, way.system, conflict["id"], choice, run_id=uuid4())
            except (LookupError, TargetRefused):
                assert _placed(self.look(side)) == _placed(before), "a refused decision wrote"
                return
        self._check_decided(table, side, conflict, choice, before)
        self._remember(side)

    def _check_decided(
        self, table: Table, side: str, conflict: Row, choice: str, before: View
    ) -> None:
        """Only the row in question, and of it only the fields in question, have changed."""
        was = {f.image: f for rows in before.values() for f in rows}
        now = {f.image: f for rows in self.look(side).values() for f in rows}
        gone = [was[image] for image in was.keys() - now.keys()]
        come = [now[image] for image in now.keys() - was.keys()]
        assert len(gone) <= len(come) <= 1, (conflict, gone, come)
        if not come:
            return
        [new] = come
        key = table.key(conflict["key"])
        assert table.key(new.row) == key, (conflict, new)
        if not gone:
            held = [f for f in before[table.name] if table.key(f.row) == key]
            assert conflict["kind"] == "deleted", (conflict, new)
            assert choice == "source", (conflict, new)
            assert not held, (conflict, "came back beside", held)
            return
        [old] = gone
        assert old.row["source"] == new.row["source"], (conflict, old, new)
        changed = {c: v for c, v in new.row.items() if old.row[c] != v and c != "updated_at"}
        wanted = conflict[choice]
        if conflict["field"]:
            wanted = {conflict["field"]: wanted}
        assert changed.items() <= wanted.items(), (conflict, old, new)
        for column, value in changed.items():
            self.entered[side][table.name, key, column].add(value)

    # -- runs

    def forward(self, mode: str) -> Results:
        return self._sync("forward", mode)

    def reverse(self, mode: str) -> Results:
        return self._sync("reverse", mode)

    def forward_meanwhile(self, mode: str, nth: int, step: Step) -> None:
        """A run during which somebody works on the target."""
        self._sync("forward", mode, watch=Watch(nth, partial(self._impatiently, "mobile", step)))

    def reverse_meanwhile(self, mode: str, nth: int, step: Step) -> None:
        """A run during which somebody works on the target."""
        self._sync("reverse", mode, watch=Watch(nth, partial(self._impatiently, "desktop", step)))

    def _impatiently(self, side: str, step: Step, _: Connection) -> None:
        with self._impatient(self._side(side)):
            self.live(step)

    @contextmanager
    def _impatient(self, side: Side) -> Iterator[None]:
        side.run("set lock_timeout = '10ms'")
        try:
            yield
        finally:
            side.run("set lock_timeout = '30s'")

    def forward_loses_target(self, name: str, mode: str, nth: int, comes_back: bool) -> None:
        self._break("forward", name, mode, lost_at=nth, comes_back=comes_back)

    def reverse_loses_target(self, name: str, mode: str, nth: int, comes_back: bool) -> None:
        self._break("reverse", name, mode, lost_at=nth, comes_back=comes_back)

    def forward_loses_source(self, name: str, mode: str, after: int) -> None:
        self._break("forward", name, mode, torn_after=after)

    def reverse_loses_source(self, name: str, mode: str, after: int) -> None:
        self._break("reverse", name, mode, torn_after=after)

    def _break(self, way_name: str, name: str, mode: str, **trouble: Any) -> None:
        """A run that breaks off leaves no trace, and the next one does what it would have done."""
        way, run_id = self.ways[way_name], uuid4()
        planned = way.run([name], scope(mode, dry_run=True), uuid4())[name]
        approved = scope(mode, approve=frozenset({planned.digest or ""}))
        before, was = self._before(way), self.everything()
        try:
            result = way.broken(name, approved, run_id, **trouble)
        except LOST:
            assert self.everything() == was, f"{way_name} {name}: a broken run left a trace"
            result = self._sync(way_name, mode, [name])[name]
        else:
            self._check_run(way, run_id, before)
        _check_as_planned(planned, result)

    def _sync(
        self,
        way_name: str,
        mode: str,
        names: Sequence[str] = (),
        watch: Watch | None = None,
    ) -> Results:
        """A run; what the guard stops is approved."""
        way, run_id = self.ways[way_name], uuid4()
        names = names or [t.name for t in self.tables]
        approve: frozenset[str] = frozenset()
        source = "desktop" if way_name == "forward" else "mobile"
        before, read = self._before(way), self.look(source)
        while True:
            try:
                results = way.run(names, scope(mode, approve=approve), run_id, watch=watch)
                break
            except StoppedByGuard as stopped:
                approve |= {stopped.digest}
        assert _placed(self.look(source)) == _placed(read), f"{way_name} wrote to its source"
        self._check_run(way, run_id, before)
        return results

    # -- what must hold after every run

    def _before(self, way: Way) -> Before:
        """What a run finds; what people do from now on, they do during the run."""
        self.touched.clear()
        parked: dict[str, set[Key]] = {t.name: set() for t in self.tables}
        for one in way.target.rows("select entity, key from sync.parked"):
            parked[one["entity"]].add(TABLES[one["entity"]].key(one["key"]))
        return Before(self.bases(way), parked)

    def _check_run(self, way: Way, run_id: UUID, before: Before) -> None:
        desktop, mobile = self.look("desktop"), self.look("mobile")
        assert _theirs(mobile) == self.theirs, f"{way.name} touched rows of mobile users"
        assert _own(desktop) == self.own, f"{way.name} touched the desktop's own rows"
        self._check_marks(desktop, mobile)
        self._check_new_rows(way, desktop, mobile, before)
        views = {"desktop": desktop, "mobile": mobile}
        self._check_disputes(way, run_id, views, before)

    def _check_marks(self, desktop: View, mobile: View) -> None:
        for table in self.tables:
            keys = Counter(table.key(f.row) for f in mobile[table.name])
            assert not keys or max(keys.values()) == 1, f"{table.name} repeats a key: {keys}"
            copies = Counter(table.key(f.row) for f in desktop[table.name] if f.mobiles)
            assert not copies or max(copies.values()) == 1, f"two copies in {table.name}: {copies}"
            marks = {f.row["source"] for f in mobile[table.name]}
            assert marks <= {"D", "M"}, f"strange marks in {table.name}: {marks}"

    def _check_new_rows(self, way: Way, desktop: View, mobile: View, before: Before) -> None:
        """What the run has put on its target: nothing but rows of the source that were never there."""
        forwards = way.name == "forward"
        side, target = ("mobile", mobile) if forwards else ("desktop", desktop)
        kept, own = _kept(target, side), _keys(desktop, mobiles=False)
        entered = own if forwards else _keys(mobile, mobiles=True)
        for table in self.tables:
            old, new = self.kept[side][table.name], kept[table.name]
            assert old <= new, f"{way.name} deleted rows of {table.name}: {old - new}"
            new = new - old
            # What was accepted before and is not there was deleted by people.
            back = new & before.bases[table.name].keys()
            assert not back, f"{way.name} brought back deleted rows of {table.name}: {back}"
            strange = new - entered[table.name] - before.parked[table.name]
            assert not strange, f"{way.name} made up rows of {table.name}: {strange}"
            if not forwards:
                beside = new & own[table.name]
                assert not beside, f"copies beside own rows of {table.name}: {beside}"
        self.kept[side] = kept

    def _check_disputes(self, way: Way, run_id: UUID, views: Views, before: Before) -> None:
        """What a run has recorded as a conflict of owners is one."""
        for conflict in way.target.rows(
            "select * from sync.conflict where run_id = %s and kind = 'owner'", run_id
        ):
            table = TABLES[conflict["entity"]]
            key = table.key(conflict["key"])
            if (table.name, key) in self.touched or key in before.parked[table.name]:
                continue  # by now the row may be another one, or the record that waited
            sides = (conflict["source"], conflict["local"])
            found = self._differences(way, table, key, views)
            assert sides in found, (way.name, table.name, key, sides, found)
            assert conflict["source"], (way.name, table.name, key, "nothing is in dispute")

    def _differences(self, way: Way, table: Table, key: Key, views: Views) -> list[tuple[Row, Row]]:
        """The fields in which a row of the source differs from one that is not its own, both ways round.

        Of a key that the desktop has given itself, its copies of a mobile row are of no account.
        """
        columns = [f.column for f in way.system[table.name].values if not f.lookup]
        there = [f for f in views["desktop"][table.name] if table.key(f.row) == key]
        theirs = [f for f in views["mobile"][table.name] if table.key(f.row) == key and f.mobiles]
        own = [f for f in there if not f.mobiles]
        sources, targets = (own or there, theirs) if way.name == "forward" else (theirs, own)
        return [
            (
                {c: s.row[c] for c in columns if s.row[c] != t.row[c]},
                {c: t.row[c] for c in columns if s.row[c] != t.row[c]},
            )
            for s in sources
            for t in targets
        ]

    # -- what must hold in the end

    def end(self, mode: str) -> None:
        """Run both ways until nothing moves, and account for every row."""
        self._sync("forward", mode)
        before = self._places()
        self._sync("reverse", mode)
        order = ("forward", "reverse")
        if self._places() != before:
            # The copies that the desktop has just got are read for the first time.
            order, rows = ("reverse", "forward"), self._rows()
            self._sync("forward", mode)
            assert self._rows() == rows, "the way forward answered the way back"
        self._quiet(*order, mode=mode)
        self._check_forward(mode)
        self._check_reverse(mode)

    def _quiet(self, *ways: str, mode: str) -> None:
        """A run each way that has nothing to do."""
        before, disputes = self._places(), self._recorded()
        for way in ways:
            for result in self._sync(way, mode).values():
                counts = result.counts
                assert counts.inserted == counts.updated == 0, (way, counts)
        assert self._places() == before, "runs without changes wrote"
        assert self._recorded() == disputes, "runs without changes recorded something"

    def _places(self) -> list[Any]:
        """Where every row of the synced tables stands, and of the bases."""
        return self._rows() + [
            {(name, key): row["place"] for name, rows in known.items() for key, row in rows.items()}
            for known in map(self.bases, self.ways.values())
        ]

    def _rows(self) -> list[Any]:
        return [_placed(self.look(side)) for side in ("desktop", "mobile")]

    def _recorded(self) -> list[int]:
        query = "select (select count(*) from sync.conflict) + (select count(*) from sync.change)"
        return [side.value(query) for _, side in self._sides]

    def _check_forward(self, mode: str) -> None:
        """Every row of the desktop's own is on mobile, or it is accounted for."""
        way, views = self.ways["forward"], self._views()
        bases = self.bases(way)
        parked = way.target.rows("select * from sync.parked")
        rejected = way.target.rows("select * from sync.rejected")
        for table in self.tables:
            waiting = {
                table.key(p["key"]): p["parent_key"] for p in parked if p["entity"] == table.name
            }
            refused = [r for r in rejected if r["entity"] == table.name]
            refused_keys = {table.key(r["key"]) for r in refused if r["key"]}
            here = {table.key(f.row): f for f in views["mobile"][table.name]}
            for key, rows in _by_key(table, views["desktop"][table.name]).items():
                at, base = (table.name, key), bases[table.name].get(key)
                if _unreadable(table, key):
                    payloads = [table.key(_numbers(table, r["payload"])) for r in refused]
                    assert key in payloads, (at, "is lost")
                elif key in waiting:
                    parents = {str(f.row["rem_id"]) for f in views["mobile"]["reminder"]}
                    assert waiting[key] not in parents, (at, "waits although its parent is here")
                elif key in refused_keys:
                    assert any(row[c] is None for row in rows for c in table.needed), (at, refused)
                elif key in self.theirs[table.name]:
                    self._check_disputed(way, table, key, views, base, mode)
                elif key in here:
                    self._check_accepted(table, at, rows, base)
                    assert base
                    for f in table.entity.values:
                        self._check_field("mobile", at, f.column, here[key].row, base)
                    for f, _ in table.entity.lookups:
                        assert base[f.column] == self._looked_up(here[key].row), (at, base)
                else:
                    assert at in self.deleted["mobile"], (at, "is not on mobile")
                    # Where a mobile row was in its place, only a full read finds that it has gone.
                    if base or mode == "full":
                        self._check_accepted(table, at, rows, base)

    def _check_accepted(
        self, table: Table, at: tuple[str, Key], rows: list[Row], base: Row | None
    ) -> None:
        """The base is what the source has."""
        columns = [f.column for f in table.entity.fields if not f.lookup]
        assert base, (at, "was never accepted")
        assert base["_missing_since"] is None, (at, "counts as missing")
        delivered = [{c: row[c] for c in columns} for row in rows]
        assert {c: base[c] for c in columns} in delivered, (at, "not what there is", base, rows)

    def _check_disputed(
        self, way: Way, table: Table, key: Key, views: Views, base: Row | None, mode: str
    ) -> None:
        """What differs from a row of another owner is a conflict that somebody can decide, or has.

        Not what had been accepted before the row became another owner's; and if that row has moved on
        since the source was read, a full read finds what it differs in now.
        """
        found = self._differences(way, table, key, views)
        columns = [f.column for f in way.system[table.name].values if not f.lookup]
        rows = [
            f.row
            for f in views["desktop" if way.name == "forward" else "mobile"][table.name]
            if table.key(f.row) == key
        ]
        known = base and any(all(base[c] == row[c] for c in columns) for row in rows)
        if mode != "full" or known or ({}, {}) in found:
            return
        recorded = way.target.rows(
            "select source, local from sync.conflict where kind = 'owner' and system = %s"
            " and entity = %s and (resolved_at is null or resolution = 'local')"
            " and key = %s order by id desc",
            way.system.name,
            table.name,
            Jsonb(dict(zip(table.entity.key, key, strict=True))),
        )
        sides = [(c["source"], c["local"]) for c in recorded]
        assert any(one in sides for one in found), (way.name, table.name, key, found, sides)

    def _looked_up(self, task: Row) -> Any:
        """The client of a task's job on mobile."""
        jobs = [f.row for f in self.look("mobile")["jobshead"] if f.row["job_id"] == task["job_id"]]
        first = min(jobs, key=lambda job: job["sporg_id"], default=None)
        return first and first["client_id"]

    def _check_field(
        self, side: str, at: tuple[str, Key], column: str, here: Row, base: Row
    ) -> None:
        """It holds what its source delivered, or what somebody here entered."""
        if here[column] != base[column]:
            entered = self.entered[side][*at, column]
            assert here[column] in entered, (side, at, column, here[column], base[column], entered)

    def _check_reverse(self, mode: str) -> None:
        """Every row of mobile users is on the desktop, or it is accounted for."""
        way, views = self.ways["reverse"], self._views()
        bases = self.bases(way)
        for table in self.tables:
            own = _by_key(table, views["desktop"][table.name])
            copies = {table.key(f.row): f for f in views["desktop"][table.name] if f.mobiles}
            columns = [f.column for f in table.back.fields]
            for found in (f for f in views["mobile"][table.name] if f.mobiles):
                key = table.key(found.row)
                at, base = (table.name, key), bases[table.name].get(key)
                if key in own:
                    self._check_disputed(way, table, key, views, base, mode)
                    continue
                if key not in copies:
                    assert at in self.deleted["desktop"], (at, "is not on the desktop")
                    # Where a row of the desktop's own was in its place, only a full read finds it gone.
                    if not base and mode != "full":
                        continue
                assert base, (at, "was never accepted by the desktop")
                assert base["_missing_since"] is None, (at, "counts as missing")
                assert {c: base[c] for c in columns} == {c: found.row[c] for c in columns}, at
                if key in copies:
                    for f in table.back.values:
                        self._check_field("desktop", at, f.column, copies[key].row, base)
                    self._check_disputed(self.ways["forward"], table, key, views, None, mode)


OWN: LiteralString = "coalesce(rtrim(source::text), '') <> 'M'"
COPY: LiteralString = "source = 'M'"


def _own(view: View) -> dict[str, list[str]]:
    return {name: sorted(f.image for f in rows if not f.mobiles) for name, rows in view.items()}


def _theirs(view: View) -> dict[str, dict[Key, str]]:
    return {
        name: {TABLES[name].key(f.row): f.image for f in rows if f.mobiles}
        for name, rows in view.items()
    }


def _keys(view: View, *, mobiles: bool) -> dict[str, set[Key]]:
    return {
        name: {TABLES[name].key(f.row) for f in rows if f.mobiles == mobiles}
        for name, rows in view.items()
    }


def _kept(view: View, side: str) -> dict[str, set[Key]]:
    """Keys of the rows that a sync may have put there, and never takes away."""
    return {
        name: {TABLES[name].key(f.row) for f in rows if f.mobiles or side == "mobile"}
        for name, rows in view.items()
    }


def _placed(view: View) -> dict[str, list[str]]:
    return {name: sorted(f.place + f.image for f in rows) for name, rows in view.items()}


def _by_key(table: Table, rows: list[Found]) -> dict[Key, list[Row]]:
    """The desktop's own rows."""
    groups: dict[Key, list[Row]] = defaultdict(list)
    for found in rows:
        if not found.mobiles:
            groups[table.key(found.row)].append(found.row)
    return groups


def _unreadable(table: Table, key: Key) -> bool:
    """Whether a part of the key is null where null does not count."""
    fields = zip(table.entity.key_fields, key, strict=True)
    return any(part is None and not f.nulls_not_distinct for f, part in fields)


def _numbers(table: Table, payload: Row) -> Row:
    """A rejected record's key as the tables show it; records are texts."""
    return {
        c: int(v) if v is not None and v.isdecimal() else v
        for c, v in payload.items()
        if c in table.entity.key
    }


def _check_as_planned(planned: MergeResult, result: MergeResult) -> None:
    """The run did what was planned, but for what the table refused."""
    expected, counts = planned.counts.as_dict(), result.counts.as_dict()
    if counts["rejected"] > expected["rejected"]:
        for name in ("inserted", "updated", "unchanged", "conflicted", "rejected"):
            del expected[name], counts[name]
    assert counts == expected, (planned, result)
