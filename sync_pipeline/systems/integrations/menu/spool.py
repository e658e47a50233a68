"""The items of one menu in a temporary SQLite database, between parser and merge.

The database is deleted with its connection, however that ends, and keeps only a few megabytes in memory.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sync_pipeline.systems.integrations.menu.classify import Classifier, Inherited, Reason
from sync_pipeline.systems.integrations.menu.fields import Node
from sync_pipeline.systems.integrations.menu.formats import KINDS, Kind, MenuRules

BATCH = 1_000
"""Rows in one statement, and records in one batch."""

_SETUP = f"""
pragma journal_mode = off;
pragma synchronous = off;
pragma temp_store = file;
pragma cache_size = -4096;
create table node (number integer primary key, {", ".join(Node._fields[1:])});
create table item (number integer primary key, kind, mapping_id, has_price, category, category_id);
"""
_ADD_NODE = f"insert into node values ({', '.join('?' * len(Node._fields))})"  # noqa: S608  only marks
_ADD_ITEM = "insert into item values (?, ?, ?, ?, ?, ?)"
# Keeps the first with a price, else the first.
_DROP_DUPLICATES = """
with ranked as (
    select number, row_number() over (partition by kind, mapping_id order by has_price desc, number) as rank
    from item
    where mapping_id is not null
)
delete from item where number in (select number from ranked where rank > 1)
"""
_COUNTS = "select kind, count(*) from item group by kind"
_READ = """
select node.*, item.category, item.category_id from item join node using (number)
where item.kind = ? order by number
"""
_NODE_WIDTH = len(Node._fields)


class Spool:
    """Stores the nodes of a menu, classifies them, and returns the items by kind.

    Attributes:
        left_out: number of items left out, by reason; complete after `classify`.
        duplicates: number of items dropped as duplicates, by kind; complete after `classify`.
    """

    def __init__(self) -> None:
        self.left_out: Counter[Reason] = Counter()
        self.duplicates: Counter[Kind] = Counter()
        # An empty name is a private database on disk. Filled in a worker thread, read in another.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SETUP)
        self._database.execute("begin")
        self._buffer: list[Node] = []

    def add(self, node: Node) -> None:
        """Store a node; nodes may come in any order."""
        self._buffer.append(node)
        if len(self._buffer) >= BATCH:
            self._flush()

    def classify(self, rules: MenuRules) -> None:
        """Decide which nodes are items, and drop duplicates. Call after the last node."""
        self._flush()
        self._database.executemany(_ADD_ITEM, self._items(rules))
        before = self._counts()
        self._database.execute(_DROP_DUPLICATES)
        self.duplicates.update(before - self._counts())

    def batches(self, kind: Kind) -> Iterator[list[tuple[Node, str | None, str | None]]]:
        """Items of a kind in the order of the menu, each with the name and id of its category."""
        rows = self._database.execute(_READ, (kind,))
        while batch := rows.fetchmany(BATCH):
            yield [(_node(row), row[-2], row[-1]) for row in batch]

    def close(self) -> None:
        """Delete it; harmless when closed."""
        self._database.close()

    def _flush(self) -> None:
        self._database.executemany(_ADD_NODE, self._buffer)
        self._buffer.clear()

    def _counts(self) -> Counter[Kind]:
        counted = dict(self._database.execute(_COUNTS))
        return Counter({kind: counted.get(kind, 0) for kind in KINDS})

    def _items(self, rules: MenuRules) -> Iterator[tuple[Any, ...]]:
        classifier = Classifier(rules)
        # A stack of the nodes above the current one: in preorder, a node ends when a number passes its last.
        above: list[Inherited] = []
        for row in self._database.execute("select * from node order by number"):
            node = _node(row)
            while above and above[-1].last < node.number:
                above.pop()
            item, below = classifier.classify(node, above[-1] if above else None)
            if node.last > node.number:
                above.append(below)
            if item.left_out is not None:
                self.left_out[item.left_out] += 1
            elif item.kind is not None:
                yield (
                    node.number,
                    item.kind,
                    node.mapping_id,
                    node.has_price,
                    item.category,
                    item.category_id,
                )


def _node(row: tuple[Any, ...]) -> Node:
    return Node._make(row[:_NODE_WIDTH])
