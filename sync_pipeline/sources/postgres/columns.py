"""The columns of a source table: how each is selected, compared as a key, and decoded."""

import codecs
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, LiteralString

import orjson
from psycopg import errors, sql

from sync_pipeline.errors import SourceRefused
from sync_pipeline.merge.convert import Converter
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres import catalog
from sync_pipeline.postgres.connect import Connection

Decode = Callable[[str], Any]
RowFilter = tuple[str, tuple[str, ...]]
"""A column, and its text in the rows that are read."""


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source declares it.

    Attributes:
        name: its name.
        type: its type without length, as Postgres spells it.
    """

    name: str
    type: LiteralString

    @property
    def text_like(self) -> bool:
        """Whether its values are texts; these are compared byte by byte, whatever the collation."""
        return self.type in {"text", "character varying", "character", "bpchar", "name", "citext"}

    @property
    def selected(self) -> sql.Composed:
        """The expression that is selected: a char without its padding, a list as JSON."""
        name = sql.Identifier(self.name)
        if self.type in {"character", "bpchar"}:
            return sql.SQL("{}::text").format(name)
        return sql.SQL("to_json({})" if self.type.endswith("[]") else "{}").format(name)

    @property
    def decode(self) -> Decode | None:
        """Converts the text to the value; None where the text is the value."""
        return _decode_json if self.type in {"json", "jsonb"} or self.type.endswith("[]") else None

    @property
    def key_value(self) -> sql.Composed:
        """The expression by which keys are compared."""
        name = sql.Identifier(self.name)
        return sql.SQL('({}::text collate "C")' if self.text_like else "{}").format(name)

    @property
    def key_type(self) -> sql.SQL:
        """The type of `key_value`."""
        return sql.SQL("text" if self.text_like else self.type)

    @property
    def range_value(self) -> sql.Composed:
        """The expression by which a table is divided into ranges.

        Texts are divided by their hash: their order depends on a collation, and they may be invalid text.
        """
        hashed = sql.SQL("hashtextextended({}, 0)")
        return hashed.format(self.key_value) if self.text_like else self.key_value

    @property
    def range_type(self) -> sql.SQL:
        """The type of `range_value`."""
        return sql.SQL("bigint" if self.text_like else self.type)


@dataclass(frozen=True)
class SourceTable:
    """A table or view as one entity reads it.

    Attributes:
        relation: its name in SQL.
        columns: those that are read, in the order of the entity's fields.
        absent: source names that it does not have.
        row_filter: which of its rows are read; None: all.
        encoding: in which the server stores text.
        version: of the server, as a number.
        fingerprint: of the entity's conversion of a row.
    """

    relation: sql.SQL
    columns: tuple[SourceColumn, ...]
    absent: tuple[str, ...]
    row_filter: RowFilter | None
    encoding: str
    version: int
    fingerprint: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> SourceColumn:
        """A column that is read."""
        return next(c for c in self.columns if c.name == name)

    @property
    def selected(self) -> sql.Composed:
        """The expressions that are read."""
        return sql.SQL(", ").join(c.selected for c in self.columns)

    @property
    def row_condition(self) -> sql.Composable:
        """The row filter as a condition."""
        if self.row_filter is None:
            return sql.SQL("true")
        column, values = self.row_filter
        return sql.SQL("rtrim({}::text) = any({})").format(
            sql.Identifier(column), sql.Literal(list(values))
        )

    @property
    def mapping(self) -> str:
        """Digest of what is read of a row and how it is converted; range digests compare only within one."""
        columns = [[c.name, c.type] for c in self.columns]
        shape = [columns, self.row_filter, self.encoding, self.version // 10000, self.fingerprint]
        return hashlib.blake2b(orjson.dumps(shape), digest_size=8).hexdigest()


# Numbers of which a double may lose digits. A match inside a string only costs time.
_LONG_NUMBER = re.compile(r"[0-9.]{16}|[0-9][eE][+-]?[0-9]{3}")


def _decode_json(text: str) -> Any:
    """The value of a JSON text, to the last digit; bytes if Python cannot parse it.

    A number that a double cannot hold becomes a Decimal. The conversion to JSON refuses Decimals and bytes,
    so the record is rejected.
    """
    try:
        if not _LONG_NUMBER.search(text):
            return orjson.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(text, parse_float=_lossless)
    except (ValueError, RecursionError):
        return text.encode()


def _lossless(digits: str) -> float | Decimal:
    number = float(digits)
    return number if Decimal(repr(number)) == Decimal(digits) else Decimal(digits)


def columns_of(connection: Connection, relation: str) -> dict[str, SourceColumn]:
    """The columns of a table or view by name; empty when there is no such relation."""
    try:
        with connection.transaction():
            types = catalog.column_types(connection, relation)
    except (errors.SyntaxError, errors.InvalidName, errors.FeatureNotSupported):
        return {}  # not a valid name; newer servers return null instead of an error
    return {name: SourceColumn(name, type_.bare) for name, type_ in types.items()}


def source_table(
    connection: Connection,
    entity: Entity,
    *,
    row_filter: RowFilter | None,
    variable: str,
) -> SourceTable:
    """The table of an entity.

    Raises:
        SourceRefused: the table, or a column of its key, is not there.
    """
    where = f"{entity.system}/{entity.name}"
    present = columns_of(connection, entity.source)
    if not present:
        raise SourceRefused(
            f"{where}: the database in {variable} has no table {entity.source}, or its role may not see it"
        )
    mapped = [name for f in entity.fields for name in f.sources]
    owner_columns = [entity.owner.source] if entity.owner and entity.owner.source else []
    for f in entity.key_fields:
        if not set(f.sources) & set(present):
            raise SourceRefused(
                f"{where}: the source's table {entity.source} has no column {' or '.join(f.sources)}, which"
                " is part of the key. Add it there, or give the entity another key."
            )
    for name in [*(row_filter or ())[:1], *owner_columns]:
        if name not in present:
            raise SourceRefused(
                f"{where}: the source's table {entity.source} has no column {name}, which holds the owner of"
                " a row. Without it the owners' rows cannot be distinguished; add it there."
            )
    row = connection.execute(
        """
        select to_regclass(%s)::text,
            current_setting('server_encoding'),
            current_setting('server_version_num')::int
        """,
        [entity.source],
    ).fetchone()
    assert row
    relation, encoding, version = row
    requested = dict.fromkeys([*mapped, *owner_columns])
    return SourceTable(
        relation=sql.SQL(relation),
        columns=tuple(present[name] for name in requested if name in present),
        absent=tuple(name for name in requested if name not in present),
        row_filter=row_filter,
        encoding=encoding,
        version=version,
        fingerprint=Converter(entity).fingerprint.hex(),
    )


def codec_of(encoding: str) -> str | None:
    """Python's name of a server encoding; None where it has none, and the server has to convert."""
    if encoding == "SQL_ASCII":
        return "utf-8"  # the server does not check it
    name = "cp1251" if encoding == "WIN" else re.sub(r"^WIN(?=\d)", "cp", encoding)
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None
