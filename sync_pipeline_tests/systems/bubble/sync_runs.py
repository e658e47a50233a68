"""Helpers of the tests of whole runs."""

from __future__ import annotations

from sync_pipeline.merge.schema.metadata import base_name
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    World,
)


def missing(world: World, entity: str) -> set[str]:
    declared = BUBBLE[entity]
    key = declared.key[0]
    rows = world.rows(
        f"select {key} from sync_base.{base_name(declared)} where _missing_since is not null"
    )
    return {row[key] for row in rows}
