"""The brand's restaurants while the simulator runs: their menus, and what is done to these.

Every edit makes a new generation of the menu that it touches. Safe to use from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Lock
from typing import TypeVar

from sync_pipeline.simulators.integrations.credentials import ESTABLISHMENTS
from sync_pipeline.simulators.integrations.node import Node, path_below
from sync_pipeline.simulators.integrations.sample_menus import SEED, Grown, grow

T = TypeVar("T")

FIRST_GENERATION = datetime(2026, 11, 1, 6, tzinfo=UTC)


@dataclass(slots=True)
class _Restaurant:
    grown: Grown
    edits: int = 0


class Restaurants:
    """Menus by establishment; an edit names a node by its path.

    Edits raise KeyError for an unknown establishment or path.
    """

    def __init__(self, seed: int = SEED, scale: float = 1.0) -> None:
        self._lock = Lock()
        self._all = {name: _Restaurant(grow(seed, scale, name)) for name in ESTABLISHMENTS}

    def __contains__(self, establishment: str) -> bool:
        return establishment in self._all

    def generation(self, establishment: str) -> str:
        """When the menu was made, in Qu's words."""
        moment = FIRST_GENERATION + timedelta(minutes=self._all[establishment].edits)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def read(self, establishment: str, use: Callable[[Grown], T]) -> T:
        """What `use` makes of the menu, which nobody edits meanwhile."""
        with self._lock:
            return use(self._all[establishment].grown)

    def paths(self, establishment: str, node_type: int) -> list[str]:
        """Paths of the nodes of a type, deleted ones too."""
        return self.read(
            establishment,
            lambda grown: [path for path, node in grown.root.walk() if node.type == node_type],
        )

    def move(self, establishment: str, path: str, to: str) -> str:
        """Hang a node below another, which gives it and all below it new paths; returns its own."""
        with self._edit(establishment) as grown:
            target, node = _found(grown, to), _found(grown, path)
            _parent(grown, path).children.remove(node)
            target.children.append(node)
            return path_below(to, node)

    def reprice(self, establishment: str, path: str, price: str | None) -> None:
        """Give a node a price, or none."""
        with self._edit(establishment) as grown:
            _found(grown, path).price = None if price is None else Decimal(price)

    def remove(self, establishment: str, path: str) -> None:
        """Take a node and all below it out of the menu."""
        with self._edit(establishment) as grown:
            _parent(grown, path).children.remove(_found(grown, path))

    def mark_deleted(self, establishment: str, path: str, *, deleted: bool = True) -> None:
        """Flag a node, which stays in the menu."""
        with self._edit(establishment) as grown:
            _found(grown, path).deleted = deleted

    def touch(self, establishment: str) -> str:
        """Make the menu anew as it is; returns its generation."""
        with self._edit(establishment):
            pass
        return self.generation(establishment)

    @contextmanager
    def _edit(self, establishment: str) -> Iterator[Grown]:
        restaurant = self._all[establishment]
        with self._lock:
            yield restaurant.grown
            restaurant.edits += 1


def _found(grown: Grown, path: str) -> Node:
    for found, node in grown.root.walk():
        if found == path:
            return node
    raise KeyError(path)


def _parent(grown: Grown, path: str) -> Node:
    return _found(grown, path.rpartition("-")[0])
