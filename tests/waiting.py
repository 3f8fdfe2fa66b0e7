"""Waiting, in tests, for what other threads do."""

import threading
import time


def eventually(holds, seconds=20):
    """Return whether a condition comes to hold in so many seconds."""
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


def own_threads():
    """Return the names of the package's threads that run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pandas_kili")]
