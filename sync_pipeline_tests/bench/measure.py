"""How a side is measured: a process that imports only what it measures, and the server's own counters."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import psycopg

OTHER_SESSIONS = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and backend_type = 'client backend' and pid <> pg_backend_pid()"
)
WRITTEN = (
    "select coalesce(sum(written) filter (where synced), 0)::bigint,"
    " coalesce(sum(written) filter (where not synced), 0)::bigint"
    " from (select n_tup_ins + n_tup_upd + n_tup_del as written,"
    " schemaname || '.' || relname = any(%s) as synced from pg_stat_user_tables) x"
)


@dataclass
class Job:
    """What a measuring process is to do; handed to it as JSON.

    Attributes:
        dsn: the side's own database.
        source: the file that it reads, or the database.
        written: rows of the target that it must report as inserted or updated; None for any number.
        system: what is synced, where there are several.
        mode: how much of it.
    """

    dsn: str
    source: str
    written: int | None
    system: str = ""
    mode: str = ""


@dataclass
class Done:
    """What a measuring process says of its work: rows written to the target, and bytes read at the source."""

    written: int
    read: int = 0


@dataclass
class Sample:
    """One measured run of one side.

    Attributes:
        seconds: from before the connection is opened until after the commit.
        cpu: of the process, without the server.
        server: seconds of CPU of the server's sessions.
        peak: most memory that the process ever held, in MB.
        read: bytes received from the source, as the work itself counts them.
        wal: bytes of write-ahead log.
        target: tuples of the synced tables inserted, updated or deleted.
        books: the same of all other tables.
    """

    seconds: float
    cpu: float
    peak: float
    read: int = 0
    server: float = 0.0
    wal: int = 0
    target: int = 0
    books: int = 0


def run(module: str, job: Job, tables: Sequence[str] = ("public.wide",)) -> Sample:
    """Measure one side in a process of its own.

    Args:
        module: of this package; what the process runs.
        job: what it is told to do.
        tables: the synced ones, with their schemas.

    Raises:
        SystemExit: it failed; its own message is on stderr.
    """
    with psycopg.connect(job.dsn, autocommit=True) as connection:
        # Everybody starts from a table without dead rows, with fresh statistics and no pages to write.
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
        before, busy = _counters(connection, tables), _sessions_cpu(connection)
        name = f"{__package__}.{module}"
        command = [sys.executable, "-m", name, orjson.dumps(asdict(job)).decode()]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed, see above")
        sample = Sample(**orjson.loads(done.stdout))
        after = _counters(connection, tables)
        sample.server = _sessions_cpu(connection) - busy
    sample.wal, sample.target, sample.books = (b - a for a, b in zip(before, after, strict=True))
    return sample


def _counters(connection: psycopg.Connection[Any], tables: Sequence[str]) -> tuple[int, int, int]:
    # A session reports its counts when it ends, which is a moment after its client has gone.
    while _row(connection, OTHER_SESSIONS)[0]:
        time.sleep(0.01)
    target, books = _row(connection, WRITTEN, list(tables))
    return _row(connection, "select (pg_current_wal_lsn() - '0/0')::bigint")[0], target, books


def _sessions_cpu(connection: psycopg.Connection[Any]) -> float:
    """CPU that the server's ended sessions have used, as their parent process is told by the system."""
    session = Path(f"/proc/{connection.info.backend_pid}/stat")
    parent = int(session.read_text().rpartition(")")[2].split()[1])
    time.sleep(0.05)  # until the last one has really gone
    fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _row(connection: psycopg.Connection[Any], query: str, *given: Any) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), given or None).fetchone()
    assert row
    return row


def main(work: Callable[[Job], Done]) -> None:
    """The measuring process: do the job, check what it says it wrote, print a sample."""
    job = Job(**orjson.loads(sys.argv[1]))
    started, cpu = time.perf_counter(), time.process_time()
    done = work(job)
    sample = Sample(time.perf_counter() - started, time.process_time() - cpu, _peak(), done.read)
    if job.written is not None and done.written != job.written:
        raise SystemExit(f"{done.written} rows were written, expected {job.written}")
    os.write(sys.stdout.fileno(), orjson.dumps(asdict(sample)))


def _peak() -> float:
    """VmHWM in MB: unlike ru_maxrss it does not count the parent's memory before exec."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
