"""Our side: response bodies decoded into dicts and merged, as a sync does it once a page has arrived.

Decoding the JSON is part of the time. Fetching is not: there is no network here.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import orjson

from sync_pipeline.merge import engine
from sync_pipeline.merge.session import Target
from sync_pipeline.merge.stream import Batch, EntityBatches, SourceOutcome
from sync_pipeline.model.scope import Scope
from sync_pipeline.postgres.connect import connect
from sync_pipeline_tests.bench.measure import Done, Job, main
from sync_pipeline_tests.bench.workload import SYSTEM


def load(job: Job) -> Done:
    """Merge a complete scan."""
    outcome = SourceOutcome(complete=True, read_started=dt.datetime.now(dt.UTC))
    stream = EntityBatches(SYSTEM["wide"], pages(job.source), Scope("full"), outcome)
    target = Target(lambda name: connect(job.dsn, application_name=name))
    (result,) = engine.merge(target, [stream], run_id=uuid4())
    return Done(result.counts.inserted + result.counts.updated)


def pages(source: str) -> Iterator[Batch]:
    """A hundred records at a time, as the Bubble client delivers them."""
    with Path(source).open("rb") as bodies:
        for body in bodies:
            yield orjson.loads(body)["response"]["results"]


if __name__ == "__main__":
    main(load)
