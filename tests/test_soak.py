"""Reads and writes under faults leave what a model says, and nothing behind; benchmarks/soak.py goes on for minutes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sockets and memory are counted in /proc")
@pytest.mark.parametrize("seconds", [2, pytest.param(30, marks=pytest.mark.campaign)])
def test_threads_that_read_and_write_under_faults_lose_nothing_and_leave_nothing_behind(seconds):
    command = [sys.executable, "-m", "benchmarks.soak", "--seconds", str(seconds), "--faults", "0.2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing lost, nothing twice, nothing left behind\n")
    assert "'append'" in done.stdout
