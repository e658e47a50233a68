"""The sandbox: what it starts where the environment names nothing, and that the last command stops it."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from sync_pipeline.dev import file_locks
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.dev.environment import sandbox, to_simulate
from sync_pipeline.settings import SANDBOXED, Settings
from sync_pipeline.systems.bubble.entities import BUBBLE
from sync_pipeline.systems.desktop.entities import DESKTOP
from sync_pipeline_tests.dev.test_dagster_services import processes
from sync_pipeline_tests.fixtures.command_line import Command, until


@pytest.fixture
def bare(directory: Path) -> Command:
    """The command where nothing is named; its home has a blank in its name."""
    return Command(directory / "a home", {})


def is_running(home: Path) -> bool:
    return file_locks.is_held(home / "postgres" / "alive")


@pytest.mark.smoke
def test_a_second_demo_finds_everything_unchanged_and_writes_no_tuple(bare: Command) -> None:
    first = bare("demo", "--scale", "0.02", "--json").json
    assert total(first["bubble"], "inserted") == 657
    assert first["bubble"]["patches"]["invoice_seda_links"]["set"] > 0
    assert total(first["desktop"], "read") > 2_000
    assert total(first["desktop"], "unchanged") > 20  # what the mobile app knew before
    back = first["desktop_reverse"]
    assert total(first["integrations"], "inserted") > 100
    assert total(first["integrations"], "updated") > 5  # what an earlier sync has left
    assert total(first["meta_assets"], "read") == 63
    assert total(back, "read") == total(back, "inserted") + total(back, "owned_elsewhere") > 400
    before = written(bare.home)
    second = bare("demo", "--scale", "0.02")
    assert written(bare.home) == before
    assert re.search(r"^meta_phone_number +63 +· +· +63 ", second.out, re.MULTILINE)
    for line in ("invoice_item", "seda_registration", "invoice_seda_links", "seda_customer_links"):
        assert line in second.out
    assert re.search(r"^desktop: read = ", second.out, re.MULTILINE)
    assert "desktop, reverse (into the desktop database): read = " in second.out
    assert "history --reverse" in second.out
    assert "hold bad records on purpose" in second.out
    shown = bare("history", "--json").json["runs"]
    assert [(r["items_created"], r["items_updated"]) for r in shown[:2]] == [(0, 0), (0, 0)]
    follow_guided_steps(bare, second.out)
    assert processes(bare.home) == []
    assert not is_running(bare.home)


def follow_guided_steps(bare: Command, printed: str) -> None:
    """Run the commands that a demo ends with, as a person pastes them."""
    _, steps = printed.split("paste a line at a time:")
    pasted = [shlex.split(line)[1:] for line in steps.splitlines() if "sync-pipeline" in line]
    assert [words[0] for words in pasted] == STEPS
    edited, edited_there, synced, conflicts, undone, explained = (bare(*words) for words in pasted)
    assert "on the target: " in edited.out
    assert "at the simulated source: " in edited_there.out
    assert re.search(r"^conmaster .* yes", synced.out, re.MULTILINE)
    assert "conname, kept source" in conflicts.out
    assert "local Edited here" in conflicts.out
    assert "source Edited at the source" in conflicts.out
    assert re.search(r"^desktop/conmaster +1 ", undone.out, re.MULTILINE)
    assert re.search(r"^conname +Edited here +Edited at the source", explained.out, re.MULTILINE)


STEPS = ["demo-edit", "demo-edit", "sync", "conflicts", "undo", "explain"]


def total(report: dict[str, Any], term: str) -> int:
    return sum(counts[term] for counts in report["entities"].values())


def written(home: Path) -> dict[str, int]:
    """Tuples ever written to the tables of both databases."""
    with EmbeddedServer(home / "postgres") as server:
        return {name: tuples_written(server.dsn(name)) for name in ("sync", "desktop")}


# Not the bases: the first forward run after a reverse one learns of its rows. Nor the phone cache, of which a
# check tries an upsert and takes it back.
TUPLES = (
    "select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables where schemaname = 'public'"
    " and relname not in ('_sync_metadata', 'sync_history', 'alembic_version_sync',"
    " 'integration_sync_history', 'integration_source_configs', 'meta_assets_cache')"
)


def tuples_written(dsn: str) -> int:
    with psycopg.connect(dsn) as session:
        [(count,)] = session.execute(TUPLES)
        return int(count)


def test_a_signal_stops_the_sandbox(bare: Command) -> None:
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
    for name in ("BUBBLE_API_URL", "BUBBLE_API_TOKEN", SANDBOXED):
        monkeypatch.setenv(name, "")


def answers(settings: Settings) -> bool:
    try:
        httpx2.get(app_of(settings), trust_env=False, timeout=5)
    except httpx2.HTTPError:
        return False
    return True


def app_of(settings: Settings) -> str:
    return BUBBLE.source.require(settings)["BUBBLE_API_URL"]


@contextmanager
def simulated(home: Path) -> Iterator[tuple[Settings, list[str]]]:
    """A small simulator, and what was reported when it was started."""
    named = {"SYNC_HOME": str(home), "SYNC_TARGET_DSN": "postgresql://nobody@127.0.0.1:1/x"}
    reported: list[str] = []
    options = {"sources": ["bubble"], "dagster": False, "scale": 0.01, "demo": True}
    with sandbox(Settings.read(named), report=reported.append, **options) as settings:
        yield settings, reported


def test_commands_share_a_simulator_and_the_last_one_stops_it(tmp_path: Path) -> None:
    with ExitStack() as later:
        with simulated(tmp_path) as (first, first_report):
            assert first_report == ["starting the simulated Bubble app"]
            second, second_report = later.enter_context(simulated(tmp_path))
            assert second_report == []
            assert app_of(second) == app_of(first)
        assert answers(second)
    assert not answers(second)
    assert not (tmp_path / "bubble-simulator.json").exists()


KILLED = """
import os, pathlib, sys
from sync_pipeline_tests.dev.test_environment import app_of, simulated
with simulated(pathlib.Path(sys.argv[1])) as (settings, _):
    print(app_of(settings), flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_simulator_that_a_killed_command_left_is_used_and_stopped(tmp_path: Path) -> None:
    script = [sys.executable, "-c", KILLED, str(tmp_path)]
    left = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    with simulated(tmp_path) as (settings, reported):
        assert app_of(settings) == left
        assert reported == []
    assert not answers(settings)


def test_the_environment_is_as_before_after_the_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BUBBLE_API_URL")
    monkeypatch.setenv("BUBBLE_API_TOKEN", "before")
    with simulated(tmp_path) as (settings, _):
        assert os.environ["BUBBLE_API_URL"] == app_of(settings)
        assert os.environ["BUBBLE_API_TOKEN"] == BUBBLE.source.require(settings)["BUBBLE_API_TOKEN"]
    assert "BUBBLE_API_URL" not in os.environ
    assert os.environ["BUBBLE_API_TOKEN"] == "before"


# -- which sources are simulated, and which are not

EVERY = ("bubble", "desktop", "integrations", "meta_assets")
APP = {"BUBBLE_API_URL": "https://app.test/api/1.1", "BUBBLE_API_TOKEN": "t"}
TARGET = {"SYNC_TARGET_DSN": "postgresql://u@h/target"}
GATEWAY = {"QU_API_URL": "https://pos.test", "QU_CLIENT_ID": "i", "QU_CLIENT_SECRET": "s"}


@pytest.mark.parametrize(
    ("named", "asked", "simulated"),
    [
        ({}, EVERY, set(EVERY)),
        ({}, ("desktop",), {"desktop"}),
        ({}, (), set()),
        (APP, EVERY, set(EVERY) - {"bubble"}),
        ({"DESKTOP_DSN": "postgresql://u@h/desktop"}, EVERY, set(EVERY) - {"desktop"}),
        (GATEWAY, EVERY, set(EVERY) - {"integrations"}),
        ({"META_GRAPH_URL": "https://graph.test"}, EVERY, set(EVERY) - {"meta_assets"}),
        (TARGET, EVERY, set()),
    ],
)
def test_a_source_is_simulated_where_it_is_needed_and_neither_it_nor_the_target_is_named(
    named: dict[str, str], asked: tuple[str, ...], simulated: set[str]
) -> None:
    assert {s.name for s in to_simulate(Settings.read(named), asked)} == simulated


def test_only_a_demo_fills_a_named_target_from_invented_data() -> None:
    simulated = to_simulate(Settings.read(TARGET | APP), EVERY, demo=True)
    assert {s.name for s in simulated} == set(EVERY) - {"bubble"}


def test_the_practice_is_made_once_and_its_mobile_app_only_beside_a_simulated_desktop(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SYNC_TARGET_DSN", "DESKTOP_DSN"):
        monkeypatch.delenv(name, raising=False)
    reported: list[str] = []

    def begun(sources: tuple[str, ...], **named: str) -> AbstractContextManager[Settings]:
        settings = Settings.read({"SYNC_HOME": str(directory / "home"), **named})
        options = {"sources": sources, "dagster": False, "scale": 0.01, "migrates": True}
        reported.clear()
        return sandbox(settings, report=reported.append, **options)

    with begun(()) as nothing_made:
        assert DESKTOP.source.missing(nothing_made) == "DESKTOP_DSN"
        elsewhere = EmbeddedServer(directory / "home" / "postgres").create_database("real")
        with begun(("desktop",), DESKTOP_DSN=elsewhere) as real_desktop:
            assert reported == ["starting the embedded Postgres"]
            assert real_desktop.sandboxed == {"target"}
            assert tables(real_desktop.target()) == tables(elsewhere) == 0
        with begun(("desktop",)) as both:
            made = [
                "made the simulated desktop's database",
                "made the simulated mobile app's tables",
            ]
            assert reported[1:] == made
            assert both.sandboxed == {"target", "desktop"}
            assert tables(both.target()) == tables(both.database("DESKTOP_DSN")) == 15
        with begun(("desktop",)):
            assert reported[1:] == []
        with begun(()) as later:
            # a command that only reads the target finds it again
            assert later.database("DESKTOP_DSN") == both.database("DESKTOP_DSN")


def tables(dsn: str) -> int:
    with psycopg.connect(dsn) as session:
        [(count,)] = session.execute("select count(*) from pg_tables where schemaname = 'public'")
        return int(count)
