"""Random histories of the practice: what people do on either side, runs, and faults.

A step is a tuple that names an event of `PracticeModel` and its arguments. Keys are few, so that both sides
meet on them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from sync_pipeline.model.entity import Entity
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE

Key = tuple[Any, ...]
Row = dict[str, Any]
Edit = tuple[str, Any]
Step = tuple[Any, ...]
Steps = st.SearchStrategy[Step]


@dataclass(frozen=True)
class Table:
    """A table that histories play in, under the name of its entity.

    Attributes:
        keys: the few keys that there are.
        strange: keys that only the desktop's table can hold.
        row: columns that a new row needs beside its key.
        needed: those of them that mobile insists on and that the desktop may empty.
        edits: mapped columns that people edit, with the values that they enter.
        desktop_only: columns that only the desktop has.
        mobile_only: columns that people edit on mobile and that the desktop does not hold.
    """

    name: str
    keys: tuple[Key, ...]
    row: Mapping[str, Any]
    edits: Mapping[str, tuple[Any, ...]]
    strange: tuple[Key, ...] = ()
    needed: tuple[str, ...] = ()
    desktop_only: Mapping[str, tuple[Any, ...]] | None = None
    mobile_only: Mapping[str, tuple[Any, ...]] | None = None

    @property
    def entity(self) -> Entity:
        """On its way to mobile."""
        return DESKTOP[self.name]

    @property
    def back(self) -> Entity:
        """On its way to the desktop."""
        return REVERSE[self.name]

    def key(self, row: Row) -> Key:
        """A row's key; its columns have the same names on both sides."""
        return tuple(row[c] for c in self.entity.key)


OFFICE = {"org_id": 1, "loc_id": 1}
WORDS = ("a", "b", None)

TABLES = {
    t.name: t
    for t in (
        Table(
            "jobshead",
            keys=((1, 1), (1, 2), (2, 1)),
            strange=((1, None), (None, 1)),
            row=OFFICE | {"con_id": 1, "client_id": 1},
            needed=("client_id",),
            edits={"work_desc": WORDS, "client_id": (1, 2, None)},
            desktop_only={"jctincharge": ("y", None)},
        ),
        Table(
            "jobtasks",
            keys=((1, 1), (2, 1), (2, 2)),
            strange=((1, None),),
            row=OFFICE | {"con_id": 1},
            edits={"task_desc": WORDS, "taskorder": (1, 2, None)},
            mobile_only={"client_id": (1, 3), "createdby": ("p", None)},
        ),
        Table(
            "taskchecklist",
            keys=((None, "a"), (1, "a"), (None, "b")),
            strange=((1, None),),
            row=OFFICE,
            edits={"comments": WORDS, "completedby": WORDS},
            mobile_only={"job_id": (1, None)},
        ),
        Table(
            "reminder",
            keys=((1,), (2,), (3,)),
            strange=((None,),),
            row=OFFICE | {"year_id": 1, "staff_id": 1},
            needed=("staff_id",),
            edits={"remnotes": WORDS, "staff_id": (1, 2, None)},
        ),
        Table(
            "remdetail",
            keys=((1,), (2,), (3,)),
            strange=((None,),),
            row={"rem_id": 1, "staff_id": 1},
            needed=("rem_id", "staff_id"),
            edits={"rem_id": (1, 2, 3, 4, None), "remresponse": WORDS},
        ),
    )
}

MODES = st.sampled_from(["delta", "delta", "full", "force"])
NTH = st.integers(0, 3)
MARKS = st.sampled_from(["D", None, " "])
STATEMENTS = st.integers(30, 68)
"""At which statement of a merge something happens; those before prepare it, and few merges have more."""


def _edits(
    *columns: Mapping[str, tuple[Any, ...]] | None, filled: bool = False
) -> st.SearchStrategy[Edit]:
    found = {name: values for some in columns for name, values in (some or {}).items()}
    return st.one_of(
        *(
            st.tuples(
                st.just(name), st.sampled_from([v for v in values if not filled or v is not None])
            )
            for name, values in found.items()
        )
    )


def _often(*weighted: tuple[int, Steps]) -> Steps:
    return st.one_of(*(steps for weight, steps in weighted for _ in range(weight)))


def _event(name: str, *arguments: st.SearchStrategy[Any]) -> Steps:
    return st.tuples(st.just(name), *arguments)


def _at_the_desk(table: Table) -> Steps:
    """What people do on the desktop."""
    name, keys, nth = st.just(table.name), st.sampled_from(table.keys), NTH
    edits, filled, marks = _edits(table.edits), _edits(table.edits, filled=True), MARKS
    return _often(
        (2, _event("desk inserts", name, keys, marks, filled)),
        (2, _event("desk sets", name, nth, edits)),
        (2, _event("desk sets", name, nth, filled)),
        (1, _event("desk sets", name, nth, _edits(table.desktop_only or table.edits))),
        (2, _event("desk repeats", name, nth, filled)),
        (1, _event("desk deletes", name, nth)),
        (1, _collision(table)),
        (3, _event("desk sets copy", name, nth, edits)),
        (1, _event("desk deletes copy", name, nth)),
        (1, _event("desk claims copy", name, nth)),
        (1, _event("desk inserts", name, st.sampled_from(table.strange), marks, filled)),
    )


def _collision(table: Table) -> Steps:
    filled = _edits(table.edits, filled=True)
    return _event("desk collides", st.just(table.name), NTH, MARKS, filled)


def _on_the_phone(table: Table) -> Steps:
    """What people do on mobile."""
    name, keys, nth = st.just(table.name), st.sampled_from(table.keys), NTH
    edits, filled = _edits(table.edits), _edits(table.edits, filled=True)
    return _often(
        (3, _event("phone inserts", name, keys, filled)),
        (3, _event("phone sets own", name, nth, edits)),
        (3, _event("phone sets", name, nth, _edits(table.edits, table.mobile_only))),
        (1, _event("phone deletes", name, nth)),
        (1, _event("phone claims", name, nth)),
    )


def _broken(name: str, tables: st.SearchStrategy[str]) -> Steps:
    return st.one_of(
        _event(f"{name} loses target", tables, MODES, STATEMENTS, st.booleans()),
        _event(f"{name} loses source", tables, MODES, st.integers(0, 4)),
    )


def histories(*names: str) -> st.SearchStrategy[list[Step]]:
    """Histories over some tables: rounds of what people do, and a run at the end of each."""
    tables, some = [TABLES[n] for n in names], st.sampled_from(names)
    desk, phone = st.one_of(*map(_at_the_desk, tables)), st.one_of(*map(_on_the_phone, tables))
    decision = _event(
        "resolve conflict",
        st.sampled_from(["mobile", "desktop"]),
        st.integers(0, 3),
        st.sampled_from(["source", "local"]),
    )
    run = _often(
        (3, _event("forward", MODES)),
        (3, _event("reverse", MODES)),
        (1, _event("forward meanwhile", MODES, STATEMENTS, phone)),
        (
            2,
            _event(
                "reverse meanwhile", MODES, STATEMENTS, st.one_of(*map(_collision, tables), desk)
            ),
        ),
        (1, _broken("forward", some)),
        (1, _broken("reverse", some)),
    )
    edits = st.lists(_often((4, desk), (4, phone), (1, decision)), max_size=8)
    return st.lists(st.tuples(edits, run), min_size=2, max_size=12).map(
        lambda rounds: [step for steps, run in rounds for step in (*steps, run)]
    )
