"""What must hold of both databases after every run."""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from sync_pipeline_tests.systems.desktop.fault_injection import Direction
from sync_pipeline_tests.systems.desktop.practice_edits import PracticeEdits
from sync_pipeline_tests.systems.desktop.practice_state import (
    Bases,
    View,
    Views,
    desktop_images,
    marked_keys,
    mobile_images,
    row_keys,
    row_versions,
    rows_by_key,
)
from sync_pipeline_tests.systems.desktop.random_histories import TABLES, Key, Row, Table


@dataclass(frozen=True)
class Before:
    """What a run finds on its target.

    Attributes:
        bases: what its source had delivered.
        parked: keys of what waits, by table.
    """

    bases: Bases
    parked: dict[str, set[Key]]


class RunChecks(PracticeEdits):
    """Checks of a run and of the state that runs converge to."""

    def _before(self, direction: Direction) -> Before:
        """What a run finds; what people do from now on, they do during the run."""
        self.touched.clear()
        parked: dict[str, set[Key]] = {t.name: set() for t in self.tables}
        for one in direction.target.rows("select entity, key from sync.parked"):
            parked[one["entity"]].add(TABLES[one["entity"]].key(one["key"]))
        return Before(self.bases(direction), parked)

    def _check_run(self, direction: Direction, run_id: UUID, before: Before) -> None:
        desktop, mobile = self.look("desktop"), self.look("mobile")
        assert mobile_images(mobile) == self.theirs, (
            f"{direction.name} touched rows of mobile users"
        )
        assert desktop_images(desktop) == self.own, (
            f"{direction.name} touched the desktop's own rows"
        )
        self._check_marks(desktop, mobile)
        self._check_new_rows(direction, desktop, mobile, before)
        views = {"desktop": desktop, "mobile": mobile}
        self._check_conflicts(direction, run_id, views, before)

    def _check_marks(self, desktop: View, mobile: View) -> None:
        for table in self.tables:
            keys = Counter(table.key(f.row) for f in mobile[table.name])
            assert not keys or max(keys.values()) == 1, f"{table.name} repeats a key: {keys}"
            copies = Counter(table.key(f.row) for f in desktop[table.name] if f.is_mobile)
            assert not copies or max(copies.values()) == 1, f"two copies in {table.name}: {copies}"
            marks = {f.row["source"] for f in mobile[table.name]}
            assert marks <= {"D", "M"}, f"strange marks in {table.name}: {marks}"

    def _check_new_rows(
        self, direction: Direction, desktop: View, mobile: View, before: Before
    ) -> None:
        """What the run has put on its target: nothing but rows of the source that were never there."""
        forwards = direction.name == "forward"
        side, target = ("mobile", mobile) if forwards else ("desktop", desktop)
        kept, own = row_keys(target, side), marked_keys(desktop, is_mobile=False)
        entered = own if forwards else marked_keys(mobile, is_mobile=True)
        for table in self.tables:
            old, new = self.kept[side][table.name], kept[table.name]
            assert old <= new, f"{direction.name} deleted rows of {table.name}: {old - new}"
            new = new - old
            # What was accepted before and is not there was deleted by people.
            back = new & before.bases[table.name].keys()
            assert not back, f"{direction.name} brought back deleted rows of {table.name}: {back}"
            strange = new - entered[table.name] - before.parked[table.name]
            assert not strange, f"{direction.name} made up rows of {table.name}: {strange}"
            if not forwards:
                beside = new & own[table.name]
                assert not beside, f"copies beside own rows of {table.name}: {beside}"
        self.kept[side] = kept

    def _check_conflicts(
        self, direction: Direction, run_id: UUID, views: Views, before: Before
    ) -> None:
        """What a run has recorded as a conflict of owners is one."""
        for conflict in direction.target.rows(
            "select * from sync.conflict where run_id = %s and kind = 'owner'", run_id
        ):
            table = TABLES[conflict["entity"]]
            key = table.key(conflict["key"])
            if (table.name, key) in self.touched or key in before.parked[table.name]:
                continue  # by now the row may be another one, or the record that waited
            sides = (conflict["source"], conflict["local"])
            found = self._differences(direction, table, key, views)
            assert sides in found, (direction.name, table.name, key, sides, found)
            assert conflict["source"], (direction.name, table.name, key, "nothing conflicts")

    def _differences(
        self, direction: Direction, table: Table, key: Key, views: Views
    ) -> list[tuple[Row, Row]]:
        """The fields in which a row of the source differs from one that is not its own, both ways round.

        Of a key that the desktop has given itself, its copies of a mobile row are of no account.
        """
        columns = [f.column for f in direction.system[table.name].values if not f.lookup]
        there = [f for f in views["desktop"][table.name] if table.key(f.row) == key]
        theirs = [f for f in views["mobile"][table.name] if table.key(f.row) == key and f.is_mobile]
        own = [f for f in there if not f.is_mobile]
        sources, targets = (own or there, theirs) if direction.name == "forward" else (theirs, own)
        return [
            (
                {c: s.row[c] for c in columns if s.row[c] != t.row[c]},
                {c: t.row[c] for c in columns if s.row[c] != t.row[c]},
            )
            for s in sources
            for t in targets
        ]

    def _places(self) -> list[Any]:
        """Where every row of the synced tables stands, and of the bases."""
        return self._rows() + [
            {(name, key): row["place"] for name, rows in known.items() for key, row in rows.items()}
            for known in map(self.bases, self.directions.values())
        ]

    def _rows(self) -> list[Any]:
        return [row_versions(self.look(side)) for side in ("desktop", "mobile")]

    def _recorded(self) -> list[int]:
        query = "select (select count(*) from sync.conflict) + (select count(*) from sync.change)"
        return [side.value(query) for _, side in self._sides]

    def _check_forward(self, mode: str) -> None:
        """Every row of the desktop's own is on mobile, or it is accounted for."""
        direction, views = self.directions["forward"], self._views()
        bases = self.bases(direction)
        parked = direction.target.rows("select * from sync.parked")
        rejected = direction.target.rows("select * from sync.rejected")
        for table in self.tables:
            waiting = {
                table.key(p["key"]): p["parent_key"] for p in parked if p["entity"] == table.name
            }
            refused = [r for r in rejected if r["entity"] == table.name]
            refused_keys = {table.key(r["key"]) for r in refused if r["key"]}
            here = {table.key(f.row): f for f in views["mobile"][table.name]}
            for key, rows in rows_by_key(table, views["desktop"][table.name]).items():
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
                    self._check_conflict(direction, table, key, views, base, mode)
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

    def _check_conflict(
        self,
        direction: Direction,
        table: Table,
        key: Key,
        views: Views,
        base: Row | None,
        mode: str,
    ) -> None:
        """What differs from a row of another owner is a conflict that somebody can decide, or has.

        Not what had been accepted before the row became another owner's; and if that row has moved on
        since the source was read, a full read finds what it differs in now.
        """
        found = self._differences(direction, table, key, views)
        columns = [f.column for f in direction.system[table.name].values if not f.lookup]
        rows = [
            f.row
            for f in views["desktop" if direction.name == "forward" else "mobile"][table.name]
            if table.key(f.row) == key
        ]
        known = base and any(all(base[c] == row[c] for c in columns) for row in rows)
        if mode != "full" or known or ({}, {}) in found:
            return
        recorded = direction.target.rows(
            "select source, local from sync.conflict where kind = 'owner' and system = %s"
            " and entity = %s and (resolved_at is null or resolution = 'local')"
            " and key = %s order by id desc",
            direction.system.name,
            table.name,
            Jsonb(dict(zip(table.entity.key, key, strict=True))),
        )
        sides = [(c["source"], c["local"]) for c in recorded]
        assert any(one in sides for one in found), (direction.name, table.name, key, found, sides)

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
        direction, views = self.directions["reverse"], self._views()
        bases = self.bases(direction)
        for table in self.tables:
            own = rows_by_key(table, views["desktop"][table.name])
            copies = {table.key(f.row): f for f in views["desktop"][table.name] if f.is_mobile}
            columns = [f.column for f in table.back.fields]
            for found in (f for f in views["mobile"][table.name] if f.is_mobile):
                key = table.key(found.row)
                at, base = (table.name, key), bases[table.name].get(key)
                if key in own:
                    self._check_conflict(direction, table, key, views, base, mode)
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
                    self._check_conflict(self.directions["forward"], table, key, views, None, mode)


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
