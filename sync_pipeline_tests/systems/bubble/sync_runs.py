"""Helpers of the tests of whole runs."""

from sync_pipeline.merge.schema.metadata import base_name
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline_tests.fixtures.bubble_system import (
    BubbleSystem,
)


def missing(bubble_system: BubbleSystem, entity: str) -> set[str]:
    declared = BUBBLE[entity]
    key = declared.key[0]
    rows = bubble_system.rows(
        f"select {key} from sync_base.{base_name(declared)} where _missing_since is not null"
    )
    return {row[key] for row in rows}
