"""The simulator as a process of its own, steered from another."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import orjson

from sync_pipeline.simulators.meta_assets.credentials import PHONES
from sync_pipeline_tests.fixtures.meta_assets import NORTH


def test_it_says_where_it_listens_takes_orders_and_ends_cleanly(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    command = [sys.executable, "-W", "error", "-m", "sync_pipeline.simulators.meta_assets"]
    options = ["--latency-ms", "1", "--ready-file", str(ready_file)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = orjson.loads(line)
            assert ready_file.read_bytes() == line
            assert ready["pid"] == process.pid
            steer_it(ready)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


def steer_it(ready: dict[str, str]) -> None:
    header = {"Authorization": f"Bearer {ready['token']}"}
    admin, path = ready["admin_url"], f"{ready['url']}/{NORTH}/phone_numbers"
    with httpx2.Client(trust_env=False, verify=False, headers=header) as http:
        assert http.get(f"{admin}/options").json()["latency_ms"] == 1
        assert len(http.get(path).json()["data"]) == 2
        renamed = {"phone": PHONES[NORTH][0], "set": {"verified_name": "Night Bakery"}}
        assert http.post(f"{admin}/change", json=renamed).json() == {"done": True}
        assert http.get(path).json()["data"][0]["verified_name"] == "Night Bakery"
        http.post(f"{admin}/errors", json={"error": {"code": 4}, "times": 1})
        assert http.get(path).json()["error"]["code"] == 4
        http.post(f"{admin}/break-token", json={"token": ready["token"]})
        assert http.get(path).json()["error"]["code"] == 190
        assert http.post(f"{admin}/break-token", json={"token": "none"}).status_code == 400
        assert http.get(f"{admin}/stats").json()["by_path"] == {"GET /{id}/phone_numbers": 4}
