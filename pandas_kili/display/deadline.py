"""Waiting for a server, but not for long: pictures are drawn without what does not come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Return what `work` does in a thread of its own, as a host may fall silent anywhere in its response.

    Raises
    ------
    TimeoutError
        Where it takes longer. The thread goes on, and ends with the process.
    """
    came: Future[Result] = Future()

    def run() -> None:
        try:
            came.set_result(work())
        except Exception as error:  # noqa: BLE001 - the future holds it
            came.set_exception(error)

    threading.Thread(target=run, name="pandas_kili", daemon=True).start()
    return came.result(timeout=seconds)
