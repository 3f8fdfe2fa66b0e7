"""A progress bar is shown where a person looks, says when calls wait, and never makes a call fail."""

import io
import subprocess
import sys

from pandas_kili.connection.rate_limit import Clock, wait_for_turn
from pandas_kili.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_program_without_stderr_has_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar("assets", total=3, unit="asset", disable=False) as bar:
        bar.update(3)


def test_a_closed_stderr_does_no_harm():
    program = (
        "from pandas_kili.progress import progress_bar\n"
        "with progress_bar('a', total=1, unit='b', disable=None) as bar: bar.update()"
    )
    done = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{program}" 2>&-'], check=False, timeout=60)
    assert done.returncode == 0


def test_a_bar_says_that_calls_wait_for_the_rate_limit(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)

    class Quick(Clock):
        def wait(self, seconds, stop=None):
            screen.write("<waits>")

    with progress_bar("assets", total=3, unit="asset", disable=False):
        wait_for_turn(5, Quick())
    assert "waiting for the rate limit" in screen.getvalue().partition("<waits>")[0]
    assert "waiting for the rate limit" not in screen.getvalue().partition("<waits>")[2]
