"""Model-based test of the practice: random histories of edits, runs and faults, checked after every run.

The model is what people last made of the rows that are theirs: the desktop's own rows and the rows that
mobile users own, byte for byte, and the values that people entered into the sync's copies of them. It has
no part of staging, plans or bases; the checks read the bookkeeping only to explain a difference.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg

from sync_pipeline.errors import StoppedByGuard, TargetUnavailable
from sync_pipeline.merge.engine import MergeResult
from sync_pipeline.model.scope import Scope
from sync_pipeline.postgres.connect import Connection
from sync_pipeline_tests.fixtures.desktop import Results, Side
from sync_pipeline_tests.systems.desktop.fault_injection import Torn, Watch
from sync_pipeline_tests.systems.desktop.practice_state import row_versions
from sync_pipeline_tests.systems.desktop.random_histories import Step
from sync_pipeline_tests.systems.desktop.run_checks import RunChecks

LOST = (TargetUnavailable, Torn, psycopg.OperationalError)


def scope(mode: str, **more: Any) -> Scope:
    """The scope that a history's word for it means."""
    return Scope(mode="delta" if mode == "delta" else "full", force=mode == "force", **more)


class PracticeModel(RunChecks):
    """Both databases, the model of what people made of them, and the events of a history."""

    def begin(self) -> None:
        """A desktop and a mobile row in each table, known on both sides."""
        for table in self.tables:
            desk, phone, *_ = table.keys
            edit = next((c, values[0]) for c, values in table.edits.items())
            self.desk_inserts(table.name, desk, "D", edit)
            self.phone_inserts(table.name, phone, edit)
        self.forward("delta")
        self.reverse("delta")

    def apply(self, step: Step) -> None:
        """Apply one event."""
        name, *arguments = step
        getattr(self, name.replace(" ", "_"))(*arguments)

    def forward(self, mode: str) -> Results:
        return self._sync("forward", mode)

    def reverse(self, mode: str) -> Results:
        return self._sync("reverse", mode)

    def forward_meanwhile(self, mode: str, nth: int, step: Step) -> None:
        """A run during which somebody works on the target."""
        self._sync(
            "forward", mode, watch=Watch(nth, partial(self._edit_without_waiting, "mobile", step))
        )

    def reverse_meanwhile(self, mode: str, nth: int, step: Step) -> None:
        """A run during which somebody works on the target."""
        self._sync(
            "reverse", mode, watch=Watch(nth, partial(self._edit_without_waiting, "desktop", step))
        )

    def _edit_without_waiting(self, side: str, step: Step, _: Connection) -> None:
        with self._short_lock_timeout(self._side(side)):
            self.apply(step)

    @contextmanager
    def _short_lock_timeout(self, side: Side) -> Iterator[None]:
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

    def _break(self, direction_name: str, name: str, mode: str, **fault: Any) -> None:
        """A run that breaks off leaves no trace, and the next one does what it would have done."""
        direction, run_id = self.directions[direction_name], uuid4()
        planned = direction.run([name], scope(mode, dry_run=True), uuid4())[name]
        approved = scope(mode, approve=frozenset({planned.digest or ""}))
        before, was = self._before(direction), self.everything()
        try:
            result = direction.broken(name, approved, run_id, **fault)
        except LOST:
            assert self.everything() == was, f"{direction_name} {name}: a broken run left a trace"
            result = self._sync(direction_name, mode, [name])[name]
        else:
            self._check_run(direction, run_id, before)
        _check_as_planned(planned, result)

    def _sync(
        self,
        direction_name: str,
        mode: str,
        names: Sequence[str] = (),
        watch: Watch | None = None,
    ) -> Results:
        """A run; what the guard stops is approved."""
        direction, run_id = self.directions[direction_name], uuid4()
        names = names or [t.name for t in self.tables]
        approve: frozenset[str] = frozenset()
        source = "desktop" if direction_name == "forward" else "mobile"
        before, read = self._before(direction), self.look(source)
        while True:
            try:
                results = direction.run(names, scope(mode, approve=approve), run_id, watch=watch)
                break
            except StoppedByGuard as stopped:
                approve |= {stopped.digest}
        assert row_versions(self.look(source)) == row_versions(read), (
            f"{direction_name} wrote to its source"
        )
        self._check_run(direction, run_id, before)
        return results

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
            assert self._rows() == rows, "the forward run wrote what the reverse run had delivered"
        self._quiet(*order, mode=mode)
        self._check_forward(mode)
        self._check_reverse(mode)

    def _quiet(self, *directions: str, mode: str) -> None:
        """A run each way that has nothing to do."""
        before, conflicts = self._places(), self._recorded()
        for direction in directions:
            for result in self._sync(direction, mode).values():
                counts = result.counts
                assert counts.inserted == counts.updated == 0, (direction, counts)
        assert self._places() == before, "runs without changes wrote"
        assert self._recorded() == conflicts, "runs without changes recorded something"


def _check_as_planned(planned: MergeResult, result: MergeResult) -> None:
    """The run did what was planned, but for what the table refused."""
    expected, counts = planned.counts.as_dict(), result.counts.as_dict()
    if counts["rejected"] > expected["rejected"]:
        for name in ("inserted", "updated", "unchanged", "conflicted", "rejected"):
            del expected[name], counts[name]
    assert counts == expected, (planned, result)
