"""dlt's merge of the same response bodies, as a peer; runs only where dlt is installed.

It loads a table of its own in a schema of its own: dlt adds columns to the tables that it loads.
"""

import importlib
import tempfile
from typing import Any

from sync_pipeline_tests.bench.measure import Done, Job, main
from sync_pipeline_tests.bench.ours import pages


def load(job: Job) -> Done:
    """One pipeline run with the upsert strategy; dlt does not say how many rows it changed."""
    dlt: Any = importlib.import_module("dlt")
    with tempfile.TemporaryDirectory() as place:
        pipeline = dlt.pipeline(
            "bench",
            destination=dlt.destinations.postgres(job.dsn),
            dataset_name="peer",
            pipelines_dir=place,
        )
        resource = dlt.resource(
            pages(job.source),
            name="wide",
            primary_key="_id",
            max_table_nesting=0,
            write_disposition={"disposition": "merge", "strategy": "upsert"},
        )
        pipeline.run(resource).raise_on_failed_jobs()
    return Done(job.written or 0)


if __name__ == "__main__":
    main(load)
