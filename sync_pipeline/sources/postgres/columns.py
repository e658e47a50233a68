"""What a table of the source has to offer an entity: its columns, and how each is read."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, LiteralString

import orjson
import psycopg
from psycopg import errors, sql

from sync_pipeline.errors import SourceRefused
from sync_pipeline.merge.convert import Converter
from sync_pipeline.model.entity import Entity
from sync_pipeline.postgres import catalog

Decode = Callable[[str], Any]


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
        """Whether its values are texts; they are compared byte by byte, in every collation alike."""
        return self.type in {"text", "character varying", "character", "bpchar", "name", "citext"}

    @property
    def read(self) -> sql.Composed:
        """The expression that is read.

        A padded char loses its padding, which means nothing; lists come as JSON, which says where one
        item ends.
        """
        name = sql.Identifier(self.name)
        if self.type in {"character", "bpchar"}:
            return sql.SQL("{}::text").format(name)
        return sql.SQL("to_json({})" if self.type.endswith("[]") else "{}").format(name)

    @property
    def decode(self) -> Decode | None:
        """From the text that is read to the value, where that is more than the text."""
        return _document if self.type in {"json", "jsonb"} or self.type.endswith("[]") else None

    @property
    def compared(self) -> sql.Composed:
        """The expression by which keys are compared."""
        name = sql.Identifier(self.name)
        return sql.SQL('({}::text collate "C")' if self.text_like else "{}").format(name)

    @property
    def compared_type(self) -> sql.SQL:
        """The type of what is compared."""
        return sql.SQL("text" if self.text_like else self.type)

    @property
    def ranged(self) -> sql.Composed:
        """The expression by which a table is divided.

        Texts by their hash: their order depends on a collation, and they may not even be text.
        """
        hashed = sql.SQL("hashtextextended({}, 0)")
        return hashed.format(self.compared) if self.text_like else self.compared

    @property
    def ranged_type(self) -> sql.SQL:
        """The type of what divides."""
        return sql.SQL("bigint" if self.text_like else self.type)


@dataclass(frozen=True)
class ColumnReader:
    """How one entity is read from the source.

    Attributes:
        relation: the table or view, as SQL names it.
        columns: those that are read, in the order of the entity's fields.
        absent: source names that the table does not have.
        only: the rows that are meant, by the text of one of their columns.
        encoding: in which the server stores text.
        version: of the server, as a number.
        fingerprint: names what the entity makes of each row.
    """

    relation: sql.SQL
    columns: tuple[SourceColumn, ...]
    absent: tuple[str, ...]
    row_filter: tuple[str, tuple[str, ...]] | None
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
        return sql.SQL(", ").join(c.read for c in self.columns)

    @property
    def meant(self) -> sql.Composable:
        """The condition of the rows that are meant."""
        if self.row_filter is None:
            return sql.SQL("true")
        column, values = self.row_filter
        return sql.SQL("rtrim({}::text) = any({})").format(
            sql.Identifier(column), sql.Literal(list(values))
        )

    @property
    def mapping(self) -> str:
        """Names what is read of each row and made of it; digests of something else are not compared."""
        parts = [[c.name, c.type] for c in self.columns]
        shape = [parts, self.row_filter, self.encoding, self.version // 10000, self.fingerprint]
        return hashlib.blake2b(orjson.dumps(shape), digest_size=8).hexdigest()


# Of these a double may keep only a part; inside a text they mean nothing, and only cost time.
_LONG_NUMBER = re.compile(r"[0-9.]{16}|[0-9][eE][+-]?[0-9]{3}")


def _document(text: str) -> Any:
    """What JSON says, to the last digit; bytes if it says nothing that Python knows.

    A number that is more than a double stays a decimal. No conversion to JSON takes that or bytes, so the
    record is rejected.
    """
    try:
        if not _LONG_NUMBER.search(text):
            return orjson.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(text, parse_float=_exactly)
    except (ValueError, RecursionError):
        return text.encode()


def _exactly(digits: str) -> float | Decimal:
    number = float(digits)
    return number if Decimal(repr(number)) == Decimal(digits) else Decimal(digits)


def columns_of(connection: psycopg.Connection[Any], relation: str) -> dict[str, SourceColumn]:
    """The columns of a table or view by name; empty when there is no such relation."""
    try:
        with connection.transaction():
            types = catalog.column_types(connection, relation)
    except (errors.SyntaxError, errors.InvalidName, errors.FeatureNotSupported):
        return {}  # what is no name names nothing; later servers say so themselves
    return {name: SourceColumn(name, type_.bare) for name, type_ in types.items()}


def reading_of(
    connection: psycopg.Connection[Any],
    entity: Entity,
    *,
    only: tuple[str, tuple[str, ...]] | None,
    variable: str,
) -> ColumnReader:
    """How an entity is read.

    Raises:
        SourceRefused: the table, or a column of its key, is not there.
    """
    where = f"{entity.system}/{entity.name}"
    present = columns_of(connection, entity.source)
    if not present:
        raise SourceRefused(
            f"{where}: the database in {variable} has no table {entity.source}, or its role may not see it"
        )
    wanted = [name for f in entity.fields for name in f.sources]
    if entity.owner and entity.owner.source:
        wanted.append(entity.owner.source)
    absent = tuple(name for name in wanted if name not in present)
    for f in entity.key_fields:
        if not set(f.sources) & set(present):
            raise SourceRefused(
                f"{where}: the source's table {entity.source} has no column {' or '.join(f.sources)}, which"
                " is part of the key. Add it there, or give the entity another key."
            )
    marks = [
        name for name in (only[0] if only else None, entity.owner and entity.owner.source) if name
    ]
    for name in marks:
        if name not in present:
            raise SourceRefused(
                f"{where}: the source's table {entity.source} has no column {name}, which says whose a row"
                " is. Without it nobody's rows are told apart; add it there."
            )
    facts = connection.execute(
        "select to_regclass(%s)::text, current_setting('server_encoding'),"
        " current_setting('server_version_num')::int",
        [entity.source],
    ).fetchone()
    assert facts
    return ColumnReader(
        relation=sql.SQL(facts[0]),
        columns=tuple(present[name] for name in dict.fromkeys(wanted) if name in present),
        absent=absent,
        row_filter=only,
        encoding=facts[1],
        version=facts[2],
        fingerprint=Converter(entity).fingerprint.hex(),
    )


def codec_of(encoding: str) -> str | None:
    """Python's name of a server encoding; None where it has none, and the server has to convert."""
    if encoding == "SQL_ASCII":
        return "utf-8"  # the server does not know what it holds; all else that we write is UTF-8
    name = "cp1251" if encoding == "WIN" else re.sub(r"^WIN(?=\d)", "cp", encoding)
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None
