"""A script that is killed (`kill -9`) and run again ends as if nobody had killed it; a server loses nothing by it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_scripts_that_are_killed_at_random_moments_end_as_intended_when_run_again():
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.crash", "--times", "9", "--rows", "1000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {what: int(times) for times, what in re.findall(r"^ +(\d+) (.+)$", done.stdout, re.MULTILINE)}
    assert found["killed"] >= 6, found
    assert found["with part of the rows written"] >= 1, found
    assert found["right in the end"] == 9 + 3  # and one run of each kind that nobody killed


def test_a_server_that_is_killed_while_it_writes_keeps_what_it_acknowledged():
    command = [sys.executable, "-m", "benchmarks.crash_server", "--times", "2", "--rows", "800"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {what: int(times) for times, what in re.findall(r"^ +(\d+) (.+)$", done.stdout, re.MULTILINE)}
    assert found["killed"] == found["right acknowledged"] == found["right in the end"] == 2
