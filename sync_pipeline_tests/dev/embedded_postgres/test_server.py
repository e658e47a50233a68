"""The embedded server, always the real one: what people, crashes and other processes do to it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sync_pipeline.dev import file_locks
from sync_pipeline.dev.embedded_postgres import os_user
from sync_pipeline.dev.embedded_postgres.data_directory import Cluster
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import SettingsError, TargetUnavailable
from sync_pipeline_tests.dev.embedded_postgres.servers import (
    PROGRAM,
    Factory,
    answers,
    ask,
    every_binary,
    restart,
)

pytestmark = pytest.mark.smoke  # servers started and stopped as users do, each from nothing


def kill(server: EmbeddedServer) -> int:
    """Kill the postmaster as the kernel does when memory runs out."""
    pid = server.running().pid
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
        major, minor = binaries.version
        assert ask(server.dsn(), "SHOW server_version_num") == str(major * 10_000 + minor)
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
        ports = {str(s.running().port) for s in (a, b)}
        assert len(ports) == 2
        assert a.dsn() != b.dsn()
        assert {ask(s.dsn(), "SHOW port") for s in (a, b)} == ports


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
    assert second.running().pid == first.running().pid
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
    pid, dsn = server.running().pid, server.dsn()
    server.start()
    assert server.running().pid == pid
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
    assert server.running().pid == pid
    server.stop()
    with pytest.raises(TargetUnavailable, match="is not running"):
        server.dsn()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(server: EmbeddedServer) -> None:
    assert os.getsid(server.running().pid) != os.getsid(0)


# -- crashes and restarts


def test_a_killed_server_is_started_anew_with_its_data(new_server: Factory) -> None:
    server = new_server()
    server.start()
    ask(server.dsn(), "CREATE TABLE t AS SELECT 42 AS answer")
    killed = kill(server)
    server.start()
    assert server.running().pid != killed
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
    port = server.running().port
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        server.start()
        assert server.running().port != port
        assert ask(server.dsn(), "SELECT 1") == 1


@pytest.mark.parametrize("immediate", [False, True])
def test_a_restart_keeps_the_port_and_breaks_sessions(immediate: bool, new_server: Factory) -> None:
    with new_server() as server:
        dsn, pid = server.dsn(), server.running().pid
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute("CREATE TABLE t AS SELECT 42 AS answer")
            restart(server, immediate=immediate)
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT 1")
        assert server.running().pid != pid
        assert server.dsn() == dsn
        assert ask(dsn, "SELECT answer FROM t") == 42


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
