"""Dagster's web server and daemon, kept running as children of `sync-pipeline up`."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from sync_pipeline import printing
from sync_pipeline.settings import PROJECT

GRACE_SECONDS = 20
BEGINNING = 50  # ports after the wished one that are tried


def serve(port: int, *, say: Callable[[str], None], as_json: bool) -> int:
    """Run the web server and the daemon until one ends or Ctrl-C."""
    port = _free(port)
    workspace = ["-w", str(PROJECT / "workspace.yaml")]
    commands = {
        "dagster-webserver": [
            "-m",
            "dagster_webserver",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            *workspace,
        ],
        "dagster-daemon": ["-m", "dagster._daemon", "run", *workspace],
    }
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, arguments in commands.items():
            say(f"starting {name}")
            children[name] = subprocess.Popen(  # noqa: S603  our own programs
                [sys.executable, *arguments], cwd=PROJECT, start_new_session=True
            )
        _announce(port, children, as_json=as_json)
        return _wait(children)
    except KeyboardInterrupt:
        say("stopping")
        return 0
    finally:
        _stop(list(children.values()))


def _free(wished: int) -> int:
    for port in range(wished, wished + BEGINNING):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _announce(port: int, children: dict[str, subprocess.Popen[bytes]], *, as_json: bool) -> None:
    url = f"http://127.0.0.1:{port}"
    while all(c.poll() is None for c in children.values()):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.2)
    else:
        return
    if as_json:
        printing.print_json({"url": url})
    else:
        printing.to_stdout().print(f"Dagster is at [bold]{url}[/bold]; Ctrl-C stops everything")


def _wait(children: dict[str, subprocess.Popen[bytes]]) -> int:
    while True:
        for name, child in children.items():
            code = child.poll()
            if code is not None:
                printing.to_stderr().print(f"{name} ended with exit code {code}", style="red")
                return 1
        time.sleep(0.5)


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.send_signal(signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
