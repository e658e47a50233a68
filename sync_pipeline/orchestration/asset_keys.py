"""Asset keys and run tags of systems, entities and patches. Imports nothing of this package but the model."""

import re

import dagster as dg

from sync_pipeline.model.entity import Entity
from sync_pipeline.model.patch import Patch
from sync_pipeline.model.system import System

SOURCE_TAG = "sync/source"
"""Names the source of a run; the instance runs one full sync of a source at a time."""

TARGET_TAG = "sync/target"
"""Names the database that a run writes, by the key of its resource."""


def asset_key(entity: Entity) -> dg.AssetKey:
    """`[system, entity]`; for the reverse of a bidirectional system `[system, reverse, entity]`."""
    return dg.AssetKey([*entity.key_prefix, entity.name])


def source_key(entity: Entity) -> dg.AssetKey:
    """The key of the external asset: the entity's record type at the source."""
    plain = re.fullmatch(r"[A-Za-z0-9_]+", entity.source)
    # Dagster takes no quotes, blanks or dots, which a table's name at a Postgres source may have.
    return dg.AssetKey(["source", entity.system, entity.source.lower() if plain else entity.name])


def patch_key(system: System, patch: Patch) -> dg.AssetKey:
    """`[system, patch]`."""
    return dg.AssetKey([system.name, patch.name])
