"""What the doctor says, and about whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Literal

from sync_pipeline.doctor.table_facts import Column, Table
from sync_pipeline.merge.preflight import written
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System

Severity = Literal["error", "warning", "note"]
Mend = Literal["", "migrate", "repair"]


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor found.

    Attributes:
        severity: `error` keeps runs from succeeding, or loses or repeats rows; `warning` will hurt; `note`
            is good to know.
        where: the system and entity, or the database or source.
        problem: what is wrong.
        remedy: how people mend it.
        cost: what happens if it is left.
        kind: what sort of thing it is, one word for programs, such as `key_index`.
        mended_by: how `doctor --fix` mends it, by a migration or a repair; empty where it does not.
    """

    severity: Severity
    where: str
    problem: str
    remedy: str
    cost: str = ""
    kind: str = ""
    fixed_by: Mend = ""


@dataclass(frozen=True)
class EntityCheck:
    """An entity, and what stands for it in a database.

    Attributes:
        system: the entity's.
        entity: as it is declared.
        table: its target table; None where there is none.
        known: entities of all systems in the database, by schema and table.
    """

    system: System
    entity: Entity
    table: Table | None
    known: dict[tuple[str, str], Entity]

    @property
    def where(self) -> str:
        """The place of its findings."""
        return f"{self.system.name}/{self.entity.name}"

    @property
    def name(self) -> str:
        """The target table in words."""
        schema = "" if self.entity.schema == "public" else f"{self.entity.schema}."
        return f"table {schema}{self.entity.table}"

    @property
    def written(self) -> frozenset[str]:
        """Columns that an insert or an update names."""
        return frozenset(written(self.entity))

    @property
    def columns(self) -> Iterator[Column]:
        """The columns of the table that the sync writes."""
        if self.table:
            yield from (c for c in self.table.columns.values() if c.name in self.written)

    def finding(
        self,
        severity: Severity,
        kind: str,
        problem: str,
        *,
        cost: str,
        remedy: str,
        mended_by: Mend = "",
    ) -> Finding:
        """Something about this entity."""
        return Finding(severity, self.where, problem, remedy, cost, kind, mended_by)


def joined(found: Iterable[Finding]) -> Iterator[Finding]:
    """Findings of one place and kind that cost the same and are mended in one way, as one."""
    same = attrgetter("severity", "where", "kind", "cost", "remedy", "fixed_by")
    for _, group in groupby(sorted(found, key=same), key=same):
        first, *rest = group
        yield replace(first, problem="; ".join(f.problem for f in (first, *rest)))


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(names)


def bytes_of(count: int) -> str:
    """A size as people read it: 8 kB, 1.5 MB."""
    size = count / 1024
    for unit in ("kB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return (
                f"{size:,.0f} {unit}" if size >= 10 or size == int(size) else f"{size:,.1f} {unit}"
            )
        size /= 1024
    raise AssertionError("unreachable: GB takes what is left")
