"""Our side over the practice's two databases: all fifteen tables, one way, as a run takes them."""

from contextlib import closing
from uuid import uuid4

from sync_pipeline.merge import engine
from sync_pipeline.merge.bookkeeping import watermarks
from sync_pipeline.merge.session import Target
from sync_pipeline.merge.stream import Progress
from sync_pipeline.model.scope import Scope
from sync_pipeline.postgres.connect import Connection, connect
from sync_pipeline.sources.postgres.reader import PostgresReader
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline.systems.desktop.reverse import REVERSE, ROW_FILTER
from sync_pipeline_tests.bench.measure import Done, Job, main


def load(job: Job) -> Done:
    """One run, from before the first connection until the last table's commit."""
    back = job.system == REVERSE.name
    system = REVERSE if back else DESKTOP
    scope = Scope("full" if job.mode == "full" else "delta")

    def open_(name: str) -> Connection:
        connection = connect(job.dsn, application_name=name)
        if back:
            connection.execute("set search_path to sync, public")
        return connection

    parents = {e.name: e for e in system.entities}
    since: dict[str, Progress] = {}
    if scope.mode == "delta":
        with open_("progress") as connection:
            since = {e.name: watermarks.progress(connection, e) for e in system.entities}
    run_id = uuid4()
    done = Done(0)
    with closing(
        PostgresReader(job.source, variable="SOURCE", row_filter=ROW_FILTER if back else None)
    ) as source:
        for entity in system.in_order():
            stream = source.read(entity, scope, since.get(entity.name, Progress()))
            [result] = engine.merge(Target(open_), [stream], run_id=run_id, parents=parents)
            done.written += result.counts.inserted + result.counts.updated
            done.read += stream.outcome.bytes
    return done


if __name__ == "__main__":
    main(load)
