"""The desktop system's assets: fifteen mobile tables, and the fifteen desktop tables on the way back.

The graph has no cycle although the data goes round: the desktop's tables as they are read are external
assets, and what the way back makes of them are assets of their own.
"""

from __future__ import annotations

import dagster as dg

from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.assets import Wiring, entity_assets, source_assets
from sync_pipeline.orchestration.checks import entity_checks
from sync_pipeline.orchestration.naming import asset_key
from sync_pipeline.systems.desktop.backwards import REVERSE
from sync_pipeline.systems.desktop.databases import DesktopDatabase
from sync_pipeline.systems.desktop.entities import DESKTOP


def _mobile_table(entity: Entity) -> dg.AssetKey:
    return asset_key(DESKTOP[entity.name])


FORWARD = Wiring("desktop")
BACKWARD = Wiring("mobile", target=DesktopDatabase.key, merge="desktop_merge", origin=_mobile_table)

ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [
    *source_assets(DESKTOP),
    *entity_assets(DESKTOP, FORWARD),
    *entity_assets(REVERSE, BACKWARD),
]
CHECKS = [*entity_checks(DESKTOP), *entity_checks(REVERSE, DesktopDatabase.key)]
