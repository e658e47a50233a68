"""A process of its own that runs one way, to be killed: python -m ... DESKTOP MOBILE WAY [source]."""

import sys
import time
from collections.abc import Iterable, Iterator
from uuid import uuid4

from sync_pipeline.merge.stream import Batch
from sync_pipeline.model.scope import Scope
from sync_pipeline_tests.fixtures.desktop import Practice
from sync_pipeline_tests.systems.desktop.fault_injection import forward, reverse


def stalled(batches: Iterable[Batch]) -> Iterator[Batch]:
    """The first batch, and never the second."""
    yield next(iter(batches))
    print("reading", flush=True)  # noqa: T201
    time.sleep(600)


def main(desktop: str, mobile: str, direction: str, *where: str) -> None:
    """Run one way, and stall in the source if told so."""
    practice = Practice(desktop, mobile)
    run = {"forward": forward, "reverse": reverse}[direction](practice)
    run.run(["jobshead"], Scope(), uuid4(), tamper=stalled if where else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
