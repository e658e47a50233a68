"""Systems: the entities of one source-and-target pairing, and the checks of the links between them.

Levels are computed from the hard links, never declared.
"""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from sync_pipeline.errors import DeclarationError
from sync_pipeline.model.entity import Entity, Link
from sync_pipeline.model.patch import Patch
from sync_pipeline.model.source_settings import SourceSettings


@dataclass(frozen=True)
class System:
    """One source-and-target pairing with its own tables and rules.

    Attributes:
        name: `bubble`, `desktop`, ...
        entities: in any order; links decide the order of the sync.
        groups: entities that must change together share one transaction.
        patches: repairs of links, after every sync.
        key_prefix: the first components of its asset keys, and its asset group; its name unless it is one
            direction of two.
        source: how its source is named in the environment.
        levels: depth of each entity in the link graph, by name.

    Raises:
        DeclarationError: a link to nowhere, a repeated name, a cycle of hard links.
    """

    name: str
    entities: tuple[Entity, ...]
    groups: tuple[tuple[str, ...], ...] = ()
    patches: tuple[Patch, ...] = ()
    key_prefix: tuple[str, ...] = ()
    source: SourceSettings = field(default_factory=SourceSettings)
    levels: dict[str, int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Check the links and compute the levels."""
        object.__setattr__(self, "key_prefix", self.key_prefix or (self.name,))
        entities = tuple(e.bound_to(self.name, self.key_prefix) for e in self.entities)
        object.__setattr__(self, "entities", entities)
        for problem in self._problems():
            raise DeclarationError(f"system {self.name!r}: {problem}")
        object.__setattr__(self, "levels", _levels(self.entities))

    def __getitem__(self, name: str) -> Entity:
        """The entity of that name.

        Raises:
            KeyError: naming the ones that exist.
        """
        for entity in self.entities:
            if entity.name == name:
                return entity
        known = ", ".join(e.name for e in self.entities)
        raise KeyError(f"{self.name} has no entity {name!r}; it has: {known}")

    @property
    def is_partitioned(self) -> bool:
        """Whether all entities are partitioned; a requested key then names a partition or a record of one."""
        return all(e.partition_by for e in self.entities)

    def together(self, names: Collection[str]) -> tuple[str, ...]:
        """These entities, and those that share a transaction with one of them, in order."""
        groups = [set(group) for group in self.groups if set(group) & set(names)]
        chosen = set(names).union(*groups)
        return tuple(e.name for e in self.in_order() if e.name in chosen)

    def in_order(self) -> tuple[Entity, ...]:
        """Entities by level, then as declared: an order in which every parent precedes its children."""
        return tuple(sorted(self.entities, key=lambda e: self.levels[e.name]))

    def _problems(self) -> Iterator[str]:
        names = [e.name for e in self.entities]
        for name in dict.fromkeys(n for n in names if names.count(n) > 1):
            yield f"entity {name!r} is declared {names.count(name)} times"
        by_name = {e.name: e for e in self.entities}
        for entity in self.entities:
            yield from _link_problems(entity, by_name)
            yield from _lookup_problems(entity, by_name, self.groups)
        for name in (n for group in self.groups for n in group if n not in by_name):
            yield f"group names {name!r}, which is not an entity"
        for patch in self.patches:
            yield from _patch_problems(patch, by_name)


def _patch_problems(patch: Patch, by_name: dict[str, Entity]) -> Iterator[str]:
    for name in patch.ends:
        if name not in by_name:
            yield f"patch {patch.name!r} names {name!r}, which is not an entity"
            return
        if len(by_name[name].key) != 1:
            yield f"patch {patch.name!r} names {name!r}, whose key has several columns; a link has one"
    for name, column in patch.columns:
        if column not in {c.column for c in by_name[name].columns}:
            yield f"patch {patch.name!r} names {name}.{column}, which is not a column"


def _link_problems(entity: Entity, by_name: dict[str, Entity]) -> Iterator[str]:
    for name in entity.after:
        if name not in by_name:
            yield f"entity {entity.name!r} ({entity.where}): after={name!r} is not an entity"
    for f, link in entity.links:
        for parent in link.parents:
            at = f"entity {entity.name!r} ({entity.where}): field {f.column!r} links to {parent!r}"
            if parent not in by_name:
                yield f"{at}, which is not an entity; it can be one of {', '.join(by_name)}"
            else:
                yield from (f"{at}, {p}" for p in _match_problems(link, by_name[parent]))


def _lookup_problems(
    entity: Entity, by_name: dict[str, Entity], groups: tuple[tuple[str, ...], ...]
) -> Iterator[str]:
    for f, lookup in entity.lookups:
        at = f"entity {entity.name!r} ({entity.where}): field {f.column!r} is looked up in {lookup.to!r}"
        if lookup.to not in by_name:
            yield f"{at}, which is not an entity; it can be one of {', '.join(by_name)}"
            continue
        columns = {c.column for c in by_name[lookup.to].columns}
        for column in (
            c for c in (lookup.take, *(there for _, there in lookup.by)) if c not in columns
        ):
            yield f"{at}, whose column {column!r} does not exist"
        if lookup.to == entity.name:
            yield f"{at}, which is the entity itself: the value would be one run old"
        elif any({entity.name, lookup.to} <= set(group) for group in groups):
            yield f"{at}, which shares its transaction: the value would be one run old"


def _match_problems(link: Link, parent: Entity) -> Iterator[str]:
    if not link.match and len(parent.key) != 1:
        yield f"whose key has {len(parent.key)} columns; name one of them with match=(...)"
    columns = {c.column for c in parent.columns}
    for column in link.match:
        if column not in columns:
            yield f"whose column {column!r} does not exist"


def _levels(entities: tuple[Entity, ...]) -> dict[str, int]:
    by_name = {e.name: e for e in entities}
    levels: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> int:
        if name in path:
            raise DeclarationError(_cycle_message(by_name, (*path[path.index(name) :], name)))
        if name not in levels:
            below = [visit(parent, (*path, name)) for parent in by_name[name].hard_parents]
            levels[name] = 1 + max(below) if below else 0
        return levels[name]

    for entity in entities:
        visit(entity.name, ())
    return levels


def _cycle_message(by_name: dict[str, Entity], cycle: tuple[str, ...]) -> str:
    edges = []
    for child, parent in itertools.pairwise(cycle):
        via = [
            f.column
            for f, link in by_name[child].links
            if parent in link.parents and not link.deferred
        ]
        via += [f.column for f, lookup in by_name[child].lookups if lookup.to == parent]
        edges.append(f"{child}.{via[0]} → {parent}" if via else f"{child} after {parent}")
    return f"hard links form a cycle: {', '.join(edges)}; declare one of them deferred=True"
