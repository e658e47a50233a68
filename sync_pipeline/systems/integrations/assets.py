"""The menus' assets: three tables that change together, a partition for each source configuration."""

import dagster as dg

from sync_pipeline.orchestration.asset_checks import entity_checks
from sync_pipeline.orchestration.assets import ResourceKeys, source_assets
from sync_pipeline.orchestration.multi_assets import group_assets
from sync_pipeline.orchestration.partitions import PartitionSet
from sync_pipeline.systems.integrations.entities import INTEGRATIONS
from sync_pipeline.systems.integrations.source_configs import parts
from sync_pipeline.systems.integrations.sync_history import account

PARTITIONS = dg.DynamicPartitionsDefinition(name="integration_source_configs")
PARTS = PartitionSet(PARTITIONS, parts, account, word="source configuration")
SOURCES = source_assets(INTEGRATIONS)
MENUS = group_assets(
    INTEGRATIONS,
    INTEGRATIONS.groups[0],
    ResourceKeys("integrations", merge="integrations_merge"),
    PARTS,
)
CHECKS = entity_checks(INTEGRATIONS)
ASSETS: list[dg.AssetsDefinition | dg.AssetSpec] = [*SOURCES, MENUS]
