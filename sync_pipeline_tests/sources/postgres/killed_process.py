"""A process of its own that syncs the source's items, to be killed: python -m ... SOURCE TARGET."""

import sys

from sync_pipeline.model.system import System
from sync_pipeline_tests.fixtures.sample_system import attached
from sync_pipeline_tests.sources.postgres.source_database import ITEM, Origin


def main(source: str, target: str) -> None:
    """Sync what has changed."""
    Origin(source).sync(attached(target, System("own", (ITEM,))))


if __name__ == "__main__":
    main(*sys.argv[1:])
