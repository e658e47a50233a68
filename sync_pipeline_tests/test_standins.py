"""What stands in where the environment names nothing, and that it goes when the last one leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import psycopg
import pytest

from sync_pipeline.postgres import locks
from sync_pipeline.postgres.embedded import EmbeddedServer
from sync_pipeline.settings import Settings
from sync_pipeline.standins import stand_ins
from sync_pipeline_tests.fixtures.command_line import WRITES, Command, until
from sync_pipeline_tests.test_serving import processes


@pytest.fixture
def bare(directory: Path) -> Command:
    """The command where nothing is named; its home has a blank in its name."""
    return Command(directory / "a home", {})


def is_running(home: Path) -> bool:
    return locks.is_held(home / "postgres" / "alive")


def test_a_second_demo_finds_everything_unchanged_and_writes_no_tuple(bare: Command) -> None:
    first = bare("demo", "--scale", "0.02", "--json").json["bubble"]
    assert sum(counts["inserted"] for counts in first["entities"].values()) == 657
    assert first["patches"]["invoice_seda_links"]["set"] > 0
    before = written(bare.home)
    second = bare("demo", "--scale", "0.02")
    assert written(bare.home) == before
    for line in ("invoice_item", "seda_registration", "invoice_seda_links", "seda_customer_links"):
        assert line in second.out
    third = bare("history", "--json").json["runs"]
    assert [(r["items_created"], r["items_updated"]) for r in third] == [(0, 0), (657, 0)]
    assert processes(bare.home) == []
    assert not is_running(bare.home)


def written(home: Path) -> int:
    with (
        EmbeddedServer(home / "postgres") as server,
        psycopg.connect(server.dsn("sync")) as session,
    ):
        [(count,)] = session.execute(WRITES.encode())
        return int(count)


def test_a_signal_takes_the_stand_ins_with_it(bare: Command) -> None:
    process = bare.start("demo", "--scale", "0.02")
    until((bare.home / "bubble-simulator.json").exists, "the simulator")
    process.send_signal(signal.SIGTERM)
    finished = bare.wait(process)
    assert finished.code == 128 + signal.SIGTERM
    assert processes(bare.home) == []
    assert not is_running(bare.home)


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finished = Command(tmp_path / "file" / "home", {})("history", code=1)
    assert "SYNC_HOME" in finished.error


# -- shared simulators


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts that end in another order than they began leave their variables behind."""
    monkeypatch.setenv("BUBBLE_API_URL", "")
    monkeypatch.setenv("BUBBLE_API_TOKEN", "")


def answers(settings: Settings) -> bool:
    assert settings.bubble_url
    try:
        httpx2.get(settings.bubble_url, trust_env=False, timeout=5)
    except httpx2.HTTPError:
        return False
    return True


@contextmanager
def simulated(home: Path) -> Iterator[tuple[Settings, list[str]]]:
    """A small simulator, and what was said when it was asked for."""
    named = {"SYNC_HOME": str(home), "SYNC_TARGET_DSN": "postgresql://nobody@127.0.0.1:1/x"}
    said: list[str] = []
    with stand_ins(Settings.read(named), say=said.append, dagster=False, scale=0.01) as settings:
        yield settings, said


def test_commands_share_a_simulator_and_the_last_one_stops_it(tmp_path: Path) -> None:
    with ExitStack() as later:
        with simulated(tmp_path) as (first, said_first):
            assert said_first == ["starting the simulated Bubble app"]
            second, said_second = later.enter_context(simulated(tmp_path))
            assert said_second == []
            assert second.bubble_url == first.bubble_url
        assert answers(second)
    assert not answers(second)
    assert not (tmp_path / "bubble-simulator.json").exists()


KILLED = """
import os, pathlib, sys
from sync_pipeline_tests.test_standins import simulated
with simulated(pathlib.Path(sys.argv[1])) as (settings, _):
    print(settings.bubble_url, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_simulator_that_a_killed_command_left_is_used_and_stopped(tmp_path: Path) -> None:
    script = [sys.executable, "-c", KILLED, str(tmp_path)]
    left = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    with simulated(tmp_path) as (settings, said):
        assert settings.bubble_url == left
        assert said == []
    assert not answers(settings)


def test_the_environment_is_as_before_when_the_stand_ins_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BUBBLE_API_URL")
    monkeypatch.setenv("BUBBLE_API_TOKEN", "before")
    with simulated(tmp_path) as (settings, _):
        assert os.environ["BUBBLE_API_URL"] == settings.bubble_url
        assert os.environ["BUBBLE_API_TOKEN"] == settings.bubble_token
    assert "BUBBLE_API_URL" not in os.environ
    assert os.environ["BUBBLE_API_TOKEN"] == "before"
