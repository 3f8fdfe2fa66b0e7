"""A script that is killed (`kill -9`) and run again ends as one that is not killed; a killed server loses nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent


def campaign(*values):
    """Return values of parameters that are for campaigns only."""
    return pytest.param(*values, marks=pytest.mark.campaign)


def found_by(benchmark, *options):
    """Return how often what happened."""
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.{benchmark}", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {what: int(times) for times, what in re.findall(r"^ +(\d+) (.+)$", done.stdout, re.MULTILINE)}


@pytest.mark.parametrize(("times", "rows"), [(4, 400), campaign(40, 1000)])
def test_scripts_that_are_killed_at_random_moments_end_as_intended_when_run_again(times, rows):
    found = found_by("crash", "--times", times, "--rows", rows)
    assert found["killed"] >= 1, found
    assert times < 30 or found["with part of the rows written"] >= 1, found
    assert found["right in the end"] == times + 4  # and one run of each kind that is not killed


@pytest.mark.parametrize(("times", "rows"), [(1, 400), campaign(10, 800)])
def test_a_server_that_is_killed_while_it_writes_keeps_what_it_acknowledged(times, rows):
    found = found_by("crash_server", "--times", times, "--rows", rows)
    assert found["killed"] == found["right acknowledged"] == found["right in the end"] == times
