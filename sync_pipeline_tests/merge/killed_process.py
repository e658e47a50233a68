"""A process of its own that merges `fault_injection.incoming`, to be killed: python -m ... DSN [source]."""

import sys
import time

from sync_pipeline_tests.fixtures.sample_system import attached
from sync_pipeline_tests.merge.fault_injection import Source, incoming


def stall() -> None:
    """Say that the first page was read, and never come to the second."""
    print("reading", flush=True)  # noqa: T201
    time.sleep(600)


def main(dsn: str, *where: str) -> None:
    """Merge, and stall after the first page if a source is named."""
    pages = [incoming(), stall] if where else [incoming()]
    bench = attached(dsn)
    bench.merge(Source(*pages).stream(bench))


if __name__ == "__main__":
    main(*sys.argv[1:])
