"""A real PostgreSQL server that starts with the project and needs nothing but its programs.

The sandbox, the demo and the tests use it where no database is named. The directory that it is given
becomes its own:

    cluster   the data, or a link to them where root must keep them elsewhere
    log       the server's messages; moved to `log.1` at a start once it is large
    lock      held while somebody starts or stops the server
    users     shared by all who use the server; the last one out stops it
    alive     held by the server's own processes for as long as any of them lives

So any number of processes may start the same directory, be killed, and leave a server behind that
the next one takes over.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from sync_pipeline.dev import file_locks
from sync_pipeline.dev.embedded_postgres.binaries import Binaries, find_binaries
from sync_pipeline.dev.embedded_postgres.data_directory import Cluster, Postmaster
from sync_pipeline.dev.embedded_postgres.os_user import OsUser, os_user_for
from sync_pipeline.errors import TargetUnavailable
from sync_pipeline.postgres.connect import connect

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # the path of a socket may have 107 bytes, ours may have more
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# Not synchronous_commit: without fsync it costs next to nothing, and a restart in a test loses no
# commit with it.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
_TIMEOUT_S = 60.0  # seconds for a start, recovery after a crash included, or for a stop
_LOG_LIMIT = 1_000_000  # bytes


class EmbeddedServer:
    """A PostgreSQL server on 127.0.0.1 that belongs to one directory; also a context manager.

    Its only user is `postgres`, with a random password that `dsn` includes.

    Args:
        data_dir: the server's own directory, made if need be.
        durable: survive power cuts. Without, everything is faster and a crash of the machine may
            spoil the data: for tests.
        binaries: the programs to run; by default what `find_binaries` finds.
        settings: further server settings. A server that already runs keeps those of its start.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        binaries: Binaries | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._home = data_dir.absolute()
        self._cluster = Cluster(self._home, durable=durable)
        self._log = self._home / "log"
        self._lock = self._home / "lock"
        self._users = self._home / "users"
        self._alive = self._home / "alive"
        self._binaries = binaries
        self._settings = _SETTINGS | ({} if durable else _FAST_SETTINGS) | dict(settings or {})
        self._use: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, or use the one that already runs on this directory.

        It keeps the port it had before, so that connection strings people noted stay good, unless
        another program has that port now.

        Raises:
            SettingsError: the programs are missing or do not fit the data, or root has nobody to
                run them as.
            TargetUnavailable: it does not start; the message ends with its last log lines.
        """
        with self._unavailable_on_error("start"):
            self._make_home()
            with file_locks.held(self._lock):
                if not self._finds_running():
                    self._launch()
                if self._use is None:
                    self._use = file_locks.hold(self._users, shared=True)

    def stop(self, *, force: bool = False) -> None:
        """Let go of the server and, unless others use it, stop it; with `force` whoever uses it.

        Open transactions are rolled back.

        Raises:
            TargetUnavailable: it does not stop.
        """
        if not self._home.exists():  # never started; or deleted, and then it ends by itself
            return
        with self._unavailable_on_error("stop"), file_locks.held(self._lock):
            was_in_use = self._release()
            if force or (was_in_use and not file_locks.is_held(self._users)):
                self._halt()

    def create_database(self, name: str) -> str:
        """Create a database unless it exists, and return its URI; raises `TargetUnavailable`."""
        known = "SELECT FROM pg_database WHERE datname = %s"
        # From template0, to which nobody can be connected: a session on template1 is in the way.
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        with connect(self.dsn(), variable="SYNC_HOME") as connection:
            if connection.execute(known, [name]).fetchone() is None:
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(create)
        return self.dsn(name)

    def dsn(self, database: str = "postgres") -> str:
        """The libpq URI of a database, with password; raises `TargetUnavailable` if none runs."""
        return self._dsn(self.running(), database)

    # -- is it running?

    def running(self) -> Postmaster:
        """The entry of the running server; raises `TargetUnavailable` if there is none."""
        if (postmaster := self._cluster.postmaster) is None:
            raise TargetUnavailable(f"The embedded PostgreSQL in {self._home} is not running.")
        return postmaster

    def _finds_running(self) -> bool:
        """Whether a server runs; waits for one that is still starting or stopping."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not self._answers():
            if not file_locks.is_held(self._alive):
                return False
            if time.monotonic() > deadline:
                raise self._unavailable("runs but does not answer")
            time.sleep(0.05)
        return True

    def _answers(self) -> bool:
        """Whether there is a server where `postmaster.pid` says, and it serves our data."""
        if (postmaster := self._cluster.postmaster) is None:
            return False
        try:
            with psycopg.connect(self._dsn(postmaster, "postgres"), connect_timeout=5) as session:
                row = session.execute("SHOW data_directory").fetchone()
        except psycopg.Error:
            return False
        return row is not None and Path(row[0]).resolve() == self._cluster.path

    def _dsn(self, postmaster: Postmaster, database: str) -> str:
        # sslmode, because people export PGSSLMODE for their real databases.
        address = f"postgres:{self._cluster.password}@127.0.0.1:{postmaster.port}"
        return f"postgresql://{address}/{quote(database, safe='')}?sslmode=disable"

    # -- starting

    def _make_home(self) -> None:
        if not self._home.exists():
            self._home.mkdir(parents=True, exist_ok=True)
            # The user that root switches to must get through to the cluster.
            self._home.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def _launch(self) -> None:
        user = os_user_for(self._cluster.path)
        binaries = (self._binaries or find_binaries()).for_user(user)
        self._cluster.prepare(user, binaries)
        self._cluster.forget_crashed_server()
        port = self._cluster.last_port
        for _ in range(5):
            port = port if port and _is_free(port) else _free_port()
            self._process = self._spawn(user, binaries, port)
            if self._comes_up(self._process):
                return
            if _is_free(port):  # otherwise another program took it in between
                break
        raise self._unavailable("did not start")

    def _spawn(self, user: OsUser, binaries: Binaries, port: int) -> subprocess.Popen[bytes]:
        settings = [f"{k}={v}" for k, v in (self._settings | {"port": str(port)}).items()]
        options = [option for setting in settings for option in ("-c", setting)]
        log = self._open_log(user)
        alive = file_locks.hold(self._alive)
        try:
            return user.spawn(
                binaries.program("postgres"),
                "-D",
                self._cluster.path,
                *options,
                log=log,
                keep=alive,
            )
        finally:
            os.close(log)
            os.close(alive)

    def _open_log(self, user: OsUser) -> int:
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.rename(self._log.with_name("log.1"))
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        user.own(log)
        return log

    def _comes_up(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until a new server is ready; false if it ended instead or took too long."""
        deadline = time.monotonic() + _TIMEOUT_S
        is_ready = False
        try:
            while not is_ready and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
                now = self._cluster.postmaster
                is_ready = now is not None and now.is_ready and now.pid == process.pid
        finally:
            if not is_ready:  # Ctrl-C ends up here too, and nobody would know of the server
                process.send_signal(signal.SIGQUIT)
                process.wait()
        return is_ready

    # -- stopping

    def _release(self) -> bool:
        if self._use is None:
            return False
        os.close(self._use)
        self._use = None
        return True

    def _halt(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        signalled: int | None = None
        while file_locks.is_held(self._alive) or self._answers():
            pid = self._pid_to_stop()
            if pid is not None and pid != signalled:
                signalled = pid
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
            if time.monotonic() > deadline:
                raise self._unavailable("did not stop")
            time.sleep(0.01)
        if self._process is not None:
            self._process.wait()

    def _pid_to_stop(self) -> int | None:
        if (postmaster := self._cluster.postmaster) is not None:
            return postmaster.pid
        if self._process is not None and self._process.poll() is None:  # its data were deleted
            return self._process.pid
        return None

    # -- errors

    @contextmanager
    def _unavailable_on_error(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, subprocess.SubprocessError) as error:
            raise self._unavailable(f"could not {what}: {error}") from error

    def _unavailable(self, what: str) -> TargetUnavailable:
        log = self._log.read_text(errors="replace") if self._log.exists() else ""
        tail = "".join(f"\n    {line}" for line in log.splitlines()[-12:])
        return TargetUnavailable(
            f"The embedded PostgreSQL in {self._home} {what}. Set SYNC_HOME to a directory that "
            "this user may write to, or SYNC_TARGET_DSN to a server of your own."
            + (f" The end of {self._log}:{tail}" if tail else "")
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL itself does: a former server's connections that linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
