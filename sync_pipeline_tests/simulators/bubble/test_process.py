"""The simulator as a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import orjson
import pytest


@contextmanager
def running(ready_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-W", "error", "-m", "sync_pipeline.simulators.bubble"]
    options = ["--scale", "0.01", "--latency-ms", "1", "--ready-file", str(ready_file)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_cleanly(tmp_path: Path, stop: signal.Signals):
    ready_file = tmp_path / "ready.json"
    with running(ready_file) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = orjson.loads(line)
        assert ready_file.read_bytes() == line
        with httpx2.Client(trust_env=False, verify=False) as http:
            headers = {"Authorization": f"Bearer {ready['token']}"}
            reply = http.get(f"{ready['url']}/obj/agent", headers=headers)
            assert reply.json()["response"]["count"] == 3
            assert http.get(f"{ready['admin_url']}/options").json()["latency_ms"] == 1
        process.send_signal(stop)
        assert process.wait(10) == 0
