"""Names of the Dagster objects that stand for an entity. A leaf: it imports nothing of ours but the model."""

from __future__ import annotations

import re

import dagster as dg

from sync_pipeline.model.entity import Entity
from sync_pipeline.model.patch import Patch
from sync_pipeline.model.system import System

SOURCE_TAG = "sync/source"
"""Runs of one source carry it, so that the instance lets only one full sync of a source run at a time."""


TARGET_TAG = "sync/target"
"""Runs into another database than the target carry the key of its resource."""


def asset_key(entity: Entity) -> dg.AssetKey:
    """`[system, entity]`; of the way back of a system that goes both ways, `[system, way, entity]`."""
    return dg.AssetKey([*entity.key_prefix, entity.name])


def source_key(entity: Entity) -> dg.AssetKey:
    """The record type at the source, an external asset, so that lineage begins there."""
    plain = re.fullmatch(r"[A-Za-z0-9_]+", entity.source)
    # Dagster takes no quotes, blanks or dots, which a table's name at a Postgres source may have.
    return dg.AssetKey(["source", entity.system, entity.source.lower() if plain else entity.name])


def patch_key(system: System, patch: Patch) -> dg.AssetKey:
    """`[system, patch]`."""
    return dg.AssetKey([system.name, patch.name])
