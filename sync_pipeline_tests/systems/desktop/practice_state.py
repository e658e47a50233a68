"""Both databases of the practice as they stand: rows, bases and bookkeeping."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from sync_pipeline.merge.schema.metadata import base_name
from sync_pipeline_tests.fixtures.desktop import Practice, Side
from sync_pipeline_tests.systems.desktop.fault_injection import Direction, forward, reverse
from sync_pipeline_tests.systems.desktop.random_histories import TABLES, Key, Row, Table

BOOKS = ("cursor", "conflict", "change", "parked", "rejected", "step", "plan", "request")


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
    def is_mobile(self) -> bool:
        """Whether it carries the mobile users' mark."""
        return (self.row["source"] or "").strip() == "M"


View = dict[str, list[Found]]


Views = dict[str, View]


Bases = dict[str, dict[Key, Row]]


class PracticeState:
    """Both databases, and what people last made of the rows that are theirs."""

    def __init__(self, practice: Practice, names: Sequence[str]) -> None:
        self.practice = practice
        self.tables = [TABLES[n] for n in names]
        self.directions = {
            direction.name: direction for direction in (forward(practice), reverse(practice))
        }
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

    def bases(self, direction: Direction) -> Bases:
        """What the source last delivered, by table and key."""
        parts = [
            f"select '{e.name}' as name, to_jsonb(b.*) as row, b.ctid || ' ' || b.xmin as place"
            f" from sync_base.{base_name(e)} b"
            for e in direction.entities([t.name for t in self.tables])
        ]
        found: Bases = {t.name: {} for t in self.tables}
        for one in direction.target.rows(" union all ".join(parts)):
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

    def _direction_to(self, side: str) -> Direction:
        return self.directions["forward" if side == "mobile" else "reverse"]

    def _table(self, table: Table, side: str) -> str:
        return table.name if side == "mobile" else table.back.table

    def _named(self, name: str, side: str) -> sql.Identifier:
        return sql.Identifier("public", self._table(TABLES[name], side))

    def _names(self, side: str) -> list[str]:
        """Tables of one side that a run may write."""
        direction = self._direction_to(side)
        names = [f"public.{self._table(t, side)}" for t in self.tables]
        names += [f"sync_base.{base_name(direction.system[t.name])}" for t in self.tables]
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

    def _remember(self, *sides: str) -> None:
        """What people have just made of the rows that are theirs."""
        for side in sides or ("desktop", "mobile"):
            view = self.look(side)
            if side == "desktop":
                self.own = desktop_images(view)
            else:
                self.theirs = mobile_images(view)
            self.kept[side] = row_keys(view, side)


def desktop_images(view: View) -> dict[str, list[str]]:
    return {name: sorted(f.image for f in rows if not f.is_mobile) for name, rows in view.items()}


def mobile_images(view: View) -> dict[str, dict[Key, str]]:
    return {
        name: {TABLES[name].key(f.row): f.image for f in rows if f.is_mobile}
        for name, rows in view.items()
    }


def marked_keys(view: View, *, is_mobile: bool) -> dict[str, set[Key]]:
    return {
        name: {TABLES[name].key(f.row) for f in rows if f.is_mobile == is_mobile}
        for name, rows in view.items()
    }


def row_keys(view: View, side: str) -> dict[str, set[Key]]:
    """Keys of the rows that a sync may have put there, and never takes away."""
    return {
        name: {TABLES[name].key(f.row) for f in rows if f.is_mobile or side == "mobile"}
        for name, rows in view.items()
    }


def row_versions(view: View) -> dict[str, list[str]]:
    return {name: sorted(f.place + f.image for f in rows) for name, rows in view.items()}


def rows_by_key(table: Table, rows: list[Found]) -> dict[Key, list[Row]]:
    """The desktop's own rows."""
    groups: dict[Key, list[Row]] = defaultdict(list)
    for found in rows:
        if not found.is_mobile:
            groups[table.key(found.row)].append(found.row)
    return groups
