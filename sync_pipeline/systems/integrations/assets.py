"""The menus' assets: three tables that change together, a partition for each source configuration."""

import dagster as dg

from sync_pipeline.orchestration.asset_checks import entity_checks
from sync_pipeline.orchestration.assets import ResourceKeys, source_assets
from sync_pipeline.orchestration.multi_assets import group_assets
from sync_pipeline.orchestration.partitions import Partition, PartitionSet
from sync_pipeline.postgres.connect import Connection
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.integrations.source_configs import configurations
from sync_pipeline.systems.integrations.sync_history import record_sync


def partitions(connection: Connection) -> list[Partition]:
    """A partition for each source configuration."""
    return [
        Partition(c.partition_key, c.config_id, c.name, c.closed)
        for c in configurations(connection)
    ]


PARTITIONS = dg.DynamicPartitionsDefinition(name="integration_source_configs")
PARTITION_SET = PartitionSet(PARTITIONS, partitions, record_sync, label="source configuration")
SOURCES = source_assets(INTEGRATIONS)
MENUS = group_assets(
    INTEGRATIONS,
    INTEGRATIONS.groups[0],
    ResourceKeys("integrations", merge="integrations_merge"),
    PARTITION_SET,
)
CHECKS = entity_checks(INTEGRATIONS)
ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [*SOURCES, MENUS]
