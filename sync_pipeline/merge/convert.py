"""From source records to rows: keys, digests and converted values, in bulk and without Postgres.

The digest covers the mapped source fields and the mapping itself, nothing else: a change of an
unmapped field is no change, and a new mapping re-reads every record.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from sync_pipeline.errors import ConversionError
from sync_pipeline.merge import copy_format
from sync_pipeline.merge.stream import Record
from sync_pipeline.model.entity import Entity, Field, source_value
from sync_pipeline.model.types import shown, to_text

# Raised when a conversion rule changes its meaning, so that records already accepted are read again.
CONVERSIONS = 1
_ABSENT = "\x00absent"
# The escape of a NUL; after an odd number of backslashes it is the text \\u0000 itself.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass
class Rejection:
    """A record that cannot be merged, with its reason."""

    reason: str  # names the field, the value and the rule
    record: Any  # the raw record
    seq: int | None = None  # its number in `seen`, when its key could be read
    constraint: str | None = None  # the constraint or index that refused it


@dataclass
class Keyed:
    """A chunk of records whose keys could be read; each list has one item per record."""

    records: list[Record] = field(default_factory=list)  # raw
    keys: list[tuple[Any, ...]] = field(default_factory=list)  # converted
    digests: list[str] = field(default_factory=list)  # hexadecimal
    modified: list[dt.datetime | None] = field(default_factory=list)  # None where unknown
    elsewhere: list[bool] = field(default_factory=list)  # it is of another owner's row

    def extend(self, other: Keyed) -> None:
        """Add the records of another chunk."""
        for name, values in vars(self).items():
            values.extend(getattr(other, name))

    def subset(self, which: slice) -> Keyed:
        """Some of the records."""
        return Keyed(*(values[which] for values in vars(self).values()))


class Converter:
    """Converts records of one entity."""

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self._partial = entity.absent == "unknown"
        self._names = tuple(name for f in entity.fields for name in f.sources)
        self._key_fields = entity.key_fields
        self._modified = entity.field(entity.modified) if entity.modified else None

    @cached_property
    def fingerprint(self) -> bytes:
        """Sixteen bytes that identify the mapping: columns, types, source names, key, absent."""
        shape = [
            [f.column, f.type.name, list(f.type.args), list(f.sources)] for f in self.entity.fields
        ]
        mapping = [CONVERSIONS, self.entity.absent, list(self.entity.key), shape]
        return hashlib.blake2b(orjson.dumps(mapping), digest_size=16).digest()

    @cached_property
    def _hash(self) -> Any:
        # Copying the initialized state takes half the time of initializing it for every record.
        return hashlib.blake2b(digest_size=16, key=self.fingerprint)

    def keyed(self, records: Sequence[Record]) -> tuple[Keyed, list[Rejection]]:
        """Keys and digests of a chunk, and the records that have no usable key."""
        failures: dict[int, str] = {}
        columns = [self._key_column(f, records, failures) for f in self._key_fields]
        rejections = [
            Rejection(self._rest_of_key(records[i], reason) + reason, records[i])
            for i, reason in sorted(failures.items())
        ]
        keys = list(zip(*columns, strict=True))
        if failures:
            usable = [i for i in range(len(records)) if i not in failures]
            records, keys = [records[i] for i in usable], [keys[i] for i in usable]
        digests = [self._digest(record) for record in records]
        modified, elsewhere = self._modified_times(records), self._elsewhere(records)
        return Keyed(list(records), keys, digests, modified, elsewhere), rejections

    def _rest_of_key(self, record: Record, reason: str) -> str:
        """The usable columns of a key of several columns, to identify the record beside the reason."""
        if len(self._key_fields) == 1:
            return ""
        values = ((f.column, source_value(f, record)) for f in self._key_fields)
        named = [f"{c} {shown(v)}" for c, v in values if v not in {None, ""} and c not in reason]
        return f"{', '.join(named)}: " if named else ""

    def _elsewhere(self, records: Sequence[Record]) -> list[bool]:
        """Whether each record is of another owner's row."""
        owner = self.entity.owner
        if owner is None or owner.source is None:
            return [False] * len(records)
        marks = {mark: not owner.owns(mark) for mark in {r.get(owner.source) for r in records}}
        return [marks[record.get(owner.source)] for record in records]

    def _key_column(
        self, f: Field, records: Sequence[Record], failures: dict[int, str]
    ) -> list[Any]:
        """One column of the key; always converted, because no later step can reject a key."""
        column = _column(f, records, failures, always=True)
        if not f.nulls_not_distinct and (None in column or "" in column):
            reason = f"{f.sources[0]} is empty, and it is part of the key"
            for position in (i for i, value in enumerate(column) if value in {None, ""}):
                failures.setdefault(position, reason)
        return column

    def _digest(self, record: Record) -> str:
        if self._partial:
            values = [record.get(name, _ABSENT) for name in self._names]
        else:
            values = list(map(record.get, self._names))
        digest = self._hash.copy()
        digest.update(_canonical(values))
        return digest.hexdigest()

    def _modified_times(self, records: Sequence[Record]) -> list[dt.datetime | None]:
        """The source's modification times; None where it is absent or cannot be read.

        The full conversion rejects what cannot be read, with the reason.
        """
        if self._modified is None:
            return [None] * len(records)
        return _column(self._modified, records, {})

    def rows(self, keyed: Keyed, picked: Sequence[int]) -> tuple[list[tuple], dict[int, str]]:
        """Converted values of the picked records.

        Returns:
            Rows in the order of `picked`, each the absent columns (None unless records are partial)
            followed by the values outside the key; and the reason per position that cannot be
            converted, whose row is to be left out.
        """
        records = [keyed.records[i] for i in picked]
        failures: dict[int, str] = {}
        columns = [_column(f, records, failures) for f in self.entity.values]
        for i, f in enumerate(self.entity.values):
            if f.type.is_list:
                columns[i] = [copy_format.array(value) for value in columns[i]]
        absent = [self._absent(r) for r in records] if self._partial else [None] * len(records)
        return list(zip(absent, *columns, strict=True)), failures

    def _absent(self, record: Record) -> str | None:
        given = (f for f in self.entity.values if not f.lookup)
        absent = [f.column for f in given if not any(n in record for n in f.sources)]
        return copy_format.array(absent or None)


def _column(
    f: Field, records: Sequence[Record], failures: dict[int, str], *, always: bool = False
) -> list[Any]:
    """One field of many records: a plain comprehension, and value by value only when one fails.

    `failures` receives the reason per position that cannot be converted, whose value is None. Values of the
    type's plain Python type are converted only where `always` is set.
    """
    if f.lookup:
        return [None] * len(records)
    if len(f.sources) == 1:
        name = f.sources[0]
        raw = [record.get(name) for record in records]
    else:
        raw = [source_value(f, record) for record in records]
    convert, plain = f.type.convert, None if always else f.type.plain
    try:
        return [None if v is None else v if type(v) is plain else convert(v) for v in raw]
    except ConversionError:
        return _column_slowly(f, raw, failures)


def _column_slowly(f: Field, raw: Sequence[Any], failures: dict[int, str]) -> list[Any]:
    values = []
    for position, value in enumerate(raw):
        try:
            values.append(None if value is None else f.type.convert(value))
        except ConversionError as error:
            failures.setdefault(position, f"{f.sources[0]} → {f.column}: {error}")
            values.append(None)
    return values


def _canonical(value: Any) -> bytes:
    """The same bytes for the same value."""
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS
    try:
        return orjson.dumps(value, default=str, option=options)
    except TypeError:  # whole numbers beyond 64 bits, lone surrogates
        return json.dumps(value, default=str, sort_keys=True).encode()


def payload_text(record: Any) -> str:
    """A raw record as JSON text that jsonb can hold, whatever its values are."""
    try:
        text = orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # whole numbers beyond 64 bits, lone surrogates
        text = json.dumps(record, default=str, ensure_ascii=False)
        text = text.encode("utf-8", "replace").decode()
    # jsonb cannot hold \\u0000; the record that carries one is exactly the kind that is rejected.
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def payload(record: Any) -> Any:
    """A raw record as JSON can hold it."""
    return json.loads(payload_text(record))  # unlike orjson's, exact for numbers of any size


def record_fingerprint(record: Any) -> str:
    """Identifies a record without a usable key, so that delivering it again is not a second rejection."""
    return hashlib.blake2b(_canonical(payload(record)), digest_size=16).hexdigest()


def key_text(key: tuple[Any, ...]) -> str:
    """A key as messages show it."""
    return ", ".join(to_text(value) or "∅" for value in key)
