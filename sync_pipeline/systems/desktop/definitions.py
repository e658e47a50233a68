"""The desktop system, wired: forward on the hour, back on the half hour, everything both ways at night.

The graph has no cycle although the data goes round: the desktop's tables as they are read are external
assets, and what the reverse sync makes of them are assets of their own.
"""

from __future__ import annotations

import dagster as dg

from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.asset_keys import asset_key
from sync_pipeline.sources.postgres.system import PostgresSystem
from sync_pipeline.systems.desktop.connection import VARIABLE, check_reverse
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.resource import DesktopDatabase
from sync_pipeline.systems.desktop.reverse import ONLY, REVERSE
from sync_pipeline.systems.desktop.settings import SOURCE

TIME_ZONE = "Asia/Kolkata"


def _mobile_table(entity: Entity) -> dg.AssetKey:
    return asset_key(DESKTOP[entity.name])


FORWARD = PostgresSystem(
    DESKTOP, VARIABLE, hourly="0 * * * *", nightly="15 1 * * *", time_zone=TIME_ZONE
)
BACKWARD = PostgresSystem(
    REVERSE,
    "SYNC_TARGET_DSN",
    hourly="30 * * * *",
    nightly="45 1 * * *",
    time_zone=TIME_ZONE,
    row_filter=ONLY,
    target=DesktopDatabase(patient=True),
    origin=_mobile_table,
    preconditions=(SOURCE.require, check_reverse),
    delta=REVERSE.name,
)
