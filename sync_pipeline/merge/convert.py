"""From source records to rows: keys, digests and converted values, in bulk and without Postgres.

The digest covers the mapped source fields and the mapping itself, nothing else: a change of an
unmapped field is no change, and a new mapping re-reads every record.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from sync_pipeline.errors import ConversionError
from sync_pipeline.merge import lines
from sync_pipeline.merge.stream import Record
from sync_pipeline.model.entity import Entity, Field, source_value
from sync_pipeline.model.types import to_text

# Raised when a conversion rule changes its meaning, so that records already accepted are read again.
CONVERSIONS = 1
# The escape of a NUL; after an odd number of backslashes it is the text \\u0000 itself.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass
class Rejection:
    """A record that cannot be merged, with its reason.

    Attributes:
        reason: names the field, the value and the rule.
        record: the raw record.
        seq: its place in `seen`, when its key could be read.
        constraint: the constraint or index that refused it.
    """

    reason: str
    record: Any
    seq: int | None = None
    constraint: str | None = None


@dataclass
class Keyed:
    """A chunk of records whose keys could be read.

    Attributes:
        records: raw records.
        values: their mapped source values, in the order of the converter's names.
        keys: converted keys, one tuple per record.
        digests: hexadecimal, one per record.
        modified: the source's modification times; None where unknown.
    """

    records: list[Record] = field(default_factory=list)
    values: list[list[Any]] = field(default_factory=list)
    keys: list[tuple[Any, ...]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    modified: list[dt.datetime | None] = field(default_factory=list)

    def extend(self, other: Keyed) -> None:
        """Add the records of another chunk."""
        self.records += other.records
        self.values += other.values
        self.keys += other.keys
        self.digests += other.digests
        self.modified += other.modified


class Converter:
    """Reads records of one entity."""

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self._partial = entity.absent == "unknown"
        self._names = tuple(name for f in entity.fields for name in f.sources)
        self._key_fields, self._values = entity.key_fields, entity.values
        self._modified = entity.field(entity.modified) if entity.modified else None

    @cached_property
    def fingerprint(self) -> bytes:
        """Sixteen bytes that name the mapping: columns, types, source names, key, absent."""
        shape = [
            [f.column, f.type.name, list(f.type.args), list(f.sources)] for f in self.entity.fields
        ]
        mapping = [CONVERSIONS, self.entity.absent, list(self.entity.key), shape]
        return hashlib.blake2b(orjson.dumps(mapping), digest_size=16).digest()

    @cached_property
    def _hash(self) -> Any:
        # Copying the keyed state costs half of setting it up again for every record.
        return hashlib.blake2b(digest_size=16, key=self.fingerprint)

    def keyed(self, records: Sequence[Record]) -> tuple[Keyed, list[Rejection]]:
        """Keys and digests of a chunk, and the records that have no usable key."""
        values = [list(map(r.get, self._names)) for r in records]
        source, failures = self._by_field(records, values), {}
        keys = list(
            zip(*(_key_column(f, source(f), failures) for f in self._key_fields), strict=True)
        )
        if failures:
            rejections = [Rejection(failures[i], records[i]) for i in sorted(failures)]
            keyed, _ = self.keyed([r for i, r in enumerate(records) if i not in failures])
            return keyed, rejections
        digests = list(map(self._digest, records, values))
        # What cannot be read is None here; the full conversion rejects it with the reason.
        f = self._modified
        modified = _column(f, source(f), {}) if f else [None] * len(records)
        return Keyed(list(records), values, keys, digests, modified), []

    def _by_field(
        self, records: Sequence[Record], values: Sequence[list[Any]]
    ) -> Callable[[Field], Sequence[Any]]:
        """Turn records into columns, once for all fields."""
        by_name = dict(zip(self._names, zip(*values, strict=True), strict=False))

        def source(f: Field) -> Sequence[Any]:
            if len(f.sources) > 1:
                return [source_value(f, record) for record in records]
            return by_name.get(f.sources[0], ())

        return source

    def _digest(self, record: Record, values: list[Any]) -> str:
        # In a partial record, absent is not null.
        given = [name in record for name in self._names] if self._partial else None
        digest = self._hash.copy()
        digest.update(
            orjson.dumps(
                (values, given) if given else values,
                default=str,
                option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS,
            )
        )
        return digest.hexdigest()

    def rows(self, keyed: Keyed, picked: Sequence[int]) -> tuple[list[tuple], dict[int, str]]:
        """Converted values of the picked records, as `lines` takes them.

        Returns:
            Rows in the order of `picked`, each the absent columns (None unless records are partial)
            followed by the values outside the key; and the reason per position that cannot be
            converted, whose row is to be left out.
        """
        records = [keyed.records[i] for i in picked]
        source = self._by_field(records, [keyed.values[i] for i in picked])
        failures: dict[int, str] = {}
        columns = [_column(f, source(f), failures) for f in self._values]
        for i, f in enumerate(self._values):
            if f.type.is_list:
                columns[i] = [lines.array(value) for value in columns[i]]
        absent = [self._absent(r) for r in records] if self._partial else itertools.repeat(None)
        return list(zip(absent, *columns, strict=False)), failures

    def _absent(self, record: Record) -> str | None:
        gone = [f.column for f in self._values if not any(n in record for n in f.sources)]
        return lines.array(gone or None)


def _key_column(f: Field, raw: Sequence[Any], failures: dict[int, str]) -> list[Any]:
    """One column of the key; always converted, because nothing may refuse a key later."""
    column = _column(f, raw, failures, always=True)
    if not f.null_counts and None in column:
        reason = f"{f.sources[0]} is empty, and it is part of the key"
        for position in (i for i, value in enumerate(column) if value is None):
            failures.setdefault(position, reason)
    return column


def _column(
    f: Field, raw: Sequence[Any], failures: dict[int, str], *, always: bool = False
) -> list[Any]:
    """One field of many records: a plain comprehension, and value by value only when one fails.

    Args:
        f: the field.
        raw: its values as the source gave them.
        failures: receives the reason per position that cannot be converted; its value is None.
        always: convert even values that are already of the type's plain Python type.
    """
    convert, plain = f.type.convert, None if always else f.type.plain
    try:
        return [None if v is None else v if type(v) is plain else convert(v) for v in raw]
    except ConversionError:
        return _column_slowly(f, raw, failures)


def _column_slowly(f: Field, raw: Sequence[Any], failures: dict[int, str]) -> list[Any]:
    values = []
    for position, value in enumerate(raw):
        try:
            values.append(_converted(f, value))
        except ConversionError as error:
            failures.setdefault(position, f"{f.sources[0]} → {f.column}: {error}")
            values.append(None)
    return values


def _converted(f: Field, value: Any) -> Any:
    return None if value is None else f.type.convert(value)


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
    """Names a record that has no key, so that delivering it again is not a second rejection."""
    return hashlib.blake2b(_canonical(payload(record)), digest_size=16).hexdigest()


def key_text(key: tuple[Any, ...]) -> str:
    """A key for people and messages."""
    return ", ".join(to_text(part) or "∅" for part in key)
