"""The types as the running app has them: spellings of keys, renamed and hidden fields, rendering.

Records are stored under the display names that fields had at first; those never change. The
editor may rename or hide a field later, and only what goes in and out of the API follows.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sync_pipeline.simulators.bubble.catalogue.types import BUILT_IN, FieldType, ThingType

Record = dict[str, Any]


@dataclass(slots=True)
class Field:
    """A field of a running app.

    Attributes:
        stored: its key in stored records, which is its first display name.
        display: its name in the API today.
        kind: its kind, as `/meta` spells it.
        database: its name in Bubble's database, which a rename leaves as it was.
        hidden: whether the API leaves it out.
    """

    stored: str
    display: str
    kind: str
    database: str
    hidden: bool = False

    @property
    def family(self) -> str:
        """What constraints distinguish: list, text, number, date, boolean or other."""
        if self.kind.startswith("list."):
            return "list"
        return self.kind if self.kind in ("text", "number", "date", "boolean") else "other"

    @property
    def built_in(self) -> bool:
        """Whether Bubble keeps it, so that the API refuses to write it."""
        return self.stored in _BUILT_IN_NAMES


_BUILT_IN_NAMES = frozenset(f.display for f in BUILT_IN)


class TypeSchema:
    """One type: finds fields by any spelling, and renders records as the API shows them.

    Attributes:
        name: the type in URLs.
        display: the type in the editor.
        fields: by their key in stored records.
        revision: grows with every change to the fields, so that renderings can be kept.
    """

    def __init__(self, kind: ThingType) -> None:
        self.name = kind.name
        self.display = kind.display
        self.fields = {f.display: _field(f) for f in (*BUILT_IN, *kind.fields)}
        self.revision = 0
        self._index()

    def find(self, key: str) -> Field | None:
        """The field by display name, squeezed name or database name."""
        field = self._by_key.get(key)
        return None if field is None or field.hidden else field

    def named(self, display: str) -> Field | None:
        """The visible field with exactly this display name, as bodies must spell it."""
        field = self._by_display.get(display)
        return None if field is None or field.hidden else field

    def add(self, display: str, kind: str = "text") -> None:
        """Add a field, as the editor does; one that exists stays as it is."""
        if display not in self._by_display:
            self.fields[display] = _field(FieldType(display, kind))
            self._index()

    def rename(self, display: str, to: str) -> None:
        """Give a field another display name; the API uses it at once.

        Raises:
            KeyError: no field is called so.
        """
        self._by_display[display].display = to
        self._index()

    def hide(self, display: str, *, hidden: bool = True) -> None:
        """Leave a field out of everything the API returns, or show it again.

        Raises:
            KeyError: no field is called so.
        """
        self._by_display[display].hidden = hidden
        self._index()

    def render(self, record: Record, *, yes_no_always: bool = False) -> Record:
        """A stored record as the API shows it today."""
        shown = {
            self.fields[stored].display: value
            for stored, value in record.items()
            if not self.fields[stored].hidden
        }
        if yes_no_always:
            for field in self.fields.values():
                if field.kind == "boolean" and not field.hidden:
                    shown.setdefault(field.display, False)
        return shown

    def visible(self) -> list[Field]:
        """The fields that the API shows, in the order of the editor."""
        return [field for field in self.fields.values() if not field.hidden]

    def _index(self) -> None:
        self.revision += 1
        self._by_display = {field.display: field for field in self.fields.values()}
        self._by_key: dict[str, Field] = {}
        for spellings in zip(*map(_spellings, self.fields.values()), strict=True):
            for key, field in zip(spellings, self.fields.values(), strict=True):
                self._by_key.setdefault(key, field)


def _spellings(field: Field) -> Iterable[str]:
    squeezed = field.display.replace(" ", "").lower()
    return field.display, field.database, squeezed, re.sub(r"[^a-z0-9_]", "", squeezed)


def _field(declared: FieldType) -> Field:
    if declared.display in _BUILT_IN_NAMES:
        return Field(declared.display, declared.display, declared.kind, declared.display)
    stem = re.sub(r"[^a-z0-9]", "_", declared.display.lower())
    database = f"{stem}_{declared.kind.replace('.', '_')}"
    return Field(declared.display, declared.display, declared.kind, database)
