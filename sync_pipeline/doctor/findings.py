"""Findings of the doctor, and the entity that a check looks at."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partialmethod
from itertools import groupby
from operator import attrgetter
from typing import Literal

from sync_pipeline.merge.preflight import written
from sync_pipeline.model.entity import Entity
from sync_pipeline.model.system import System
from sync_pipeline.postgres.catalog import Column, Table

Severity = Literal["error", "warning", "note"]
Fix = Literal["", "migrate", "repair"]


@dataclass(frozen=True)
class Finding:
    """One thing that the doctor found.

    Attributes:
        severity: `error` keeps runs from succeeding, or loses or repeats rows; `warning` will hurt; `note`
            is good to know.
        where: the system and entity, or the database or source.
        problem: what is wrong.
        remedy: what people can do about it.
        cost: what happens if it is left.
        kind: one word for programs, such as `key_index`.
        fixed_by: how `doctor --fix` fixes it, by a migration or a repair; empty where it does not.
    """

    severity: Severity
    where: str
    problem: str
    remedy: str
    cost: str = ""
    kind: str = ""
    fixed_by: Fix = ""


@dataclass(frozen=True)
class EntityCheck:
    """An entity and its table in one database; `known` are all entities there, by schema and table."""

    system: System
    entity: Entity
    table: Table | None
    known: dict[tuple[str, str], Entity]

    @property
    def where(self) -> str:
        """Where its findings belong."""
        return f"{self.system.name}/{self.entity.name}"

    @property
    def name(self) -> str:
        """The target table in messages."""
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
        fixed_by: Fix = "",
    ) -> Finding:
        """A finding about this entity."""
        return Finding(severity, self.where, problem, remedy, cost, kind, fixed_by)

    error = partialmethod(finding, "error")
    warning = partialmethod(finding, "warning")
    note = partialmethod(finding, "note")


def joined(found: Iterable[Finding]) -> Iterator[Finding]:
    """Findings that differ only in their problem, as one."""
    same = attrgetter("severity", "where", "kind", "cost", "remedy", "fixed_by")
    for _, group in groupby(sorted(found, key=same), key=same):
        first, *rest = group
        yield replace(first, problem="; ".join(f.problem for f in (first, *rest)))


def listed(names: Iterable[str]) -> str:
    """Names as a message lists them."""
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
