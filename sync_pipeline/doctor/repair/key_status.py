"""What stands between a table and its unique key; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from sync_pipeline.doctor.repair import worklist
from sync_pipeline.doctor.repair.index_definitions import Index, indexes
from sync_pipeline.doctor.repair.session import fetch_value, settled
from sync_pipeline.doctor.repair.table_layout import layout
from sync_pipeline.doctor.repair.unique_key import Fill, UniqueKey
from sync_pipeline.postgres.connect import Connection


@dataclass(frozen=True)
class KeyStatus:
    """How a table stands to a key.

    Attributes:
        indexes: all of the table, each with why it does not back the key; those that do have no reason.
        duplicate_keys: keys that several rows hold.
        surplus_rows: rows that a repair would merge into others.
        examples: up to three such keys, with their rows' number.
        null_key_rows: rows with a null in the key, as they are now.
    """

    indexes: tuple[tuple[Index, tuple[str, ...]], ...]
    duplicate_keys: int
    surplus_rows: int
    examples: tuple[str, ...]
    null_key_rows: int

    @property
    def serving(self) -> list[str]:
        """Names of the indexes that back the key."""
        return [index.name for index, faults in self.indexes if not faults]

    @property
    def is_sound(self) -> bool:
        """Whether the key is backed and no row contradicts it."""
        return bool(self.serving) and not self.surplus_rows


def survey(connection: Connection, key: UniqueKey, *, fills: Sequence[Fill] = ()) -> KeyStatus:
    """Look at a table.

    Args:
        connection: may be in a transaction.
        key: what is wanted.
        fills: duplicates are looked for among the values that these lead to.

    Raises:
        TargetNotPrepared: the table or a column of the key does not exist.
    """
    with settled(connection, key.place):
        worklist.make(connection, layout(connection, key.place), key, fills)
        keys, surplus = worklist.duplicates(connection)
        found = worklist.examples(connection, key)
        columns = sql.SQL(", ").join(map(sql.Identifier, key.columns))
        nulls = fetch_value(
            connection,
            sql.SQL("select count(*) from only {} where num_nulls({}) > 0").format(
                key.place.relation, columns
            ),
        )
        worklist.drop(connection)
        return KeyStatus(
            indexes=tuple((i, tuple(i.faults(key))) for i in indexes(connection, key.place)),
            duplicate_keys=keys,
            surplus_rows=surplus,
            examples=tuple(f"({values}) in {size} rows" for values, size, _ in found),
            null_key_rows=nulls,
        )
