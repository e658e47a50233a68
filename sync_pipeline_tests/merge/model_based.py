"""The merge rule in plain Python: what the SQL must do, written from the rule and not from the SQL.

One table with a text key; fields are texts or None. It knows nothing of digests, staging or plans: every
record is compared in full, so that the short cuts of the real merge are put to the test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Values = dict[str, Any]
BAD = "\x00"
"""A value that no conversion accepts: its record is rejected."""


@dataclass(frozen=True)
class Delivered:
    """A record as a source delivers it.

    Attributes:
        values: fields that the record holds; what it leaves out is absent.
        modified: the source's modification time.
        mark: whose record it is, as the source says.
    """

    key: str
    values: Mapping[str, Any]
    modified: int
    mark: str | None = None

    @property
    def bad(self) -> bool:
        """Whether it cannot be converted."""
        return BAD in self.values.values()


@dataclass
class Base:
    """What the source last delivered of one row, and the sync accepted."""

    values: Values
    unknown: set[str]
    modified: int
    missing: bool = False


@dataclass
class Row:
    """A row of the table.

    Attributes:
        values: mapped fields.
        note: a local-only column.
        owner: whose row it is; None is nobody's and so ours.
    """

    values: Values
    note: str | None = None
    owner: str | None = None


@dataclass
class Reference:
    """A table, its bases and its unresolved conflicts.

    Attributes:
        policies: by field, in the table's order.
        absent: what a field that a record leaves out means.
        owned: whether rows and records have owners; ours are marked "D", or not at all.
    """

    policies: dict[str, str]
    absent: Literal["cleared", "unknown"] = "cleared"
    owned: bool = False
    rows: dict[str, Row] = field(default_factory=dict)
    bases: dict[str, Base] = field(default_factory=dict)
    conflicts: dict[tuple[str, str, str | None], tuple[Any, ...]] = field(default_factory=dict)

    def merge(self, records: Sequence[Delivered], *, force: bool, complete: bool) -> dict[str, int]:
        """Merge one run's records, in their order of arrival.

        Returns:
            The terms of the accounting identity that are not zero.
        """
        counts: dict[str, int] = {"read": len(records)}

        def count(term: str, n: int = 1) -> None:
            counts[term] = counts.get(term, 0) + n

        good = [r for r in records if not r.bad]
        count("rejected", len(records) - len(good))
        winners: dict[str, Delivered] = {}
        for record in good:
            winner = winners.get(record.key)
            if winner is None or self._rank(record) >= self._rank(winner):
                winners[record.key] = record
        count("duplicates", len(good) - len(winners))
        for record in winners.values():
            count(self._merge_one(record, force=force))
        if complete:
            seen = {r.key for r in records}
            for key, base in self.bases.items():
                base.missing |= key not in seen
        return {term: n for term, n in counts.items() if n}

    def _rank(self, record: Delivered) -> tuple[bool, int]:
        """The source's own record wins over its copy of another owner's, then the newer one."""
        return not self._elsewhere(record), record.modified

    def _elsewhere(self, record: Delivered) -> bool:
        return self.owned and (record.mark or "").strip() not in {"", "D"}

    def _merge_one(self, record: Delivered, *, force: bool) -> str:
        base, row = self.bases.get(record.key), self.rows.get(record.key)
        if base:
            base.missing = False
        stale = base is not None and record.modified < base.modified and not force
        theirs = row is not None and self.owned and row.owner not in {None, "D"}
        if self._elsewhere(record) or theirs:
            if not stale:
                self._owner_conflict(record, base, row, force=force)
            return "owned_elsewhere"
        if not stale and not self._already(record, base, force=force):
            self.conflicts.pop((record.key, "owner", None), None)  # it is ours by now
        if row is None and base is not None:
            if not stale:
                self._deleted_conflict(record, base)
                self._move(record)
            return "deleted_locally"
        if stale:
            return "unchanged"
        if row is None:
            values = {f: record.values.get(f) for f in self.policies}
            self.rows[record.key] = Row(values, owner="D" if self.owned else None)
            self._move(record)
            return "inserted"
        outcome = self._merge_fields(record, base, row, force=force)
        self._move(record)
        return outcome

    def _merge_fields(self, record: Delivered, base: Base | None, row: Row, *, force: bool) -> str:
        wrote = withheld = False
        for name, policy in self.policies.items():
            if not self._given(record, name):
                continue
            source, local = record.values.get(name), row.values[name]
            if source == local:
                continue
            known = base is not None and name not in base.unknown
            was = base.values[name] if base else None
            if not known:
                take = source is not None and (local is None or force or policy == "source")
                conflict = source is not None and local is not None and not take
            elif force:
                take, conflict = True, False
            elif source == was:
                take = conflict = False
            elif local == was:
                take, conflict = True, False
            else:
                take, conflict = policy == "source", True
            if conflict:
                kept = "source" if take else policy
                self.conflicts[record.key, "field", name] = (was, local, source, kept)
            if take:
                row.values[name] = source
            wrote |= take
            withheld |= conflict and not take
        return "conflicted" if withheld else "updated" if wrote else "unchanged"

    def _given(self, record: Delivered, name: str) -> bool:
        return self.absent == "cleared" or name in record.values

    def _move(self, record: Delivered) -> None:
        """The base becomes what the source delivered."""
        old = self.bases.get(record.key)
        values = dict(old.values) if old else dict.fromkeys(self.policies)
        unknown = set(old.unknown) if old else set(self.policies)
        for name in self.policies:
            if self._given(record, name):
                values[name] = record.values.get(name)
                unknown.discard(name)
        self.bases[record.key] = Base(values, unknown, record.modified)

    def _deleted_conflict(self, record: Delivered, base: Base) -> None:
        changed = {
            f: record.values.get(f)
            for f in self.policies
            if self._given(record, f) and record.values.get(f) != base.values[f]
        }
        if changed:
            was = {f: base.values[f] for f in changed}
            self.conflicts[record.key, "deleted", None] = (was, None, changed, "local")

    def _owner_conflict(
        self, record: Delivered, base: Base | None, row: Row | None, *, force: bool
    ) -> None:
        """Recorded as long as the source differs; what was accepted before the row changed hands is not."""
        if row is None or self._already(record, base, force=force):
            return
        changed = {
            f: record.values.get(f)
            for f in self.policies
            if self._given(record, f) and record.values.get(f) != row.values[f]
        }
        self.conflicts.pop((record.key, "owner", None), None)
        if changed:
            was = {f: row.values[f] for f in changed}
            self.conflicts[record.key, "owner", None] = (None, was, changed, "local")

    def _already(self, record: Delivered, base: Base | None, *, force: bool) -> bool:
        """Whether the same record was accepted before: then nobody looks at its row."""
        return base is not None and not force and self._same_as_last(record, base)

    def _same_as_last(self, record: Delivered, base: Base) -> bool:
        return record.modified == base.modified and all(
            record.values.get(f) == base.values[f] for f in self.policies if self._given(record, f)
        )

    def copy(self) -> Reference:
        """Another reference of the same rules, with nothing in it."""
        return dataclasses.replace(self, rows={}, bases={}, conflicts={})
