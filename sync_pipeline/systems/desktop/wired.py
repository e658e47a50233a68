"""The desktop system, wired: forward on the hour, back on the half hour, everything both ways at night.

The graph has no cycle although the data goes round: the desktop's tables as they are read are external
assets, and what the way back makes of them are assets of their own.
"""

from __future__ import annotations

import dagster as dg

from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.naming import asset_key
from sync_pipeline.settings import Settings
from sync_pipeline.systems.desktop.backwards import ONLY, REVERSE
from sync_pipeline.systems.desktop.databases import DesktopDatabase
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.opening import VARIABLE
from sync_pipeline.systems.relational.wiring import FromPostgres

TIME_ZONE = "Asia/Kolkata"


def _mobile_table(entity: Entity) -> dg.AssetKey:
    return asset_key(DESKTOP[entity.name])


FORWARD = FromPostgres(
    DESKTOP, VARIABLE, hourly="0 * * * *", nightly="15 1 * * *", time_zone=TIME_ZONE
)
BACKWARD = FromPostgres(
    REVERSE,
    "SYNC_TARGET_DSN",
    hourly="30 * * * *",
    nightly="45 1 * * *",
    time_zone=TIME_ZONE,
    only=ONLY,
    into=DesktopDatabase(patient=True),
    origin=_mobile_table,
    before=(Settings.desktop, Settings.check_reverse),
    delta=REVERSE.name,
)
