"""The operating system's user of the embedded server: PostgreSQL refuses to run as root.

An ordinary user runs it as itself. Root, as in many containers, hands it to an existing
unprivileged user: the owner of the data if there is any yet, otherwise `postgres` or `nobody`.
What such a user cannot enter (such as a project below /root) is never opened up; what it needs
goes to `shared_directory()` instead. No other module switches users or thinks about root.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from sync_pipeline.errors import SettingsError

SHARED = Path("/var/lib/sync_pipeline")
_UNPRIVILEGED = ("postgres", "nobody")
_REMEDY = "Run as an ordinary user, or set SYNC_TARGET_DSN to a server of your own."


class _ProcessOptions(TypedDict):
    cwd: str
    env: dict[str, str]
    umask: int
    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True)
class OsUser:
    """A user that PostgreSQL's programs run as; without a uid, that of this process."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program to its end and capture what it prints.

        Raises:
            OSError: it could not be started, or the user not be switched to.
            subprocess.TimeoutExpired: it took more than two minutes.
        """
        return subprocess.run(  # noqa: S603  our own programs, no shell
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            **self._process_options(),
        )

    def spawn(self, *command: str | Path, log: int, keep: int) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, where a terminal's Ctrl-C does not reach it.

        Its output goes to the descriptor `log`; `keep` stays open in it and in all its children.

        Raises:
            OSError: it could not be started, or the user not be switched to.
        """
        return subprocess.Popen(  # noqa: S603  our own programs, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(keep,),
            **self._process_options(),
        )

    def can_run(self, program: Path) -> bool:
        """Whether the user can start this program of PostgreSQL's, its libraries included."""
        if self.uid is None:
            return True
        try:
            return self.run(program, "--version").returncode == 0
        except PermissionError:
            return False

    def can_enter(self, directory: Path) -> bool:
        """Whether the user can reach a directory; raises `SettingsError` if we may not switch to the user."""
        if self.uid is None:
            return True
        try:
            # Asked of the system rather than worked out from mode bits, which are not all there is.
            return self.run("/bin/sh", "-c", 'cd -- "$1"', "sh", directory).returncode == 0
        except OSError as error:
            message = f"PostgreSQL cannot run as root, and switching to {self.name} failed: {error}"
            raise SettingsError(f"{message}. {_REMEDY}") from error

    def own(self, path: Path | int) -> None:
        """Make the user the owner of a file or directory that we created."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def _process_options(self) -> _ProcessOptions:
        # PGDATA, PGPORT and the like are meant for clients of other servers; the working directory
        # may be one that the user cannot read, on which PostgreSQL 15 and older give up.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return {
            "cwd": "/",
            "env": environment | {"LC_ALL": "C"},
            "umask": 0o077,
            "user": self.uid,
            "group": self.gid,
            "extra_groups": None if self.uid is None else [],
        }


def os_user_for(cluster: Path) -> OsUser:
    """The user to run a server on these data as; raises `SettingsError` if root finds nobody."""
    if os.geteuid() != 0:
        return OsUser(name="this user")
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return OsUser(name=_name_of(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return OsUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    names = " or ".join(_UNPRIVILEGED)
    raise SettingsError(f"PostgreSQL cannot run as root, and there is no {names} here. {_REMEDY}")


def shared_directory() -> Path:
    """The directory for what an unprivileged user must reach; root makes it, or raises `OSError`."""
    if not SHARED.exists():
        SHARED.mkdir(parents=True, exist_ok=True)
        SHARED.chmod(0o755)  # whatever the umask
    return SHARED


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # usual for the owner of a directory mounted into a container
        return f"user {uid}"
