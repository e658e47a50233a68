"""The desktop system's definitions: forward on the hour, reverse on the half hour, full syncs at night.

The asset graph has no cycle although rows go both ways: the desktop's tables as sources are external assets,
and as targets of the reverse sync they are assets of their own.
"""

import dagster as dg

from sync_pipeline.model.entity import Entity
from sync_pipeline.orchestration.asset_keys import asset_key
from sync_pipeline.sources.postgres.system import PostgresSystem
from sync_pipeline.systems.desktop.connection import VARIABLE, check_reverse
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.resource import DesktopDatabase
from sync_pipeline.systems.desktop.reverse import REVERSE as REVERSE_SYSTEM
from sync_pipeline.systems.desktop.reverse import ROW_FILTER
from sync_pipeline.systems.desktop.settings import SOURCE

TIME_ZONE = "Asia/Kolkata"


def _mobile_table(entity: Entity) -> dg.AssetKey:
    return asset_key(DESKTOP[entity.name])


FORWARD = PostgresSystem(
    DESKTOP, VARIABLE, hourly="0 * * * *", nightly="15 1 * * *", time_zone=TIME_ZONE
)
REVERSE = PostgresSystem(
    REVERSE_SYSTEM,
    "SYNC_TARGET_DSN",
    hourly="30 * * * *",
    nightly="45 1 * * *",
    time_zone=TIME_ZONE,
    row_filter=ROW_FILTER,
    target=DesktopDatabase(retry_on_outage=True),
    origin=_mobile_table,
    preconditions=(SOURCE.require, check_reverse),
    delta=REVERSE_SYSTEM.name,
)
