"""Field coverage: the fields that a source sends, compared with those that an entity maps.

Every record of a full scan is counted: one sample record is not enough, because sources omit empty fields.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sync_pipeline.merge.preview import shortened
from sync_pipeline.model.entity import Entity


class FieldCoverage:
    """Counts the filled fields of an entity's records."""

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._records = 0
        self._filled: dict[str, int] = {}
        self._examples: dict[str, Any] = {}

    def observe(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Count the fields of some records; a source omits empty fields."""
        filled, examples = self._filled, self._examples
        for record in records:
            self._records += 1
            for name, value in record.items():
                if name not in filled:
                    filled[name] = 0
                    examples[name] = value
                filled[name] += 1

    def report(self) -> list[dict[str, Any]]:
        """One row per source field: never filled ones first, then unmapped, then mapped.

        Returns:
            Rows of `field`, `state` (mapped, unmapped, or never filled), `fill_percent`, `example`
            (shortened; of personal fields only a beginning) and `column`: the mapped column, or a
            local-only one of a similar name.
        """
        mapped = {name: f for f in self._entity.fields for name in f.sources}
        local = {c.column for c in self._entity.columns}
        rows = []
        for name in sorted({*mapped, *self._filled}):
            f = mapped.get(name)
            filled = self._filled.get(name, 0)
            state = "unmapped" if f is None else "mapped" if filled else "never filled"
            column = f.column if f else column_like(name) if column_like(name) in local else None
            rows.append(
                {
                    "field": name,
                    "state": state,
                    "fill_percent": round(100 * filled / self._records) if self._records else 0,
                    # An unmapped field may be personal.
                    "example": self._example(name, personal=f is None or f.personal),
                    "column": column,
                }
            )
        order = {"never filled": 0, "unmapped": 1, "mapped": 2}
        return sorted(rows, key=lambda row: order[row["state"]])

    def _example(self, name: str, *, personal: bool) -> str:
        value = self._examples.get(name)
        return "" if value is None else shortened(value, personal=personal)


def column_like(name: str) -> str:
    """The column name that a source field would have: `Paid?` → `paid`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
