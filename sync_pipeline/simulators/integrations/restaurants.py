"""The menus of the brand's restaurants, and edits of them.

Every edit makes a new generation of the menu. Thread-safe.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Lock
from typing import TypeVar

from sync_pipeline.simulators.integrations.credentials import ESTABLISHMENTS
from sync_pipeline.simulators.integrations.node import Node, path_below
from sync_pipeline.simulators.integrations.sample_menus import SEED, SampleMenu, sample_menu

T = TypeVar("T")

FIRST_GENERATION = datetime(2026, 11, 1, 6, tzinfo=UTC)


@dataclass(slots=True)
class _Restaurant:
    menu: SampleMenu
    edits: int = 0


class Restaurants:
    """Menus by establishment; an edit names a node by its path.

    Edits raise KeyError for an unknown establishment or path.
    """

    def __init__(self, seed: int = SEED, scale: float = 1.0) -> None:
        self._lock = Lock()
        self._all = {name: _Restaurant(sample_menu(seed, scale, name)) for name in ESTABLISHMENTS}

    def __contains__(self, establishment: str) -> bool:
        return establishment in self._all

    def generation(self, establishment: str) -> str:
        """The time when the menu was made, in Qu's format."""
        moment = FIRST_GENERATION + timedelta(minutes=self._all[establishment].edits)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def read(self, establishment: str, use: Callable[[SampleMenu], T]) -> T:
        """Call `use` with the menu while edits are locked out."""
        with self._lock:
            return use(self._all[establishment].menu)

    def paths(self, establishment: str, node_type: int) -> list[str]:
        """Paths of the nodes of a type, deleted ones too."""
        return self.read(
            establishment,
            lambda menu: [path for path, node in menu.root.walk() if node.type == node_type],
        )

    def move(self, establishment: str, path: str, to: str) -> str:
        """Move a node below another one, which changes its path and those below it; returns its new path."""
        with self._edit(establishment) as menu:
            target, node = _found(menu, to), _found(menu, path)
            _parent(menu, path).children.remove(node)
            target.children.append(node)
            return path_below(to, node)

    def reprice(self, establishment: str, path: str, price: str | None) -> None:
        """Give a node a price, or none."""
        with self._edit(establishment) as menu:
            _found(menu, path).price = None if price is None else Decimal(price)

    def remove(self, establishment: str, path: str) -> None:
        """Remove a node and all below it."""
        with self._edit(establishment) as menu:
            _parent(menu, path).children.remove(_found(menu, path))

    def mark_deleted(self, establishment: str, path: str, *, deleted: bool = True) -> None:
        """Set a node's `deleted` flag; it stays in the menu."""
        with self._edit(establishment) as menu:
            _found(menu, path).deleted = deleted

    def touch(self, establishment: str) -> str:
        """Make a new generation of the unchanged menu, and return it."""
        with self._edit(establishment):
            pass
        return self.generation(establishment)

    @contextmanager
    def _edit(self, establishment: str) -> Iterator[SampleMenu]:
        restaurant = self._all[establishment]
        with self._lock:
            yield restaurant.menu
            restaurant.edits += 1


def _found(menu: SampleMenu, path: str) -> Node:
    for found, node in menu.root.walk():
        if found == path:
            return node
    raise KeyError(path)


def _parent(menu: SampleMenu, path: str) -> Node:
    return _found(menu, path.rpartition("-")[0])
