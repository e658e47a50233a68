"""`dagster` and `dg`, typed in the project's folder where the environment names nothing."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sync_pipeline.dev import file_locks
from sync_pipeline.dev.dagster_services import _free_port
from sync_pipeline.settings import PROJECT
from sync_pipeline_tests.dev.test_dagster_services import LAUNCH, STATUS, ask, processes
from sync_pipeline_tests.fixtures.command_line import until

pytestmark = [
    pytest.mark.smoke,
    pytest.mark.skipif(
        not Path("/proc/self/environ").exists(), reason="processes are found in /proc"
    ),
]
BIN = Path(sys.executable).parent
WORKSPACE = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"


class Project:
    """A folder with the files that Dagster reads; its SYNC_HOME is its own, so that no other is met."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".sync"
        for name in ("dagster.yaml", "pyproject.toml", "workspace.yaml"):
            shutil.copy(PROJECT / name, folder)
        (folder / "sync_pipeline").symlink_to(PROJECT / "sync_pipeline")
        self._environment = {
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "SYNC_HOME": str(self.home),
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command as a shell does, in a process group of its own."""
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command to its end; what it printed."""
        process = self.start(*command)
        out, _ = process.communicate(timeout=180)
        assert process.returncode == code, out
        assert "Traceback" not in out
        return out

    def assert_nothing_runs(self) -> None:
        assert processes(self.home) == []
        assert not self.home.exists() or not file_locks.is_held(self.home / "postgres" / "alive")
        assert not list(self.folder.glob(".tmp_dagster_home_*"))


@pytest.fixture
def project(directory: Path) -> Project:
    return Project(directory)


@pytest.mark.parametrize(
    "command", ["dagster definitions validate", "dg check defs", "dg list defs --json"]
)
def test_looking_at_definitions_starts_nothing(project: Project, command: str) -> None:
    out = project.run(*command.split())
    assert "starting" not in out
    assert not project.home.exists()
    project.assert_nothing_runs()


@pytest.mark.parametrize(
    "command",
    [
        "dagster asset materialize -m sync_pipeline.definitions --select meta_assets/meta_phone_number",
        "dagster job execute -m sync_pipeline.definitions -j meta_assets_sync",
        "dg launch --assets meta_assets/meta_phone_number",
    ],
)
def test_a_run_has_the_sandbox_to_itself(project: Project, command: str) -> None:
    out = project.run(*command.split())
    assert "sync-pipeline: starting the embedded Postgres" in out
    assert "63 read" in out
    project.assert_nothing_runs()


def test_dagster_dev_serves_the_sandbox_and_leaves_nothing_running(project: Project) -> None:
    port = _free_port(3970)
    url = f"http://127.0.0.1:{port}"
    process = project.start("dagster", "dev", "-p", str(port))
    try:
        assert process.stdout
        until(lambda: _is_loaded(url), "the page with our definitions", 180)
        refused = project.run("dg", "dev", "-p", str(port + 1), code=1)
        assert f"Error: Dagster is running already for SYNC_HOME {project.home}" in refused

        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "sync_pipeline",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": ["bubble", "agent"]}],
            "assetCheckSelection": [],
        }
        execution = {"selector": selector, "runConfigData": {}, "mode": "default"}
        launched = ask(url, LAUNCH, p=execution)["launchPipelineExecution"]
        run_id = launched["run"]["runId"]

        def status() -> Any:
            return ask(url, STATUS, id=run_id)["runOrError"]["status"]

        until(lambda: status() in {"SUCCESS", "FAILURE"}, "the run to end", 180)
        assert status() == "SUCCESS"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does with Ctrl-C
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    finally:
        process.kill()
    project.assert_nothing_runs()


def _is_loaded(url: str) -> bool:
    try:
        found = ask(url, WORKSPACE)["workspaceOrError"]["locationEntries"]
    except httpx2.HTTPError:
        return False
    return [(entry["name"], entry["loadStatus"]) for entry in found] == [
        ("sync_pipeline", "LOADED")
    ]


def test_what_cannot_start_is_one_line(project: Project) -> None:
    project.home.write_text("a file, no directory")
    out = project.run("dg", "launch", "--assets", "bubble/agent", code=1)
    assert "Error: " in out
    assert "SYNC_HOME" in out
