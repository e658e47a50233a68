"""The data directory of an embedded server: making it, and reading what PostgreSQL keeps in it.

The password of the user `postgres` lies within, so that it stays with the data.
"""

import logging
import re
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sync_pipeline.dev.embedded_postgres.binaries import Binaries
from sync_pipeline.dev.embedded_postgres.os_user import OsUser, shared_directory
from sync_pipeline.errors import SettingsError, TargetUnavailable

_log = logging.getLogger(__name__)
_PASSWORD = "sync_pipeline.password"  # noqa: S105  the name of a file


@dataclass(frozen=True)
class Postmaster:
    """A server's own entry in `postmaster.pid`; after a crash, the last one."""

    pid: int
    port: int
    is_ready: bool


class Cluster:
    """The data below a server's home directory, or linked from there.

    Durable ones survive a power cut, and are where a reboot keeps them.
    """

    def __init__(self, home: Path, *, durable: bool) -> None:
        self._home = home
        self._durable = durable

    @property
    def path(self) -> Path:
        """Where the data really are, or will be."""
        return (self._home / "cluster").resolve()

    @property
    def password(self) -> str:
        """The password of the user `postgres`; raises `FileNotFoundError` without data."""
        return (self.path / _PASSWORD).read_text()

    @property
    def postmaster(self) -> Postmaster | None:
        """The entry of the running or crashed server; None without one."""
        try:
            lines = (self.path / "postmaster.pid").read_text().splitlines()
            return Postmaster(int(lines[0]), int(lines[3]), is_ready=lines[7].strip() == "ready")
        except (FileNotFoundError, IndexError, ValueError):  # none, or still being written
            return None

    @property
    def last_port(self) -> int | None:
        """The port of the last start."""
        try:
            options = (self.path / "postmaster.opts").read_text()
        except FileNotFoundError:
            return None
        found = re.search(r'"port=(\d+)"', options)
        return int(found[1]) if found else None

    def prepare(self, user: OsUser, binaries: Binaries) -> None:
        """Make the data if there are none, and check that they suit the user and programs.

        Raises:
            SettingsError: they do not.
            TargetUnavailable: they cannot be made.
            OSError: likewise.
        """
        try:
            major = int((self.path / "PG_VERSION").read_text())
        except FileNotFoundError:
            self._create(user, binaries)
            return
        if major != binaries.version[0]:
            raise SettingsError(
                f"The data in {self._home} are of PostgreSQL {major}, which {binaries} cannot "
                f"read. Set SYNC_PG_BIN to the bin directory of a PostgreSQL {major}, or SYNC_HOME "
                f"to another directory; or delete {self._home} with all its data."
            )
        if not user.can_enter(self.path):
            raise SettingsError(
                f"{user.name}, who owns {self.path}, cannot reach it: run as that user, or let "
                "others pass through the directories above it (chmod o+x)."
            )

    def forget_crashed_server(self) -> None:
        """Remove what a crashed server left; only for when none runs.

        PostgreSQL refuses to start while another program has the process id in that file. Should a
        server run after all, the shared memory it uses still keeps a second one out.
        """
        (self.path / "postmaster.pid").unlink(missing_ok=True)

    def _create(self, user: OsUser, binaries: Binaries) -> None:
        link = self._home / "cluster"
        if link.is_symlink():
            raise SettingsError(
                f"The data of {self._home} are missing: {link} points to {self.path}, which holds "
                f"none. Delete {link} to begin with an empty database."
            )
        place = self._place(user)
        # Under another name until it is complete: a kill halfway leaves nothing that looks usable.
        new = place / "cluster.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        user.own(new)
        self._initdb(user, binaries, new)
        new.rename(place / "cluster")
        if place != self._home:
            link.symlink_to(place / "cluster")

    def _place(self, user: OsUser) -> Path:
        if user.can_enter(self._home):
            return self._home
        temporary = Path(tempfile.gettempdir())
        is_temporary = not self._durable and user.can_enter(temporary)
        parent = temporary if is_temporary else shared_directory()
        place = Path(tempfile.mkdtemp(prefix=f"{self._home.name}-", dir=parent))
        place.chmod(0o711)
        _log.warning("%s cannot enter %s; its data go to %s", user.name, self._home, place)
        return place

    def _initdb(self, user: OsUser, binaries: Binaries, directory: Path) -> None:
        password = directory.with_name("password.new")
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))  # characters that mean nothing in a URI
        user.own(password)
        done = user.run(
            binaries.program("initdb"),
            f"--pgdata={directory}",
            "--username=postgres",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *_locale(binaries),
            *([] if self._durable else _fast_options(binaries)),
        )
        if done.returncode != 0:
            password.unlink()
            raise TargetUnavailable(
                f"initdb of {binaries} failed in {self._home}. Set SYNC_HOME to another directory, "
                f"or SYNC_TARGET_DSN to a server of your own. It says:\n{done.stderr.strip()}"
            )
        password.rename(directory / _PASSWORD)


def _fast_options(binaries: Binaries) -> list[str]:
    # Iterations protect weak passwords. Ours is random, and they cost each connection 2 ms of CPU.
    iterations = ["--set=scram_iterations=1"] if binaries.version >= (16, 0) else []
    return ["--no-sync", *iterations]


def _locale(binaries: Binaries) -> list[str]:
    if binaries.version >= (17, 0):  # the server's own: the same on every machine, for good
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]
