"""The reverse sync: the same fifteen tables, source and target exchanged, derived from their declarations.

The mobile database is the source and the desktop's tables are the target, under their own names. Only
columns that the desktop has are mapped, because only those are mapped on the way there. The desktop's
tables have no unique index and belong to another program, so the merge locks the table and looks a key up
before it inserts.
"""

import dataclasses

from sync_pipeline.model.entity import Entity, Field, Link, Local, Owner
from sync_pipeline.model.system import System
from sync_pipeline.model.types import char
from sync_pipeline.systems.desktop.entities import DESKTOP

OWNER = Owner("source", ours=("M",), mark="M", unmarked_is_ours=False)
"""On the desktop a mobile row carries M; all others are the desktop's own."""

ROW_FILTER = ("source", ("M",))
"""The rows of the mobile database that mobile users own."""


def reversed_entity(entity: Entity) -> Entity:
    """The reverse of an entity: from the mobile table into the desktop's."""
    names = {f.column: f.sources[0] for f in entity.fields if f.sources}
    fields = [f for f in entity.fields if f.sources]
    return Entity(
        name=entity.name,
        source=entity.table,
        table=entity.source,
        key=tuple(names[column] for column in entity.key),
        absent=entity.absent,
        description=f"{entity.description} The rows that mobile users own, on the desktop.",
        owner=OWNER,
        unique_key=False,
        columns=(*(_reversed_field(f, names[f.column]) for f in fields), Local("source", char(1))),
        where=entity.where,
    )


def _reversed_field(f: Field, column: str) -> Field:
    # The desktop declares no foreign keys, so no row has to wait there.
    link = f.link and dataclasses.replace(f.link, required=False, match=_desktop_columns(f.link))
    return dataclasses.replace(f, column=column, source=f.column, link=link, default=None)


def _desktop_columns(link: Link) -> tuple[str, ...]:
    """The columns that a link matches, by the desktop's names."""
    [parent] = link.parents
    return tuple(DESKTOP[parent].field(column).sources[0] for column in link.match)


REVERSE = System(
    name="desktop_reverse",
    key_prefix=("desktop", "reverse"),
    entities=tuple(reversed_entity(e) for e in DESKTOP.entities),
)
