"""The log of repairs in `sync.repair`: what was done to indexes, and the order of repairs."""

from dataclasses import asdict, dataclass, field
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from sync_pipeline.errors import TargetNotPrepared
from sync_pipeline.postgres.catalog import TableName, exists
from sync_pipeline.postgres.connect import Connection


@dataclass
class IndexChanges:
    """What a repair did to the indexes of its table; stored in `sync.repair.facts`.

    Attributes:
        created: names of the indexes that it created.
        dropped: statements that create the dropped ones again.
        renamed: former and present names.
    """

    created: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)


def open_repair(connection: Connection, table: TableName) -> UUID:
    """Enter a repair, under whose id its rows are kept; raises `TargetNotPrepared` if there is no log."""
    if not exists(connection, TableName("sync", "repair")):
        raise TargetNotPrepared(
            f"{table} cannot be repaired: sync.repair, which keeps what a repair removes, does not exist:"
            " run sync-pipeline migrate"
        )
    repair_id = uuid4()
    connection.execute(
        "insert into sync.repair (id, table_name) values (%s, %s)", [repair_id, str(table)]
    )
    return repair_id


def close_repair(connection: Connection, repair_id: UUID, changes: IndexChanges) -> None:
    """Complete its entry."""
    connection.execute(
        "update sync.repair set facts = %s where id = %s", [Jsonb(asdict(changes)), repair_id]
    )
