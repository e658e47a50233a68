"""Which processes run, as they are found from outside."""

import os
import subprocess
import sys

from sync_pipeline.dev import processes
from sync_pipeline_tests.fixtures.command_line import until

UNREAPED = """
import subprocess, sys
child = subprocess.Popen(["true"], start_new_session=True)
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_process_and_its_group_run_until_they_end() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        assert processes.is_running(process.pid)
        assert processes.is_group_running(process.pid)
    assert not processes.is_running(process.pid)
    assert not processes.is_group_running(process.pid)


def test_a_zombie_that_nobody_reaps_does_not_run() -> None:
    script = [sys.executable, "-c", UNREAPED]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        zombie = int(parent.stdout.readline())
        until(lambda: not processes.is_running(zombie), "the process to end")
        os.kill(zombie, 0)  # does not raise: the zombie is still there
        assert not processes.is_group_running(zombie)
