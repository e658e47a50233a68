"""`sync-pipeline up`: Dagster's own processes, from the first request to the last signal."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from sync_pipeline.dev import dagster_services, file_locks
from sync_pipeline.dev.embedded_postgres.server import EmbeddedServer
from sync_pipeline.errors import SyncError
from sync_pipeline_tests.fixtures.command_line import Command, until

CHROMIUM = shutil.which("chromium")

LAUNCH = """
mutation ($p: ExecutionParams!) {
  launchPipelineExecution(executionParams: $p) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
SENSORS = """
{ sensorsOrError(repositorySelector: {repositoryName: "__repository__",
                                      repositoryLocationName: "sync_pipeline"}) {
    ... on Sensors { results { name sensorState { status } } } } }
"""


def processes(home: Path) -> list[str]:
    """Command lines of the processes that were started for this home."""
    marked = f"SYNC_HOME={home}\0".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if marked in (directory / "environ").read_bytes() + b"\0":
                found.append((directory / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def ask(url: str, query: str, **variables: Any) -> Any:
    body = {"query": query, "variables": variables}
    reply = httpx2.post(f"{url}/graphql", json=body, trust_env=False, timeout=30).json()
    assert "errors" not in reply, reply
    return reply["data"]


@pytest.mark.smoke
@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: the page is not rendered"
)
def test_the_page_shows_the_asset_graph_in_a_browser(directory: Path) -> None:
    command = Command(directory / "a home", {})
    process = command.start("up", "--port", "3980", "--json")
    try:
        assert process.stdout
        url = orjson.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
        page = rendered(f"{url}/asset-groups", directory / "browser")
        process.send_signal(signal.SIGINT)
        assert command.wait(process).code == 0
    finally:
        process.kill()
    for group in ("bubble", "desktop", "integrations", "meta_assets"):
        assert group in page


def rendered(url: str, profile: Path) -> str:
    """A page's text after its scripts have run."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options = [f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom"]
    browser = [str(CHROMIUM), *flags, *options, url]
    return subprocess.run(
        browser,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        timeout=120,
    ).stdout


@pytest.mark.smoke
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_up_serves_runs_and_leaves_nothing_running(directory: Path) -> None:
    command = Command(directory / "a home", {})
    process = command.start("up", "--port", "3960", "--json")
    try:
        assert process.stdout
        announced = orjson.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
        url = announced["url"]
        assert set(ask(url, "{version}")) == {"version"}

        refused = command("up", code=1)
        assert f"running already for SYNC_HOME {command.home}, at {url}" in refused.error

        beside = command("sync", "bubble", "user", "--json")
        assert beside.json["entities"]["user"]["inserted"] > 100
        key = {"path": ["bubble", "agent"]}
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "sync_pipeline",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [key],
            "assetCheckSelection": [],
        }
        launched = ask(
            url, LAUNCH, p={"selector": selector, "runConfigData": {}, "mode": "default"}
        )
        run_id = launched["launchPipelineExecution"]["run"]["runId"]

        def status() -> str:
            return ask(url, STATUS, id=run_id)["runOrError"]["status"]

        until(lambda: status() in {"SUCCESS", "FAILURE"}, "the run to end")
        assert status() == "SUCCESS"
        with EmbeddedServer(command.home / "postgres") as server:
            command.environment["SYNC_TARGET_DSN"] = server.dsn("sync")
            run = "select status, items_processed, items_created from sync_history where id = %s"
            until(lambda: command.row(run, run_id)["status"] != "running", "the sensor to close it")
            found = command.row(run, run_id)
        assert found["status"] == "completed"
        assert found["items_created"] == found["items_processed"] > 100
        sensors = ask(url, SENSORS)["sensorsOrError"]["results"]
        assert {s["sensorState"]["status"] for s in sensors} == {"RUNNING"}

        process.send_signal(signal.SIGINT)
        finished = command.wait(process)
        assert finished.code == 0
    finally:
        process.kill()
    assert processes(command.home) == []
    assert not file_locks.is_held(command.home / "postgres" / "alive")
    for log in (command.home / "logs").iterdir():
        assert "Traceback" not in log.read_text()


# -- one at a time


def quiet(_: str) -> None: ...


def test_a_second_up_is_told_where_the_first_is(tmp_path: Path) -> None:
    with dagster_services.single_instance(tmp_path, report=quiet):
        (tmp_path / "up.json").write_bytes(orjson.dumps({"url": "http://127.0.0.1:1"}))
        with pytest.raises(SyncError, match=r"running already .* at http://127\.0\.0\.1:1"):
            dagster_services.single_instance(tmp_path, report=quiet).__enter__()
    with dagster_services.single_instance(tmp_path, report=quiet):
        assert not (tmp_path / "up.json").exists()


ORPHANS = """
import os, pathlib, sys, time, orjson
from sync_pipeline.dev import dagster_services
home = pathlib.Path(sys.argv[1])
sleeper = ["-c", "import subprocess; subprocess.run(['sh', '-c', 'touch child.$$; exec sleep 99'])"]
dagster_services.PROJECT = home
groups = [dagster_services._start(home, sleeper, home / "logs" / "sleeper.log").pid for _ in range(2)]
while len(list(home.glob("child.*"))) < 2:  # a leader interrupted before it has its child leaves that behind
    time.sleep(0.01)
(home / "up.json").write_bytes(orjson.dumps({"groups": groups}))
print(*groups)
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def orphans(tmp_path: Path) -> Iterator[list[int]]:
    """Process groups that an `up` left when it was killed."""
    script = [sys.executable, "-c", ORPHANS, str(tmp_path)]
    done = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=False)
    groups = [int(group) for group in done.stdout.split()]
    yield groups
    for group in groups:
        if dagster_services._exists(group):
            os.killpg(group, signal.SIGKILL)


def test_what_a_killed_up_left_running_is_stopped(tmp_path: Path, orphans: list[int]) -> None:
    said: list[str] = []
    assert all(dagster_services._exists(group) for group in orphans)
    with dagster_services.single_instance(tmp_path, report=said.append):
        assert said == ["stopping processes left by an earlier `up` that was killed"]
        until(
            lambda: not any(dagster_services._exists(group) for group in orphans),
            "the groups to end",
        )
